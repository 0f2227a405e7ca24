/**
 * BYOB readers of a channel, `pipeTo()` from one channel into another, and writes
 * that a stream holds. The other behaviour of the streams is tested in tests/conformance/.
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Script, scripted } from "../../tests/conformance/scripted.ts";
import { assertCode, failure } from "../../tests/conformance/session_pair.ts";
import { forSeeds, type Random } from "../../tests/support/random.ts";
import { scriptedSession } from "../../tests/support/raw_peer.ts";
import {
  adjust,
  close,
  data,
  eof,
  GO_WINDOW,
  open,
  text,
  utf8,
} from "../../tests/support/wire.ts";
import { turn, watch, within } from "../../tests/support/within.ts";
import { isRawChannel } from "./channel_streams.ts";
import type { Channel } from "../types.ts";

/** The bytes that the script received on a channel, and its other frames. */
async function saidOn(
  script: Script,
  number: number,
): Promise<{ bytes: string; ends: string[] }> {
  const frames = (await script.saidButCredit()).filter((frame) =>
    "recipient" in frame && frame.recipient === number
  );
  return {
    bytes: frames.map((frame) =>
      frame.type === "data" ? text(frame.payload) : ""
    ).join(""),
    ends: frames.map(({ type }) => type).filter((type) => type !== "data"),
  };
}

// --- close() ---------------------------------------------------------

scripted(
  "channel.close(): sends no EOF while the stream holds writes that it has not passed on",
  async (script) => {
    // The first write goes out at once; the stream passes on the second later.
    const { channel } = await script.accepted({ number: 5, window: 100 });
    const writer = channel.writable.getWriter();
    const first = writer.write(utf8("a"));
    await first;
    const late = [writer.write(utf8("b")), writer.write(utf8("c"))];
    const ends = late.map((write) => write.catch(() => {}));
    await channel.close();
    await Promise.all(ends);
    writer.closed.catch(() => {});
    assertEquals(await saidOn(script, 5), { bytes: "ab", ends: ["close"] });
  },
);

scripted(
  "channel.close(): sends EOF after writes that the stream has passed on",
  async (script) => {
    const { channel } = await script.accepted({ number: 5, window: 100 });
    const writer = channel.writable.getWriter();
    writer.closed.catch(() => {});
    await writer.write(utf8("a"));
    await writer.write(utf8("b"));
    await channel.close();
    assertEquals(await saidOn(script, 5), {
      bytes: "ab",
      ends: ["eof", "close"],
    });
  },
);

scripted(
  "writable: large chunks of one turn share a DATA frame, up to the maximum packet size",
  async (script) => {
    const accepting = script.session[Symbol.asyncIterator]().next();
    await script.raw.send(open(5, 1024 * 1024, 50_000));
    const channel = (await accepting).value!;
    const writer = channel.writable.getWriter();
    for (let i = 0; i < 3; i++) {
      void writer.write(new Uint8Array(20_000));
    }
    await writer.close();
    const sizes = (await script.saidButCredit()).flatMap((frame) =>
      frame.type === "data" ? frame.payload.length : []
    );
    assertEquals(sizes, [40_000, 20_000]);
  },
);

for (const method of ["closeWrite", "shutdown"] as const) {
  scripted(
    `channel.${method}(): sends EOF after the chunks that the stream holds, and nothing of what is written later`,
    async (script) => {
      const { channel, id } = await script.accepted({ number: 5, window: 2 });
      assert(isRawChannel(channel));
      const writer = channel.writable.getWriter();
      writer.closed.catch(() => {});
      const writes = ["a", "bb", "c"].map((chunk) => writer.write(utf8(chunk)));
      await writes[0];
      channel[method]();
      const late = writer.write(utf8("late")).catch((error) => error);
      assertEquals(await saidOn(script, 5), { bytes: "ab", ends: [] });
      await script.raw.send(adjust(id, 100));
      await Promise.all(writes);
      assertCode(await late, "channel-closed");
      const ends = method === "shutdown" ? ["eof", "close"] : ["eof"];
      assertEquals(await saidOn(script, 5), { bytes: "bc", ends });
    },
  );
}

scripted(
  "channel.closeWrite(): sends no EOF if the channel is closed while the stream holds chunks",
  async (script) => {
    const { channel } = await script.accepted({ number: 5, window: 1 });
    assert(isRawChannel(channel));
    const writer = channel.writable.getWriter();
    writer.closed.catch(() => {});
    const writes = ["a", "b", "c"].map((chunk) =>
      writer.write(utf8(chunk)).catch(() => {})
    );
    await writes[0];
    channel.closeWrite();
    await channel.close();
    await Promise.all(writes);
    assertEquals(await saidOn(script, 5), { bytes: "a", ends: ["close"] });
  },
);

scripted(
  "channel.closeWrite(): what the stream has refused after its close() does not hold up EOF",
  async (script) => {
    const { channel } = await script.accepted({ number: 5, window: 100 });
    const writer = channel.writable.getWriter();
    const written = [writer.write(utf8("a")), writer.write(utf8("b"))];
    const closed = writer.close();
    await failure(writer.write(utf8("late")));
    await Promise.all([...written, closed]);
    assertEquals(await saidOn(script, 5), { bytes: "ab", ends: ["eof"] });
  },
);

scripted(
  "channel.holdEnd(): EOF waits until it is released, and close() sends none",
  async (script) => {
    const { channel } = await script.accepted({ number: 5, window: 100 });
    assert(isRawChannel(channel));
    const releases = [channel.holdEnd(), channel.holdEnd()];
    channel.closeWrite();
    releases[0]!();
    releases[0]!();
    channel.send(utf8("a"));
    assertEquals(await saidOn(script, 5), { bytes: "a", ends: [] });
    releases[1]!();
    assertEquals(await saidOn(script, 5), { bytes: "", ends: ["eof"] });

    const other = (await script.accepted({ number: 6, window: 100 })).channel;
    assert(isRawChannel(other));
    const release = other.holdEnd();
    await other.close();
    release();
    assertEquals(await saidOn(script, 6), { bytes: "", ends: ["close"] });
  },
);

// --- BYOB readers ---------------------------------------------------

scripted("BYOB reader: receives bytes in its own buffer", async (script) => {
  const { channel, id } = await script.accepted();
  const reader = channel.readable.getReader({ mode: "byob" });
  const buffer = new ArrayBuffer(100);
  await script.raw.send(data(id, "abc"));
  const { value, done } = await reader.read(new Uint8Array(buffer, 10));
  assert(!done);
  assertEquals(text(value), "abc");
  assertEquals(value.byteOffset, 10);
  assertEquals(value.buffer.byteLength, 100);
  assertEquals(buffer.byteLength, 0, "the stream has detached it");
});

scripted(
  "BYOB reader: a pending read gets all bytes of one turn",
  async (script) => {
    const { channel, id } = await script.accepted();
    const reader = channel.readable.getReader({ mode: "byob" });
    const reading = reader.read(new Uint8Array(100));
    await script.raw.send(data(id, "one "), data(id, "two "), data(id, "six"));
    assertEquals(text((await reading).value!), "one two six");
  },
);

scripted(
  "BYOB reader: bytes that do not fit, and their credit, are left for the next read",
  async (script) => {
    const { channel, id } = await script.accepted();
    const reader = channel.readable.getReader({ mode: "byob" });
    await script.raw.send(data(id, utf8("x".repeat(1_000))));
    const first = await reader.read(new Uint8Array(900));
    assertEquals(first.value!.length, 900);
    let credit = 0;
    for (const frame of await script.said()) {
      if (frame.type === "window-adjust") credit += frame.bytes;
    }
    assert(credit <= 900, `credit for ${credit} bytes`);
    const rest = await reader.read(new Uint8Array(900));
    assertEquals(rest.value!.length, 100);
  },
  { initialWindowSize: 1_000, maxWindowSize: 1_000 },
);

scripted(
  "BYOB reader: receives whole elements of two bytes",
  async (script) => {
    const { channel, id } = await script.accepted();
    const reader = channel.readable.getReader({ mode: "byob" });
    const reading = reader.read(new Uint16Array(4));
    const watched = watch(reading);
    await script.raw.send(data(id, Uint8Array.of(1)));
    await turn();
    assertEquals(watched.state, "pending");
    await script.raw.send(data(id, Uint8Array.of(2, 3)));
    assertEquals((await reading).value!.byteLength, 2);
    const next = reader.read(new Uint8Array(4));
    assertEquals((await next).value, Uint8Array.of(3));
  },
);

scripted("BYOB reader: the end follows the bytes", async (script) => {
  const { channel, id } = await script.accepted();
  const reader = channel.readable.getReader({ mode: "byob" });
  const reading = reader.read(new Uint8Array(10));
  await script.raw.send(data(id, "x"), eof(id));
  assertEquals(text((await reading).value!), "x");
  const end = await reader.read(new Uint8Array(10));
  assert(end.done);
  assertEquals(end.value!.length, 0);
  assertEquals(end.value!.buffer.byteLength, 10, "the buffer is returned");
  await reader.closed;
});

scripted("BYOB reader: the end resolves a pending read", async (script) => {
  const { channel, id } = await script.accepted();
  const reader = channel.readable.getReader({ mode: "byob" });
  const reading = reader.read(new Uint8Array(10));
  await script.raw.send(close(id));
  assert((await reading).done);
});

scripted(
  "BYOB reader: a lost connection rejects a pending read",
  async (script) => {
    const { channel } = await script.accepted();
    const reader = channel.readable.getReader({ mode: "byob" });
    const reading = failure(reader.read(new Uint8Array(10)));
    await script.raw.end();
    assertCode(await reading, "connection-lost");
  },
);

for (const end of ["EOF", "CLOSE", "close()", "cancel()"]) {
  scripted(
    `BYOB reader: ${end} within an element rejects the read and affects no other channel`,
    async (script) => {
      const { channel, id } = await script.accepted();
      const other = await script.accepted({ number: 6 });
      const reader = channel.readable.getReader({ mode: "byob" });
      const reading = watch(reader.read(new Float32Array(4)));
      await script.raw.send(data(id, "abc"));
      await turn();
      if (end === "EOF") await script.raw.send(eof(id));
      else if (end === "CLOSE") await script.raw.send(close(id));
      else if (end === "close()") await channel.close();
      else await reader.cancel();
      await turn();
      assertEquals(
        reading.state,
        end === "cancel()" ? "resolved" : "rejected",
      );
      await channel.close();
      await script.raw.send(data(other.id, "x"));
      const { value } = await other.channel.readable.getReader().read();
      assertEquals(text(value!), "x");
    },
  );
}

/** Reads to the end; `pipeTo` does not call `keep`. */
type Consumer = (
  readable: ReadableStream<Uint8Array>,
  keep: (chunk: Uint8Array) => void,
  to: Channel,
) => Promise<void>;

const CONSUMERS: Record<string, Consumer> = {
  "default"(readable, keep) {
    const reader = readable.getReader();
    return readAll(() => reader.read(), keep);
  },
  "byob"(readable, keep) {
    const reader = readable.getReader({ mode: "byob" });
    return readAll(() => reader.read(new Uint8Array(10)), keep);
  },
  async "for await"(readable, keep) {
    for await (const chunk of readable) keep(chunk);
  },
  "pipeTo": (readable, _keep, to) => readable.pipeTo(to.writable),
};

async function readAll(
  read: () => Promise<ReadableStreamReadResult<Uint8Array>>,
  keep: (chunk: Uint8Array) => void,
): Promise<void> {
  for (;;) {
    const { done, value } = await read();
    if (done) return;
    keep(value);
  }
}

for (const next of Object.keys(CONSUMERS)) {
  for (const late of [false, true]) {
    scripted(
      `channel.readable: a BYOB reader that leaves during a read leaves all bytes to ${next}${
        late ? ", later" : ""
      }`,
      async (script) => {
        const { channel, id } = await script.accepted();
        const to = await script.accepted({ number: 6 });
        const { readable } = channel;
        await turn();
        const leaving = readable.getReader({ mode: "byob" });
        const left = failure(leaving.read(new Uint8Array(10)));
        if (late) await turn();
        leaving.releaseLock();
        await left;
        let got = "";
        const keep = (chunk: Uint8Array) => void (got += text(chunk));
        const reading = watch(CONSUMERS[next]!(readable, keep, to.channel));
        await turn();
        await script.raw.send(data(id, "abc"));
        await turn();
        if (next === "pipeTo") got = (await saidOn(script, 6)).bytes;
        assertEquals(got, "abc");
        await script.raw.send(eof(id));
        await turn();
        assertEquals(reading.state, "resolved");
      },
    );
  }
}

for (const mode of ["byob", undefined] as const) {
  scripted(
    `channel.readable: a ${
      mode ?? "default"
    } reader that leaves during a read leaves all bytes`,
    async (script) => {
      const { channel, id } = await script.accepted();
      const leaving = mode === undefined
        ? channel.readable.getReader()
        : channel.readable.getReader({ mode });
      const left = failure(leaving.read(new Uint8Array(2)));
      leaving.releaseLock();
      await left;
      await script.raw.send(data(id, "abcdef"), eof(id));
      let rest = "";
      for await (const chunk of channel.readable) rest += text(chunk);
      assertEquals(rest, "abcdef");
    },
  );
}

scripted(
  "BYOB reader: cancel() ends a pending read",
  async (script) => {
    const { channel, id } = await script.accepted();
    const reader = channel.readable.getReader({ mode: "byob" });
    const reading = reader.read(new Uint8Array(10));
    await reader.cancel();
    assert((await reading).done);
    await script.raw.send(data(id, "x"));
  },
);

// --- From channel to channel -------------------------------------------------

/** Two channels of the script, with the IDs 5 and 6, one piped into the other. */
async function piped(script: Script, { window = GO_WINDOW } = {}) {
  const from = await script.accepted();
  const to = await script.accepted({ number: 6, window });
  const piping = from.channel.readable.pipeTo(to.channel.writable);
  return { from, to, piping, watched: watch(piping) };
}

scripted("pipeTo: pipes bytes, then the end", async (script) => {
  const { from, to, piping } = await piped(script);
  await script.raw.send(data(from.id, "abc"), data(from.id, "def"));
  assert(from.channel.readable.locked);
  assert(to.channel.writable.locked);
  await script.raw.send(eof(from.id));
  await piping;
  assertEquals(await saidOn(script, 6), { bytes: "abcdef", ends: ["eof"] });
  assert(!from.channel.readable.locked);
  assert(!to.channel.writable.locked);
  assert((await from.channel.readable.getReader().read()).done);
});

scripted("pipeTo: a channel into itself is an echo", async (script) => {
  const { channel, id } = await script.accepted();
  const piping = channel.readable.pipeTo(channel.writable);
  await script.raw.send(data(id, "abc"), eof(id));
  await piping;
  const { bytes, ends } = await saidOn(script, 5);
  assertEquals({ bytes, ends }, { bytes: "abc", ends: ["eof", "close"] });
});

scripted(
  "pipeTo: waits for credit of the destination",
  async (script) => {
    const { from, to, piping } = await piped(script, { window: 3 });
    await script.raw.send(data(from.id, "abcdef"));
    assertEquals((await saidOn(script, 6)).bytes, "abc");
    await script.raw.send(adjust(to.id, 2));
    assertEquals((await saidOn(script, 6)).bytes, "de");
    await script.raw.send(data(from.id, "ghi"), eof(from.id));
    await script.raw.send(adjust(to.id, 100));
    await piping;
    assertEquals(await saidOn(script, 6), { bytes: "fghi", ends: ["eof"] });
  },
);

scripted("pipeTo: pending writes go first", async (script) => {
  const from = await script.accepted();
  const to = await script.accepted({ number: 6, window: 2 });
  const writer = to.channel.writable.getWriter();
  const written = writer.write(utf8("abc"));
  writer.releaseLock();
  const piping = from.channel.readable.pipeTo(to.channel.writable);
  await script.raw.send(data(from.id, "def"), eof(from.id));
  await script.raw.send(adjust(to.id, 100));
  await Promise.all([written, piping]);
  assertEquals((await saidOn(script, 6)).bytes, "abcdef");
});

scripted(
  "pipeTo: bytes that a reader left in the stream go first",
  async (script) => {
    const from = await script.accepted();
    const to = await script.accepted({ number: 6 });
    const reader = from.channel.readable.getReader();
    const left = failure(reader.read());
    reader.releaseLock();
    await left;
    const early = watch(from.channel.readable.pipeTo(to.channel.writable));
    await script.raw.send(data(from.id, "abc"));
    await script.raw.send(data(from.id, "def"), eof(from.id));
    assertEquals((await saidOn(script, 6)).bytes, "abcdef");
    assertEquals(early.state, "resolved");
  },
);

scripted(
  "pipeTo: rejects when the peer closes the destination, even while no bytes arrive",
  async (script) => {
    const { from, to, piping } = await piped(script);
    const failed = failure(piping);
    await script.raw.send(close(to.id));
    assertCode(await failed, "channel-closed");
    assert(!from.channel.readable.locked);
    // The source is cancelled: what arrives is dropped, and its credit returned.
    await script.raw.send(data(from.id, utf8("x".repeat(60_000))));
    const credit = (await script.said()).filter(({ type }) =>
      type === "window-adjust"
    );
    assertEquals(credit.length, 1);
  },
);

scripted(
  "pipeTo: rejects when the destination is closed while bytes wait for it",
  async (script) => {
    const { from, to, piping } = await piped(script, { window: 1 });
    const failed = failure(piping);
    await script.raw.send(data(from.id, "abc"));
    await to.channel.close();
    assertCode(await failed, "channel-closed");
  },
);

scripted(
  "pipeTo: rejects with connection-lost when the connection is lost",
  async (script) => {
    const { from, to, piping } = await piped(script);
    const failed = failure(piping);
    await script.raw.end();
    assertCode(await failed, "connection-lost");
    assertCode(
      await failure(to.channel.writable.getWriter().closed),
      "connection-lost",
    );
    assert(!from.channel.readable.locked);
  },
);

scripted(
  "pipeTo: closing the channel of the source ends it",
  async (script) => {
    const { from, piping } = await piped(script);
    await from.channel.close();
    await piping;
    assertEquals((await saidOn(script, 6)).ends, ["eof"]);
  },
);

scripted(
  "pipeTo: rejects if the destination is closing, and cancels the source",
  async (script) => {
    const from = await script.accepted();
    const to = await script.accepted({ number: 6 });
    const writer = to.channel.writable.getWriter();
    const closing = writer.close();
    writer.releaseLock();
    const piping = failure(
      from.channel.readable.pipeTo(to.channel.writable),
    );
    await script.raw.send(data(from.id, utf8("x".repeat(60_000))));
    const frames = await script.said();
    assert(frames.some(({ type }) => type === "window-adjust"));
    assert(await piping instanceof TypeError);
    await closing;
    assert(!from.channel.readable.locked);
  },
);

scripted(
  "pipeTo: rejects if the destination is not a stream",
  async (script) => {
    const { channel } = await script.accepted();
    for (const none of [undefined, null, 1, {}]) {
      const refused = channel.readable.pipeTo(none as WritableStream);
      await assertRejects(() => refused, TypeError);
    }
  },
);

scripted("pipeTo: supports its options", async (script) => {
  const from = await script.accepted();
  const to = await script.accepted({ number: 6 });
  const piping = from.channel.readable.pipeTo(to.channel.writable, {
    preventClose: true,
  });
  await script.raw.send(data(from.id, "abc"), eof(from.id));
  await piping;
  assertEquals(await saidOn(script, 6), { bytes: "abc", ends: [] });
  await to.channel.writable.getWriter().write(utf8("more"));
  assertEquals((await saidOn(script, 6)).bytes, "more");
});

scripted(
  "pipeTo: rejects for locked streams, and locks none",
  async (script) => {
    const from = await script.accepted();
    const to = await script.accepted({ number: 6 });
    const writer = to.channel.writable.getWriter();
    await assertRejects(
      () => from.channel.readable.pipeTo(to.channel.writable),
      TypeError,
    );
    assert(!from.channel.readable.locked);
    writer.releaseLock();
    const reader = from.channel.readable.getReader();
    await assertRejects(
      () => from.channel.readable.pipeTo(to.channel.writable),
      TypeError,
    );
    assert(!to.channel.writable.locked);
    reader.releaseLock();
  },
);

// --- Comparison with the runtime's own -------------------------------------------

/** One step of a history, by the script or by this side. */
type Step = (it: {
  script: Script;
  from: { channel: Channel; id: number };
  to: { channel: Channel; id: number };
}) => unknown;

/** No step closes the source: that drops unread bytes, of which each has others. */
function history(random: Random): Step[] {
  const steps: Step[] = [];
  let ended = false;
  for (let i = random.int(1, 12); i > 0; i--) {
    const dice = random.next();
    const bytes = random.bytes(random.int(1, 200));
    if (dice < 0.5) {
      if (!ended) {
        steps.push(({ script, from }) => script.raw.send(data(from.id, bytes)));
      }
    } else if (dice < 0.75) {
      const credit = random.int(1, 300);
      steps.push(({ script, to }) => script.raw.send(adjust(to.id, credit)));
    } else if (dice < 0.82) {
      ended = true;
      steps.push(({ script, from }) => script.raw.send(eof(from.id)));
    } else if (dice < 0.87) {
      ended = true;
      steps.push(({ script, from }) => script.raw.send(close(from.id)));
    } else if (dice < 0.91) {
      steps.push(({ script, to }) => script.raw.send(close(to.id)));
    } else if (dice < 0.96) {
      steps.push(({ to }) => to.channel.close());
    }
  }
  return steps;
}

/** The outcome of a history, piped with these options. */
async function outcome(
  steps: readonly Step[],
  window: number,
  options?: StreamPipeOptions,
) {
  const { session, raw } = scriptedSession({ closeTimeout: 1 });
  const script = new Script(session, raw);
  try {
    const from = await script.accepted();
    const to = await script.accepted({ number: 6, window });
    const piping = from.channel.readable.pipeTo(to.channel.writable, options);
    const watched = watch(piping);
    const sent: string[] = [];
    for (const step of steps) {
      await step({ script, from, to });
      await turn();
      for (const frame of await script.saidButCredit()) {
        if (!("recipient" in frame)) continue;
        if (frame.type === "data") {
          sent.push(...Array.from(frame.payload, String));
        } else sent.push(`${frame.type} ${frame.recipient}`);
      }
    }
    const { state } = watched;
    return {
      sent: sent.join(" "),
      state,
      code: (watched.reason as { code?: string } | undefined)?.code,
      locked: [from.channel.readable.locked, to.channel.writable.locked],
    };
  } finally {
    await session.close();
    await raw.close();
  }
}

Deno.test("pipeTo: does the same as the runtime's own in any history", async () => {
  await within(
    forSeeds(60, async (random) => {
      const steps = history(random);
      const window = random.int(0, 400);
      const own = await outcome(steps, window);
      // With options, even without any set, the runtime's own pipes.
      assertEquals(own, await outcome(steps, window, {}));
    }),
    "60 histories",
    60_000,
  );
});
