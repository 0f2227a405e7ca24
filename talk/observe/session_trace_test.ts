import { json } from "@qtalk/qtalk/codec";
import { assert, assertEquals } from "@std/assert";
import { forSeeds } from "../../tests/support/random.ts";
import { concat } from "../../tests/support/wire.ts";
import { MAX_CAPTURE, MAX_CAPTURED } from "./capture.ts";
import type { ObservedEvent } from "./events.ts";
import { Tracer } from "./session_trace.ts";

/** A trace, and what it has reported. */
function traced() {
  const events: ObservedEvent[] = [];
  let now = 0;
  const tracer = new Tracer({
    codecs: [json()],
    onEvent: (event) => void events.push(event),
    now: () => now++,
  });
  return { events, tracer, trace: tracer.session("tcp://client") };
}

function uint32(...values: number[]): Uint8Array {
  const bytes = new Uint8Array(4 * values.length);
  const view = new DataView(bytes.buffer);
  values.forEach((value, i) => view.setUint32(4 * i, value));
  return bytes;
}

const open = (id: number) =>
  concat(new Uint8Array([100]), uint32(id, 2 ** 20, 2 ** 20));
const confirm = (id: number, sender: number) =>
  concat(new Uint8Array([101]), uint32(id, sender, 2 ** 20, 2 ** 20));
const data = (id: number, payload: Uint8Array) =>
  concat(new Uint8Array([104]), uint32(id, payload.length), payload);
const close = (id: number) => concat(new Uint8Array([106]), uint32(id));
const value = (json: unknown) => {
  const bytes = new TextEncoder().encode(JSON.stringify(json));
  return concat(uint32(bytes.length), bytes);
};

/** The selectors of the calls that were reported. */
function selectorsIn(events: readonly ObservedEvent[]): string[] {
  return events.flatMap((event) =>
    event.type === "call" ? [event.call.selector] : []
  );
}

Deno.test("SessionTrace: a call is reported with its argument, its answer and its end", () => {
  const { events, trace } = traced();
  trace.push("near", open(0));
  trace.push("far", confirm(0, 7));
  trace.push("near", data(7, concat(value({ S: "add" }), value([1, 2]))));
  trace.push("far", data(0, concat(value({ E: null }), value(3))));
  trace.push("far", close(0));
  trace.push("near", close(7));
  const types = events.map(({ type }) => type);
  assertEquals(types, [
    "session",
    "frame",
    "frame",
    "channel",
    "frame",
    "call",
    "frame",
    "answer",
    "frame",
    "frame",
    "call-end",
    "channel",
  ]);
  const [, , , , , call, , answer, , , end] = events;
  assert(call?.type === "call" && answer?.type === "answer");
  assertEquals(call.argument!.value, [1, 2]);
  assertEquals(answer.value!.value, 3);
  assert(end?.type === "call-end");
  assertEquals(end.outcome, "answered");
  assertEquals(trace.openChannels, 0);
});

Deno.test("SessionTrace: how a call ended is reported", () => {
  const outcome = (...rest: (["near" | "far", Uint8Array])[]) => {
    const { events, trace } = traced();
    trace.push("near", open(0));
    trace.push("far", confirm(0, 0));
    trace.push("near", data(0, concat(value({ S: "x" }), value(null))));
    for (const [by, bytes] of rest) trace.push(by, bytes);
    trace.close();
    const ends = events.filter((event) => event.type === "call-end");
    return ends.map((event) => event.outcome).join();
  };
  const answer = (header: unknown): ["far", Uint8Array] => [
    "far",
    data(0, concat(value(header), value(null))),
  ];
  assertEquals(outcome(), "lost");
  assertEquals(outcome(["near", close(0)], ["far", close(0)]), "cancelled");
  assertEquals(outcome(["far", close(0)], ["near", close(0)]), "unanswered");
  assertEquals(outcome(answer({ Error: "no" })), "failed");
  assertEquals(outcome(answer({})), "answered");
  assertEquals(outcome(answer({ C: true })), "lost");
});

Deno.test("SessionTrace: a header waits for its value, but not for long", () => {
  const { events, trace } = traced();
  trace.push("near", open(0));
  trace.push("far", confirm(0, 0));
  // As the reference sends them.
  trace.push("near", data(0, value({ S: "x" })));
  assertEquals([selectorsIn(events), trace.hasHeaders], [[], true]);
  trace.push("near", data(0, value([1])));
  assertEquals([selectorsIn(events), trace.hasHeaders], [["x"], false]);
  trace.push("far", data(0, value({ E: null })));
  // Each event takes a millisecond of this clock.
  for (let i = 0; i < 60; i++) trace.push("far", open(1 + i));
  const answers = events.filter((event) => event.type === "answer");
  assertEquals(answers.length, 1);
  assertEquals(answers[0]!.value, undefined);
  trace.push("far", data(0, value(1)));
  trace.close();
  const values = events.filter((event) => event.type === "value");
  assertEquals(values.map(({ value }) => value.value), [1]);
});

Deno.test("SessionTrace: bytes after a continued response are found, whatever they are", () => {
  const streams: Record<string, Uint8Array> = {
    zeros: new Uint8Array(100_000),
    "a length, and less than that": uint32(1_000, 1, 2),
    "a length beyond all values": uint32(0xffffffff, 0),
    "a length, and what JSON cannot begin with": uint32(12, 1, 2, 3),
    "a length, and what is no JSON": concat(
      uint32(4),
      new TextEncoder().encode("[1, and so on"),
    ),
    "one zero": new Uint8Array(1),
    "a length of 0 at the end": new Uint8Array(4),
    "text": new TextEncoder().encode("GET / HTTP/1.1\r\n"),
  };
  for (const [name, bytes] of Object.entries(streams)) {
    for (const size of [bytes.length, 7, 1]) {
      if (bytes.length / size > 1_000) continue;
      const { events, trace } = traced();
      trace.push("near", open(0));
      trace.push("far", confirm(0, 0));
      const header = value({ S: "x", Q: { v: 1 } });
      trace.push("near", data(0, concat(header, value(null))));
      const answer = value({ C: true, Q: { v: 1 } });
      trace.push("far", data(0, concat(answer, value(null))));
      for (let at = 0; at < bytes.length; at += size) {
        trace.push("far", data(0, bytes.subarray(at, at + size)));
      }
      trace.push("far", close(0));
      trace.close();
      let found = 0;
      for (const event of events) {
        if (event.type === "bytes") found += event.size;
      }
      assertEquals(found, bytes.length, `${name}, ${size}`);
    }
  }
});

/** A header of a side that would have other calls on the channel. */
const again = (header: object) =>
  value({ ...header, Q: { v: 1, again: true } });

/** A trace with an open channel. */
function tracedChannel() {
  const made = traced();
  const { trace } = made;
  trace.push("near", open(0));
  trace.push("far", confirm(0, 0));
  return {
    ...made,
    near: (...values: Uint8Array[]) =>
      trace.push("near", data(0, concat(...values))),
    far: (...values: Uint8Array[]) =>
      trace.push("far", data(0, concat(...values))),
    close() {
      trace.push("far", close(0));
      trace.push("near", close(0));
    },
  };
}

/** What was reported of calls, in words. */
function callsIn(events: readonly ObservedEvent[]): string[] {
  return events.flatMap((event) => {
    switch (event.type) {
      case "call": {
        const { number, selector } = event.call;
        return [`${number} ${selector} ${event.argument?.value}`];
      }
      case "answer":
        return [
          `${event.call.number} ${event.error ?? event.value?.value ?? "…"}`,
        ];
      case "value":
        return [`${event.call.number} value ${event.value.value}`];
      case "bytes":
        return [`${event.call?.number} ${event.size} bytes`];
      case "call-end":
        return [`${event.call.number} ${event.outcome}`];
      default:
        return [];
    }
  });
}

Deno.test("SessionTrace: each call of a channel is reported as one of its own", () => {
  for (const inPieces of [false, true]) {
    const { events, trace, near, far, close } = tracedChannel();
    const send = (end: typeof near, ...values: Uint8Array[]) => {
      const bytes = concat(...values);
      if (!inPieces) return end(bytes);
      for (const byte of bytes) end(new Uint8Array([byte]));
    };
    send(near, again({ S: "a" }), value(1));
    send(far, again({ E: null }), value("one"));
    send(near, again({ S: "b" }), value(22));
    send(far, again({ E: null }), value("two"));
    // The last one does not end the channel by itself.
    send(near, value({ S: "c", Q: { v: 1 } }), value(333));
    send(far, value({ E: "no", Q: { v: 1 } }), value(null));
    close();
    assertEquals(callsIn(events), [
      "1 a 1",
      "1 one",
      "1 answered",
      "2 b 22",
      "2 two",
      "2 answered",
      "3 c 333",
      "3 no",
      "3 failed",
    ]);
    const ends = events.filter((event) => event.type === "call-end");
    const header = again({ S: "a" }).length;
    const answer = again({ E: null }).length;
    assertEquals(ends.slice(0, 2).map(({ sent }) => sent), [
      { near: header + 5, far: answer + 9 },
      { near: header + 6, far: answer + 9 },
    ]);
    assertEquals(ends.map(({ values }) => values), [
      { near: 1, far: 1 },
      { near: 1, far: 1 },
      { near: 1, far: 1 },
    ]);
    for (const { time, call, duration } of ends) {
      assert(duration < time - call.time + 2, "a call begins with its header");
    }
    const times = ends.map(({ call }) => call.time);
    assertEquals(times, times.toSorted((a, b) => a - b));
    assert(times[1]! > ends[0]!.time);
    assertEquals(trace.openChannels, 0);
  }
});

Deno.test("SessionTrace: a channel between two calls has no call, and ends without one", () => {
  for (const lost of [false, true]) {
    const { events, trace, near, far, close } = tracedChannel();
    near(again({ S: "a" }), value(1));
    far(again({ E: null }), value(2));
    const before = events.length;
    if (!lost) close();
    trace.close();
    for (const event of events.slice(before)) {
      if ("channel" in event) assertEquals(event.channel?.call, undefined);
      assert(event.type !== "call-end");
    }
    assertEquals(callsIn(events), ["1 a 1", "1 2", "1 answered"]);
  }
});

Deno.test("SessionTrace: a call of a channel that others had before can be given up, lost, or unanswered", () => {
  for (const outcome of ["cancelled", "unanswered", "lost"] as const) {
    const { events, trace, near, far } = tracedChannel();
    near(again({ S: "a" }), value(1));
    far(again({ E: null }), value(2));
    near(again({ S: "b" }), value(3));
    if (outcome === "unanswered") trace.push("far", close(0));
    if (outcome !== "lost") trace.push("near", close(0));
    if (outcome === "cancelled") trace.push("far", close(0));
    trace.close();
    assertEquals(callsIn(events).slice(3), ["2 b 3", `2 ${outcome}`]);
  }
});

Deno.test("SessionTrace: a channel has another call only if both sides said so, and the answer is a single value", () => {
  const said = { v: 1, again: true };
  const headers: [call: object, answer: object][] = [
    [{ S: "a", Q: said }, { E: null }],
    [{ S: "a" }, { E: null, Q: said }],
    [{ S: "a", Q: said }, { E: null, Q: { v: 1, again: 1 } }],
    [{ S: "a", Q: said }, { C: true, Q: said }],
    [{ S: "a", Q: said }, { E: "no", Q: said }],
  ];
  for (const [call, answer] of headers) {
    const { events, near, far, close } = tracedChannel();
    near(value(call), value(1));
    far(value(answer), value(2));
    assertEquals(events.some(({ type }) => type === "call-end"), false);
    close();
    assertEquals(events.filter(({ type }) => type === "call-end").length, 1);
  }
});

Deno.test("SessionTrace: an answer whose value comes late ends its call with that value", () => {
  const { events, trace, near, far } = tracedChannel();
  near(again({ S: "a" }), value(1));
  far(again({ E: null }));
  trace.flush(0);
  assertEquals(callsIn(events), ["1 a 1", "1 …"]);
  far(value(2));
  near(again({ S: "b" }), value(3));
  assertEquals(callsIn(events).slice(2), [
    "1 value 2",
    "1 answered",
    "2 b 3",
  ]);
});

Deno.test("SessionTrace: what follows an answer on a channel without a call is shown as bytes of no call", () => {
  const extra: Uint8Array[] = [
    value("more"),
    again({ E: null }),
    new Uint8Array(100),
    new TextEncoder().encode("HTTP/1.1 400 Bad Request"),
  ];
  for (const bytes of extra) {
    for (const together of [true, false]) {
      const { events, near, far, close } = tracedChannel();
      near(again({ S: "a" }), value(1));
      if (together) far(again({ E: null }), value(2), bytes);
      else {
        far(again({ E: null }), value(2));
        far(bytes);
      }
      // The caller had begun another call when they arrived.
      near(again({ S: "b" }), value(3));
      close();
      assertEquals(callsIn(events), [
        "1 a 1",
        "1 2",
        "1 answered",
        `undefined ${bytes.length} bytes`,
        "2 b 3",
        "2 unanswered",
      ]);
    }
  }
});

Deno.test("SessionTrace: a caller that sends what is no header on a channel without a call sends bytes", () => {
  const { events, near, far, close } = tracedChannel();
  near(again({ S: "a" }), value(1));
  far(again({ E: null }), value(2));
  near(value([1]), value(3));
  close();
  assertEquals(callsIn(events).slice(2), [
    "1 answered",
    `undefined ${value([1]).length + value(3).length} bytes`,
  ]);
});

Deno.test("SessionTrace: a header before the answer is a further value of the call, and so is what follows", () => {
  const { events, near, far, close } = tracedChannel();
  near(again({ S: "a" }), value(1), again({ S: "b" }), value(2));
  far(again({ E: null }), value("one"));
  far(again({ E: null }), value("two"));
  close();
  assertEquals(callsIn(events), [
    "1 a 1",
    "1 value [object Object]",
    "1 value 2",
    "1 one",
    "1 value [object Object]",
    "1 value two",
    "1 answered",
  ]);
});

Deno.test("SessionTrace: a header that has begun before the answer is that of the next call", () => {
  const { events, near, far } = tracedChannel();
  const header = again({ S: "b" });
  near(again({ S: "a" }), value(1), header.subarray(0, 9));
  far(again({ E: null }), value(2));
  near(header.subarray(9), value(3));
  assertEquals(callsIn(events).slice(2), ["1 answered", "2 b 3"]);
});

Deno.test("SessionTrace: the calls of a channel leave nothing behind", () => {
  const { tracer, near, far } = tracedChannel();
  const long = value("x".repeat(1_000));
  for (let i = 0; i < 1_000; i++) {
    near(again({ S: `call${i}` }), long);
    far(again({ E: null }), long);
  }
  // Without it, the budget would be used up by what was kept.
  assertEquals(tracer.budget.take(MAX_CAPTURED), true);
});

Deno.test("SessionTrace: an ID that is used again is a new channel", () => {
  const { events, trace } = traced();
  for (const selector of ["first", "second"]) {
    trace.push("near", open(0));
    trace.push("far", confirm(0, 0));
    trace.push("near", data(0, concat(value({ S: selector }), value(null))));
    trace.push("near", close(0));
    trace.push("far", close(0));
    // A late frame, as the reference sends it.
    trace.push("far", data(0, value(null)));
  }
  assertEquals(selectorsIn(events), ["first", "second"]);
  const numbers = events.flatMap((event) =>
    event.type === "frame" ? [event.channel?.number] : []
  );
  assertEquals(numbers, [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2]);
});

Deno.test("SessionTrace: random bytes are reported, and never an error", () => {
  return forSeeds(300, (random) => {
    const { events, trace } = traced();
    for (let i = 0; i < 20; i++) {
      const by = random.chance(0.5) ? "near" : "far";
      const bytes = random.bytes(random.int(0, 60));
      // Half of them begin like a frame.
      if (bytes.length > 0 && i % 2 === 0) bytes[0] = random.int(100, 106);
      trace.push(by, bytes);
    }
    trace.close();
    assertEquals(events.at(-1)!.type, "session");
  });
});

Deno.test("SessionTrace: what incomplete values may keep is limited, and given back", () => {
  const { events, tracer, trace } = traced();
  const many = 2 * MAX_CAPTURED / MAX_CAPTURE;
  const begun = concat(
    value({ S: "upload" }),
    uint32(2 * MAX_CAPTURE),
    new TextEncoder().encode(`"${"x".repeat(MAX_CAPTURE)}`),
  );
  for (let id = 0; id < many; id++) {
    trace.push("near", open(id));
    trace.push("far", confirm(id, id));
    trace.push("near", data(id, begun));
  }
  assertEquals(tracer.budget.take(MAX_CAPTURE), false);
  trace.close();
  // The headers of calls are read all the same.
  assertEquals(selectorsIn(events).length, many);
  assertEquals(tracer.budget.take(MAX_CAPTURED), true);
});
