import { assert, assertEquals, assertRejects } from "@std/assert";
import { saidOn, Script, scripted } from "../../tests/conformance/scripted.ts";
import { assertCode, failure } from "../../tests/conformance/session_pair.ts";
import { forSeeds, type Random } from "../../tests/support/random.ts";
import { scriptedSession } from "../../tests/support/raw_peer.ts";
import {
  adjust,
  close,
  data,
  eof,
  GO_WINDOW,
  utf8,
} from "../../tests/support/wire.ts";
import { turn, watch, within } from "../../tests/support/within.ts";
import type { Channel } from "../types.ts";

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
