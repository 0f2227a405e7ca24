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
