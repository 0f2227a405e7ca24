/**
 * Peers that send too much of what is right: every flood is either refused,
 * bounded or cheap.
 *
 * @module
 */
import {
  assert,
  assertEquals,
  assertIsError,
  assertLess,
  assertLessOrEqual,
  assertRejects,
} from "@std/assert";
import { type Channel, DEFAULT_SESSION_OPTIONS, MuxError } from "@qtalk/qtalk";
import { test } from "../support/harness.ts";
import { liveBuffers } from "../support/memory.ts";
import type { RawPeer } from "../support/raw_peer.ts";
import { assertUsage } from "../support/usage.ts";
import {
  adjust,
  close,
  concat,
  data,
  eof,
  open,
  values,
} from "../support/wire.ts";
import { turn, watch, within } from "../support/within.ts";

/** Sends batches until the session hangs up; returns how many it took. */
async function flood(
  raw: RawPeer,
  batch: (n: number) => Uint8Array,
  limit: number,
): Promise<number> {
  for (let n = 0; n < limit; n++) {
    try {
      await within(raw.send(batch(n)), "the session to read on");
    } catch {
      return n;
    }
  }
  return limit;
}

/** Floods whose answers nobody reads. */
const UNREAD: Record<string, {
  accept: boolean;
  batch: (n: number) => Uint8Array;
}> = {
  "OPENs that are refused, since nobody accepts": {
    accept: false,
    batch: (n) => concat(...range(1_000, (i) => open(1_000 * n + i))),
  },
  "OPENs that are accepted until there are too many": {
    accept: true,
    batch: (n) => concat(...range(1_000, (i) => open(1_000 * n + i))),
  },
  "channels opened and closed": {
    accept: true,
    // The number that each gets is easily guessed.
    batch: (n) =>
      concat(...range(1_000, (i) => {
        const id = 1_000 * n + i;
        return concat(open(id), close(id));
      })),
  },
  "channels opened and ended": {
    accept: true,
    batch: (n) =>
      concat(...range(1_000, (i) => {
        const id = 1_000 * n + i;
        // Beyond, an OPEN is refused, and there is no number to end.
        return id < 2 * DEFAULT_SESSION_OPTIONS.maxChannels
          ? concat(open(id), eof(id))
          : open(id);
      })),
  },
};

function range(count: number, make: (i: number) => Uint8Array): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => make(i));
}

for (const [what, { accept, batch }] of Object.entries(UNREAD)) {
  test(`flood: a peer that reads nothing and sends ${what} is cut off with limit-exceeded`, async (t) => {
    const { session, raw } = t.script(
      { maxIdleFrames: 10_000_000 },
      { reading: false },
    );
    // As RPC does with a channel that ends before it said anything.
    if (accept) {
      session.accept((channel) => {
        void channel.readable.pipeTo(channel.writable).catch(() => {});
      });
    }
    const before = await liveBuffers();
    const closed = watch(session.closed);
    const taken = await flood(raw, batch, 2_000);
    // An answer is five bytes at least.
    assertLess(
      taken * 1_000,
      DEFAULT_SESSION_OPTIONS.maxQueuedReplySize / 5 + 5_000,
    );
    await within(session.closed.catch(() => {}), "the session to end");
    assertIsError(closed.reason, MuxError, "a peer that does not read");
    assertEquals(closed.reason.code, "limit-exceeded");
    assertUsage(session, { channels: 0, slots: 0 });
    await raw.close();
    assertLessOrEqual(
      await liveBuffers() - before,
      2 * DEFAULT_SESSION_OPTIONS.maxQueuedReplySize,
    );
  });
}

test("maxQueuedReplySize: a peer that reads no answers is cut off when they exceed it", async (t) => {
  const { session, raw } = t.script(
    { maxQueuedReplySize: 100, backlog: 0 },
    { reading: false },
  );
  // The first answer is under way; the next ones wait.
  await raw.send(open(0));
  await turn();
  await raw.send(...range(20, open));
  assertEquals(watch(session.closed).state, "pending");
  await raw.send(open(21));
  const error = await assertRejects(() => session.closed, MuxError);
  assertEquals(error.code, "limit-exceeded");
  assert(error.message.includes("105 bytes of replies"), error.message);
});

test("flood: a peer that calls and reads nothing is cut off, its answers bounded", async (t) => {
  // So many channels can be opened even when answers have taken all other memory.
  // A peer that reads nothing does not learn which ones were refused.
  const CALLS = 500;
  const ANSWER_SIZE = 100_000;
  const errors: unknown[] = [];
  const { peer, raw } = t.scriptedPeer(
    { onError: (error) => errors.push(error) },
    { reading: false },
  );
  let handled = 0;
  peer.handle("big", (_call, respond) => {
    handled++;
    void respond.return("x".repeat(ANSWER_SIZE));
  });
  const before = await liveBuffers();
  const call = values({ Selector: "big" }, null);
  const taken = await flood(
    raw,
    (n) =>
      concat(...range(100, (i) => {
        const id = 100 * n + i;
        return id < CALLS ? concat(open(id), data(id, call)) : open(id);
      })),
    5_000,
  );
  assertLess(taken, 5_000);
  await within(peer.closed.catch(() => {}), "the session to end");
  assertEquals(
    errors.map((error) => (error as MuxError).code),
    ["limit-exceeded"],
  );
  // Answers that are not read are held, and when they fill the account no further
  // call begins.
  assertLess(handled, CALLS);
  assertLess(handled * ANSWER_SIZE, DEFAULT_SESSION_OPTIONS.maxHeldSize);
  await raw.close();
  assertLessOrEqual(await liveBuffers() - before, 2 * 2 ** 20);
});

test("flood: DATA of one byte a frame is taken, and its credit returned in batches", async (t) => {
  const { session, raw } = t.script();
  const accepted = Promise.withResolvers<Channel>();
  session.accept(accepted.resolve);
  await raw.send(open(0));
  const { sender } = await raw.expect("open-confirm");
  const reader = (await accepted.promise).readable.getReader();
  const total = 200_000;
  let received = 0;
  const reading = (async () => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      for (const byte of value) assert(byte === (received++ & 0xff));
    }
  })();
  for (let at = 0; at < total; at += 1_000) {
    await raw.send(
      ...range(1_000, (i) => data(sender, Uint8Array.of(at + i))),
    );
  }
  await raw.send(eof(sender));
  await within(reading, "all the bytes");
  assertEquals(received, total);
  const adjusts = raw.pending.filter((frame) => frame.type === "window-adjust");
  assertLessOrEqual(
    adjusts.length,
    total / (DEFAULT_SESSION_OPTIONS.initialWindowSize / 4),
  );
});

test("flood: empty DATA wakes no reader and costs no credit", async (t) => {
  const { session, raw } = t.script({ maxIdleFrames: 1_000_000 });
  const accepted = Promise.withResolvers<Channel>();
  session.accept(accepted.resolve);
  await raw.send(open(0));
  const { sender } = await raw.expect("open-confirm");
  const reader = (await accepted.promise).readable.getReader();
  const reading = reader.read();
  const watched = watch(reading);
  const empty = concat(...range(5_000, () => data(sender, "")));
  for (let i = 0; i < 20; i++) await raw.send(empty);
  await turn();
  assertEquals(watched.state, "pending");
  await raw.send(data(sender, "x"), empty, eof(sender));
  assertEquals((await reading).value, Uint8Array.of(0x78));
  assertEquals((await reader.read()).done, true);
  assertEquals(raw.pending, []);
});

test("flood: 100,000 adjusts of one byte cause few DATA frames", async (t) => {
  const { session, raw } = t.script({ maxIdleFrames: 1_000_000 });
  const accepted = Promise.withResolvers<Channel>();
  session.accept(accepted.resolve);
  await raw.send(open(0, 0));
  const { sender } = await raw.expect("open-confirm");
  const total = 100_000, batches = 100;
  const writer = (await accepted.promise).writable.getWriter();
  const writing = writer.write(new Uint8Array(total));
  const batch = concat(
    ...range(total / batches, () => adjust(sender, 1)),
  );
  for (let i = 0; i < batches; i++) {
    await within(raw.send(batch), "adjusts");
  }
  await within(writing, "the write");
  let frames = 0;
  for (let received = 0; received < total; frames++) {
    received += (await raw.expect("data")).payload.length;
  }
  // Credit that came at once is used at once, not byte by byte.
  assertLessOrEqual(frames, 2 * batches);

  // And with nothing to send they cause nothing at all.
  for (let i = 0; i < batches; i++) await raw.send(batch);
  await raw.send(adjust(sender, 0));
  await turn();
  assertEquals(raw.pending, []);
  await raw.end();
  await session.closed;
  writer.closed.catch(() => {});
});

test("flood: adjusts by zero wake no writer", async (t) => {
  const { session, raw } = t.script({ maxIdleFrames: 1_000_000 });
  const accepted = Promise.withResolvers<Channel>();
  session.accept(accepted.resolve);
  await raw.send(open(0, 0));
  const { sender } = await raw.expect("open-confirm");
  const writer = (await accepted.promise).writable.getWriter();
  const writing = watch(writer.write(Uint8Array.of(1)));
  await raw.send(...range(10_000, () => adjust(sender, 0)));
  await turn();
  assertEquals([writing.state, raw.pending.length], ["pending", 0]);
  await raw.send(adjust(sender, 1));
  assertEquals((await raw.expect("data")).payload, Uint8Array.of(1));
  await raw.end();
  await session.closed;
  writer.closed.catch(() => {});
});
