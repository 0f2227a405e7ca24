/**
 * What the streams of a channel can do beyond chunks in and chunks out, which
 * tests/conformance/ is about: buffers that the reader brings, and `pipeTo()`
 * from one channel into another.
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
  text,
  utf8,
} from "../../tests/support/wire.ts";
import { turn, watch, within } from "../../tests/support/within.ts";
import type { Channel } from "../types.ts";

/** All bytes that the script was sent on a channel, and what else. */
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

// --- Buffers of the reader ---------------------------------------------------

scripted("byob: bytes come in the reader's own buffer", async (script) => {
  const { channel, id } = await script.accepted();
  const reader = channel.readable.getReader({ mode: "byob" });
  const buffer = new ArrayBuffer(100);
  await script.raw.send(data(id, "abc"));
  const { value, done } = await reader.read(new Uint8Array(buffer, 10));
  assert(!done);
  assertEquals(text(value), "abc");
  assertEquals(value.byteOffset, 10);
  assertEquals(value.buffer.byteLength, 100);
  assertEquals(buffer.byteLength, 0, "it was the stream's meanwhile");
});

scripted(
  "byob: a read that waits gets what comes in one turn, side by side",
  async (script) => {
    const { channel, id } = await script.accepted();
    const reader = channel.readable.getReader({ mode: "byob" });
    const reading = reader.read(new Uint8Array(100));
    await script.raw.send(data(id, "one "), data(id, "two "), data(id, "six"));
    assertEquals(text((await reading).value!), "one two six");
  },
);

scripted(
  "byob: what does not fit is for the next read, and its credit with it",
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

scripted("byob: elements of two bytes come whole", async (script) => {
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
});

scripted("byob: the end comes behind the bytes, once", async (script) => {
  const { channel, id } = await script.accepted();
  const reader = channel.readable.getReader({ mode: "byob" });
  const reading = reader.read(new Uint8Array(10));
  await script.raw.send(data(id, "x"), eof(id));
  assertEquals(text((await reading).value!), "x");
  const end = await reader.read(new Uint8Array(10));
  assert(end.done);
  assertEquals(end.value!.length, 0);
  assertEquals(end.value!.buffer.byteLength, 10, "the buffer comes back");
  await reader.closed;
});

scripted("byob: a read waits for the end, too", async (script) => {
  const { channel, id } = await script.accepted();
  const reader = channel.readable.getReader({ mode: "byob" });
  const reading = reader.read(new Uint8Array(10));
  await script.raw.send(close(id));
  assert((await reading).done);
});

scripted("byob: a lost connection fails the read", async (script) => {
  const { channel } = await script.accepted();
  const reader = channel.readable.getReader({ mode: "byob" });
  const reading = failure(reader.read(new Uint8Array(10)));
  await script.raw.end();
  assertCode(await reading, "connection-lost");
});

for (const end of ["EOF", "CLOSE", "close()", "cancel()"]) {
  scripted(
    `byob: ${end} within an element fails the read, and nothing else`,
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

/** Reads to the end, one way or another; a pipe tells nobody of its bytes. */
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
      `a byob reader that leaves while it waits leaves bytes and end to: ${next}${
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
    `a ${mode ?? "default"} reader that leaves while it waits leaves all bytes`,
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
  "byob: a read that waits ends when its stream is cancelled",
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

/** Two channels of the script, numbers 5 and 6, one piped into the other. */
async function piped(script: Script, { window = GO_WINDOW } = {}) {
  const from = await script.accepted();
  const to = await script.accepted({ number: 6, window });
  const piping = from.channel.readable.pipeTo(to.channel.writable);
  return { from, to, piping, watched: watch(piping) };
}

scripted("pipeTo: passes on bytes, then the end", async (script) => {
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
  "pipeTo: what the destination has no credit for waits, at last at its sender",
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

scripted("pipeTo: writes that were there before go first", async (script) => {
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

scripted("pipeTo: so does what a reader left in the stream", async (script) => {
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
});

scripted(
  "pipeTo: a destination that its peer closes fails it, though nothing comes",
  async (script) => {
    const { from, to, piping } = await piped(script);
    const failed = failure(piping);
    await script.raw.send(close(to.id));
    assertCode(await failed, "channel-closed");
    assert(!from.channel.readable.locked);
    // Cancelled: what still comes is dropped and its credit returned.
    await script.raw.send(data(from.id, utf8("x".repeat(60_000))));
    const credit = (await script.said()).filter(({ type }) =>
      type === "window-adjust"
    );
    assertEquals(credit.length, 1);
  },
);

scripted(
  "pipeTo: a destination that is closed while bytes wait for it fails it",
  async (script) => {
    const { from, to, piping } = await piped(script, { window: 1 });
    const failed = failure(piping);
    await script.raw.send(data(from.id, "abc"));
    await to.channel.close();
    assertCode(await failed, "channel-closed");
  },
);

scripted(
  "pipeTo: a lost connection fails it with its reason",
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

scripted("pipeTo: closing the source's channel ends it", async (script) => {
  const { from, piping } = await piped(script);
  await from.channel.close();
  await piping;
  assertEquals((await saidOn(script, 6)).ends, ["eof"]);
});

scripted(
  "pipeTo: a destination that is being closed fails it, and cancels the source",
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

scripted("pipeTo: refuses what is no stream, by rejection", async (script) => {
  const { channel } = await script.accepted();
  for (const none of [undefined, null, 1, {}]) {
    const refused = channel.readable.pipeTo(none as WritableStream);
    await assertRejects(() => refused, TypeError);
  }
});

scripted("pipeTo: obeys its options", async (script) => {
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
  "pipeTo: refuses streams that are taken, and takes none",
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

// --- The same as the runtime's own -------------------------------------------

/** One step of a history: what the script says, or this side does. */
type Step = (it: {
  script: Script;
  from: { channel: Channel; id: number };
  to: { channel: Channel; id: number };
}) => unknown;

/** Not among them: closing the source, which drops what neither has read. */
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

/** What came out of a history, piped with these options. */
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
    const said: string[] = [];
    for (const step of steps) {
      await step({ script, from, to });
      await turn();
      for (const frame of await script.saidButCredit()) {
        if (!("recipient" in frame)) continue;
        if (frame.type === "data") {
          said.push(...Array.from(frame.payload, String));
        } else said.push(`${frame.type} ${frame.recipient}`);
      }
    }
    const { state } = watched;
    return {
      said: said.join(" "),
      state,
      code: (watched.reason as { code?: string } | undefined)?.code,
      locked: [from.channel.readable.locked, to.channel.writable.locked],
    };
  } finally {
    await session.close();
    await raw.close();
  }
}

Deno.test("pipeTo: does in every history what the runtime's own would do", async () => {
  await within(
    forSeeds(60, async (random) => {
      const steps = history(random);
      const window = random.int(0, 400);
      const own = await outcome(steps, window);
      // Any options, even none set, leave it to the runtime.
      assertEquals(own, await outcome(steps, window, {}));
    }),
    "60 histories",
    60_000,
  );
});
