import {
  assert,
  assertEquals,
  assertGreater,
  assertGreaterOrEqual,
  assertLess,
  assertLessOrEqual,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { type Frame, parseFrames, toHex } from "../../tests/support/wire.ts";
import { turn, watch } from "../../tests/support/within.ts";
import { MuxError } from "../errors.ts";
import { DeferredWrites } from "../flow/deferred_writes.ts";
import type { Clock } from "../flow/turns.ts";
import {
  BufferRetention,
  FrameQueue,
  growBuffer,
  WRITE_TARGET,
} from "./frame_queue.ts";
import { SEND_QUANTUM } from "./frame.ts";
import type { CreditSource, DataSource } from "./frame_source.ts";

/** A queue with a transport that the test controls. */
class Harness {
  readonly queue: FrameQueue;
  /** A copy of the bytes of each write. */
  readonly writes: Uint8Array[] = [];
  readonly errors: unknown[] = [];
  /** The bytes of the pending write. */
  current: Uint8Array | undefined;
  /** What ends the wait of frames that may wait; undefined while none does. */
  timer: (() => void) | undefined;
  #settle: PromiseWithResolvers<void> | undefined;

  constructor(
    {
      held = false,
      maxQueuedReplySize = 1_000,
      writeTarget = WRITE_TARGET,
      earlyWrite = 2_048,
      clock = undefined as Clock | undefined,
    } = {},
  ) {
    this.queue = new FrameQueue({
      write: (bytes) => {
        assert(this.#settle === undefined, "two writes at once");
        this.writes.push(bytes.slice());
        this.current = bytes;
        if (!held) return Promise.resolve();
        this.#settle = Promise.withResolvers<void>();
        return this.#settle.promise;
      },
      onError: (error) => this.errors.push(error),
      maxQueuedReplySize,
      buffers: { writeTarget, exchange: () => undefined },
      earlyWrite,
      clock,
      deferred: new DeferredWrites((_ms, expire) => {
        this.timer = expire;
        return () => this.timer = undefined;
      }),
    });
  }

  /** Lets the time of the frames that may wait pass. */
  passTime(): void {
    while (this.timer !== undefined) {
      const { timer } = this;
      this.timer = undefined;
      timer();
    }
  }

  /** The frames of one write, or of all. */
  frames(index?: number): Frame[] {
    return parseFrames(
      ...index === undefined ? this.writes : [this.writes[index]!],
    );
  }

  /** Ends the pending write, and lets the next one start. */
  async release(): Promise<void> {
    const settle = this.#settle;
    assert(settle !== undefined, "no write is pending");
    this.#settle = undefined;
    settle.resolve();
    await turn();
  }

  /** Fails the pending write. */
  async fail(error: unknown): Promise<void> {
    const settle = this.#settle!;
    this.#settle = undefined;
    settle.reject(error);
    await turn();
  }
}

/** A channel with `bytes` to send; each byte is the channel's ID. */
class Bulk implements DataSource {
  readonly #queue: FrameQueue;
  readonly #id: number;
  left: number;
  /** Whether it was alone, each time that it was asked. */
  readonly alone: boolean[] = [];

  constructor(queue: FrameQueue, id: number, bytes = Infinity) {
    this.#queue = queue;
    this.#id = id;
    this.left = bytes;
    queue.scheduleData(this);
  }

  pull(isAlone = false): boolean {
    this.alone.push(isAlone);
    const size = Math.min(SEND_QUANTUM, this.left);
    this.left -= size;
    this.#queue.data(this.#id, new Uint8Array(size).fill(this.#id));
    return this.left > 0;
  }
}

/** A channel whose callback ends the session. */
class Ending implements DataSource {
  constructor(readonly queue: FrameQueue) {
    queue.scheduleData(this);
  }

  pull(): boolean {
    this.queue.stop();
    return true;
  }
}

/** A channel with credit to return. */
class Credit implements CreditSource {
  taken = 0;

  constructor(readonly remoteId: number, public due: number) {}

  takeCredit(): number {
    this.taken++;
    const { due } = this;
    this.due = 0;
    return due;
  }
}

/** The bytes of DATA in these frames, by channel. */
function bytesPerChannel(frames: Frame[]): Map<number, number> {
  const bytes = new Map<number, number>();
  for (const frame of frames) {
    if (frame.type !== "data") continue;
    const before = bytes.get(frame.recipient) ?? 0;
    bytes.set(frame.recipient, before + frame.payload.length);
  }
  return bytes;
}

// --- One write per turn --------------------------------------------------------

Deno.test("FrameQueue: writes the frames of one turn at once, in order", async () => {
  const { queue, writes, ...harness } = new Harness();
  queue.open(1, 2, 3);
  queue.data(4, Uint8Array.of(5));
  queue.eof(4);
  queue.close(6, true);
  assertEquals(writes.length, 0);
  await turn();
  assertEquals(
    writes.map(toHex),
    [
      "64000000010000000200000003" + "680000000400000001" + "05" +
      "6900000004" + "6a00000006",
    ],
  );
  assertEquals(harness.errors, []);
});

Deno.test("FrameQueue: a CLOSE that may wait leaves before the next frame, in the same write", async () => {
  const harness = new Harness();
  const { queue, writes } = harness;
  queue.close(6, true, true);
  await turn();
  queue.close(7, true, true);
  await turn();
  assertEquals(writes.length, 0);
  queue.data(4, Uint8Array.of(5));
  await turn();
  assertEquals(
    writes.map(toHex),
    ["6a00000006" + "6a00000007" + "680000000400000001" + "05"],
  );
  harness.passTime();
  await turn();
  assertEquals(writes.length, 1);
});

Deno.test("FrameQueue: a CLOSE that may wait leaves by itself when its time has passed", async () => {
  const harness = new Harness();
  harness.queue.close(6, true, true);
  await turn();
  harness.passTime();
  await turn();
  assertEquals(harness.writes.map(toHex), ["6a00000006"]);
  assertEquals(harness.timer, undefined);
});

Deno.test("FrameQueue: after each time that CLOSE has waited in vain, twice as many leave at once, up to 64", async () => {
  const harness = new Harness();
  const { queue, writes } = harness;
  /** How many leave at once before one waits. */
  async function untilOneWaits(): Promise<number> {
    for (let count = 0;; count++) {
      const before = writes.length;
      queue.close(6, true, true);
      await turn();
      if (writes.length === before) return count;
    }
  }
  const counts: number[] = [];
  for (let i = 0; i < 9; i++) {
    counts.push(await untilOneWaits());
    harness.passTime();
    await turn();
  }
  assertEquals(counts, [0, 1, 2, 4, 8, 16, 32, 64, 64]);
  // One that did not wait in vain begins it anew.
  await untilOneWaits();
  queue.eof(1);
  await turn();
  assertEquals(await untilOneWaits(), 0);
  harness.passTime();
  await turn();
  assertEquals(await untilOneWaits(), 1);
});

Deno.test("FrameQueue: whatever else is to be sent takes a CLOSE that may wait with it", async () => {
  const cases: ((queue: FrameQueue) => unknown)[] = [
    (queue) => queue.open(1, 2, 3),
    (queue) => queue.openConfirm(1, 2, 3, 4, true),
    (queue) => queue.openFailure(1),
    (queue) => queue.data(1, Uint8Array.of(5)),
    (queue) => queue.eof(1),
    (queue) => queue.close(1, true),
    (queue) => queue.close(1, false),
    (queue) => queue.scheduleCredit(new Credit(1, 100)),
    (queue) => new Bulk(queue, 1, 100),
  ];
  for (const cause of cases) {
    for (const waits of [true, false]) {
      const harness = new Harness();
      harness.queue.close(6, true, true);
      if (waits) await turn();
      cause(harness.queue);
      await turn();
      assertEquals(harness.writes.length, 1, String(cause));
      assertEquals(harness.frames().length, 2, String(cause));
      assertEquals(harness.frames()[0], { type: "close", recipient: 6 });
    }
  }
});

Deno.test("FrameQueue: a CLOSE that may wait leaves at once if its write is awaited", async () => {
  const cases: ((queue: FrameQueue) => unknown)[] = [
    (queue) => queue.written(),
    (queue) => queue.idle(),
    (queue) => queue.sendDeferred(),
  ];
  for (const cause of cases) {
    const harness = new Harness();
    harness.queue.close(6, true, true);
    await turn();
    await cause(harness.queue);
    assertEquals(harness.writes.map(toHex), ["6a00000006"]);
  }
  // Also if it is awaited while the turn lasts.
  for (const cause of cases) {
    const harness = new Harness();
    harness.queue.close(6, true, true);
    await cause(harness.queue);
    await turn();
    assertEquals(harness.writes.map(toHex), ["6a00000006"]);
  }
});

Deno.test("FrameQueue: at most 16 CLOSEs wait", async () => {
  const { queue, writes } = new Harness();
  for (let id = 0; id < 16; id++) {
    queue.close(id, true, true);
    await turn();
  }
  assertEquals(writes.length, 0);
  queue.close(16, true, true);
  await turn();
  assertEquals(writes.map(({ length }) => length), [17 * 5]);
});

Deno.test("FrameQueue: a CLOSE that may wait does so after a write, too", async () => {
  const harness = new Harness({ held: true });
  harness.queue.eof(1);
  await turn();
  harness.queue.close(6, true, true);
  await harness.release();
  assertEquals(harness.writes.length, 1);
  harness.passTime();
  assertEquals(harness.writes.length, 2);
  await harness.release();
});

Deno.test("FrameQueue: stop() ends the time of what waits", async () => {
  const harness = new Harness();
  harness.queue.close(6, true, true);
  await turn();
  harness.queue.stop();
  assertEquals(harness.timer, undefined);
  await turn();
  assertEquals(harness.writes.length, 0);
});

Deno.test("FrameQueue: CLOSEs that wait count as replies", () => {
  const { queue } = new Harness({ maxQueuedReplySize: 12 });
  queue.close(1, true, true);
  queue.close(2, true, true);
  assertThrows(() => queue.close(3, true, true), MuxError, "15 bytes");
});

Deno.test("FrameQueue: frames queued after a few awaits share the write", async () => {
  const { queue, writes } = new Harness();
  queue.eof(0);
  await null;
  await null;
  queue.eof(1);
  await null;
  await null;
  await null;
  queue.eof(2);
  await turn();
  assertEquals(writes.length, 1);
});

Deno.test("FrameQueue: cuts off a turn that does not end", async () => {
  const { queue, writes } = new Harness({ held: true });
  for (let i = 0; i < 1_000 && writes.length === 0; i++) {
    queue.eof(i);
    await null;
  }
  assertEquals(writes.length, 1);
});

Deno.test("FrameQueue: writes small DATA early when there is a lot of it", () => {
  const { queue, writes } = new Harness({ held: true });
  let sent = 0;
  while (writes.length === 0 && sent < 100) {
    queue.data(sent++, new Uint8Array(100));
  }
  assertGreater(sent, 10);
  assertLess(sent, 30);
});

Deno.test("FrameQueue: gathers more small DATA before an early write if the transport asks for it", () => {
  const { queue, writes } = new Harness({ held: true, earlyWrite: 4_096 });
  queue.data(1, new Uint8Array(3_000));
  queue.data(2, new Uint8Array(1_000));
  assertEquals(writes.length, 0);
  queue.data(3, new Uint8Array(100));
  assertEquals(writes.length, 1);
});

Deno.test("FrameQueue: gathers all of a turn, up to 16 KiB, where that takes less time", async () => {
  let time = 0;
  /** Sends so many turns, and as many values in each; returns the writes. */
  const send = async (
    { queue, writes }: Harness,
    turns: number,
    values: number,
  ) => {
    const before = time;
    for (let i = 0; i < turns; i++) {
      for (let id = 0; id < values; id++) queue.data(id, new Uint8Array(100));
      await queue.idle();
      // A peer on the same processor: only writes take time.
      time += writes.length;
      writes.length = 0;
    }
    return time - before;
  };
  assertEquals(await send(new Harness(), 10, 64), 20);
  const timed = new Harness({ clock: () => time });
  // The first turn has what finds that out loaded.
  await send(timed, 1, 64);
  await import("../flow/early_writes.ts");
  await send(timed, 2_000, 64);
  // At times, it writes early to compare.
  assertLess(await send(timed, 1_000, 64), 1_200);
  assertGreaterOrEqual(await send(timed, 10, 200), 20);
});

Deno.test("FrameQueue: large DATA of one turn leaves in one write, up to 256 KiB", async () => {
  const { queue, writes } = new Harness({ held: true });
  for (let sent = 0; sent < 3; sent++) {
    queue.data(7, new Uint8Array(64 * 1024));
    await Promise.resolve();
    assertEquals(writes.length, 0);
  }
  queue.data(7, new Uint8Array(64 * 1024));
  assertEquals(writes.length, 1);
});

Deno.test("FrameQueue: DATA that may share a frame does so with what comes directly before it", async () => {
  const harness = new Harness();
  const { queue } = harness;
  const size = 20_000;
  const send = (id: number, byte: number, shareable?: number) =>
    queue.data(id, new Uint8Array(size).fill(byte), shareable);
  send(1, 10, 3 * size);
  send(1, 11, 3 * size);
  send(1, 12, 3 * size);
  // The frame is full,
  send(1, 13, 3 * size);
  // this is of another channel,
  send(2, 20, 3 * size);
  // this needs a frame of its own,
  send(2, 21);
  send(2, 24, 3 * size);
  // and here is another frame in between.
  queue.eof(2);
  send(2, 22, 3 * size);
  await turn();
  // What has left is never added to.
  send(2, 23, 3 * size);
  await turn();
  const summary = harness.frames().map((frame) =>
    frame.type === "data"
      ? [frame.recipient, frame.payload.length, ...new Set(frame.payload)]
      : frame.type
  );
  assertEquals(summary, [
    [1, 3 * size, 10, 11, 12],
    [1, size, 13],
    [2, size, 20],
    [2, size, 21],
    [2, size, 24],
    "eof",
    [2, size, 22],
    [2, size, 23],
  ]);
});

Deno.test("FrameQueue: waits longer for the next large chunk of a stream than for other frames", async () => {
  const { queue, writes } = new Harness({ held: true });
  queue.data(7, new Uint8Array(20_000), 100_000);
  for (let pass = 0; pass < 10; pass++) await null;
  queue.data(7, new Uint8Array(20_000), 100_000);
  await turn();
  assertEquals(writes.length, 1);
});

Deno.test("FrameQueue: large DATA leaves early in the 64 writes after a small value", async () => {
  const { queue, writes } = new Harness();
  queue.data(1, new Uint8Array(100));
  await turn();
  let early = 0;
  for (;;) {
    const before = writes.length;
    queue.data(7, new Uint8Array(20_000));
    queue.data(7, new Uint8Array(20_000));
    if (writes.length === before) break;
    early++;
    await turn();
  }
  // The write with the value is the first of the 64.
  assertEquals(early, 63);
});

Deno.test("FrameQueue: small pieces of a stream do not divide its writes", async () => {
  const { queue, writes, ...harness } = new Harness({ held: true });
  queue.data(7, new Uint8Array(9), 100_000);
  for (let i = 0; i < 2; i++) {
    queue.data(7, new Uint8Array(20_000), 100_000);
    queue.data(7, new Uint8Array(9), 100_000);
  }
  await turn();
  assertEquals(writes.length, 1);
  const sizes = parseFrames(...writes).map((frame) =>
    frame.type === "data" && frame.payload.length
  );
  assertEquals(sizes, [9, 40_018]);
  assertEquals(harness.errors, []);
});

Deno.test("FrameQueue: small DATA has a frame of its own", async () => {
  const harness = new Harness();
  for (let i = 0; i < 3; i++) {
    harness.queue.data(1, new Uint8Array(100), 16 * 1024 * 1024);
  }
  await turn();
  assertEquals(
    harness.frames().map((frame) =>
      frame.type === "data" && frame.payload.length
    ),
    [100, 100, 100],
  );
});

Deno.test("FrameQueue: frames queued during a write make one write after it", async () => {
  const harness = new Harness({ held: true });
  harness.queue.eof(0);
  await turn();
  for (let id = 1; id < 4; id++) {
    harness.queue.eof(id);
    await turn();
  }
  assertEquals(harness.writes.length, 1);
  await harness.release();
  assertEquals(harness.writes.length, 2);
  assertEquals(
    harness.frames(1).map((frame) => "recipient" in frame && frame.recipient),
    [1, 2, 3],
  );
  await harness.release();
  assertEquals(harness.writes.length, 2);
});

Deno.test("FrameQueue: does not change bytes while they are being written", async () => {
  const harness = new Harness({ held: true });
  for (let round = 0; round < 6; round++) {
    harness.queue.data(round, new Uint8Array(1_000 * round).fill(round));
    await turn();
    harness.queue.data(round, new Uint8Array(5_000).fill(99));
    assertEquals(harness.current, harness.writes.at(-1));
    await harness.release();
    await harness.release();
  }
});

Deno.test("FrameQueue: data() copies its payload", async () => {
  const harness = new Harness();
  const bytes = Uint8Array.of(1, 2, 3);
  harness.queue.data(0, bytes);
  bytes.fill(0);
  await turn();
  assertEquals(harness.frames(), [
    { type: "data", recipient: 0, payload: Uint8Array.of(1, 2, 3) },
  ]);
});

Deno.test("FrameQueue: releases a large buffer once writes are small again", async () => {
  const harness = new Harness();
  harness.queue.data(0, new Uint8Array(WRITE_TARGET));
  await turn();
  const sizes: number[] = [];
  for (let i = 0; i < 200; i++) {
    harness.queue.eof(i);
    await turn();
    sizes.push(harness.current!.buffer.byteLength);
  }
  assertGreaterOrEqual(Math.max(...sizes), WRITE_TARGET);
  assertLessOrEqual(Math.max(...sizes.slice(-2)), 4 * 1024);
});

// --- Credit ------------------------------------------------------------------

Deno.test("FrameQueue: takes credit when it can leave, and sends it in one frame", async () => {
  const harness = new Harness({ held: true });
  harness.queue.eof(0);
  await turn();
  const credit = new Credit(7, 100);
  harness.queue.scheduleCredit(credit);
  await turn();
  assertEquals(credit.taken, 0);
  credit.due += 23;
  await harness.release();
  assertEquals(harness.frames(1), [
    { type: "window-adjust", recipient: 7, bytes: 123 },
  ]);
  assertEquals(credit.taken, 1);
});

Deno.test("FrameQueue: sends no credit of 0", async () => {
  const harness = new Harness();
  harness.queue.scheduleCredit(new Credit(7, 0));
  await turn();
  assertEquals(harness.writes, []);
});

Deno.test("FrameQueue: sends credit before bulk DATA", async () => {
  const harness = new Harness({ held: true });
  new Bulk(harness.queue, 1);
  harness.queue.scheduleCredit(new Credit(7, 100));
  await turn();
  assertEquals(harness.frames(0)[0]!.type, "window-adjust");
});

// --- Fairness ----------------------------------------------------------------

Deno.test("FrameQueue: sends bulk DATA in round-robin order, one quantum each", async () => {
  const harness = new Harness();
  const sources = [1, 2, 3, 4, 5, 6, 7].map((id) =>
    new Bulk(harness.queue, id, 10 * SEND_QUANTUM)
  );
  await harness.queue.idle();
  assert(sources.every(({ left }) => left === 0));
  const order = harness.frames().map((frame) =>
    frame.type === "data" && frame.recipient
  );
  for (let i = 0; i < order.length; i++) assertEquals(order[i], i % 7 + 1);
  assertEquals(order.length, 70);
});

Deno.test("FrameQueue: a source is alone if no other waits and the write has little else", async () => {
  const harness = new Harness({ held: true });
  const bulk = new Bulk(harness.queue, 1, 6 * SEND_QUANTUM);
  await turn();
  assertEquals(bulk.alone, [true, false, false, false]);
  const other = new Bulk(harness.queue, 2, SEND_QUANTUM);
  await harness.release();
  assertEquals(bulk.alone.slice(4), [false, false]);
  assertEquals(other.alone, [false]);
  const small = new Harness({ writeTarget: WRITE_TARGET / 2 });
  const alone = new Bulk(small.queue, 1, 6 * SEND_QUANTUM);
  await small.queue.idle();
  assertEquals(alone.alone.includes(true), false);
});

Deno.test("FrameQueue: no source is alone in the 64 writes after a small value", async () => {
  const harness = new Harness({ held: true });
  harness.queue.data(1, new Uint8Array(10));
  await turn();
  const bulk = new Bulk(harness.queue, 2);
  for (let write = 1; write < 64; write++) await harness.release();
  assertEquals(bulk.alone.filter((isAlone) => isAlone), []);
  await harness.release();
  assertEquals(bulk.alone.at(-4), true);
});

Deno.test("FrameQueue: a write exceeds its target by less than one quantum of bulk DATA", async () => {
  for (const writeTarget of [WRITE_TARGET, WRITE_TARGET / 2]) {
    const harness = new Harness({ held: true, writeTarget });
    new Bulk(harness.queue, 1);
    new Bulk(harness.queue, 2);
    for (let i = 0; i < 5; i++) {
      await turn();
      assertGreaterOrEqual(harness.writes[i]!.length, writeTarget);
      assertLess(harness.writes[i]!.length, writeTarget + SEND_QUANTUM + 9);
      await harness.release();
    }
  }
});

Deno.test("FrameQueue: leaves bulk DATA with its channel until the transport can write", async () => {
  const harness = new Harness({ held: true });
  harness.queue.eof(0);
  await turn();
  const bulk = new Bulk(harness.queue, 1, 1_000_000);
  await turn();
  assertEquals(bulk.left, 1_000_000);
});

Deno.test("FrameQueue: a frame queued during bulk DATA is first in the next write", async () => {
  const harness = new Harness({ held: true });
  new Bulk(harness.queue, 1);
  await turn();
  harness.queue.open(9, 9, 9);
  harness.queue.data(2, new Uint8Array(10));
  await harness.release();
  assertEquals(
    harness.frames(1).slice(0, 3).map(({ type }) => type),
    ["open", "data", "data"],
  );
  assertEquals(bytesPerChannel(harness.frames(1)).get(2), 10);
});

Deno.test("FrameQueue: small DATA that fills every write does not starve bulk DATA", async () => {
  const harness = new Harness({ held: true });
  const { queue } = harness;
  queue.eof(0);
  await turn();
  new Bulk(queue, 1);
  for (let write = 1; write < 6; write++) {
    // Fill the write with values that fit.
    while (queue.hasRoom) queue.data(2, new Uint8Array(SEND_QUANTUM));
    await harness.release();
    assertGreater(bytesPerChannel(harness.frames(write)).get(1) ?? 0, 0);
  }
});

// --- Replies -----------------------------------------------------------------

Deno.test("FrameQueue: throws limit-exceeded when the peer does not read its replies", async () => {
  const harness = new Harness({ held: true, maxQueuedReplySize: 50 });
  const { queue } = harness;
  queue.eof(0);
  await turn();
  for (let i = 0; i < 10; i++) queue.openFailure(i);
  const error = assertThrows(
    () => queue.openFailure(10),
    MuxError,
    "55 bytes of replies are queued for a peer that does not read them",
  );
  assertEquals(error.code, "limit-exceeded");
});

Deno.test("FrameQueue: accepts any number of replies that the peer reads", async () => {
  const { queue, writes } = new Harness({ maxQueuedReplySize: 50 });
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 10; i++) queue.close(i, true);
    await turn();
  }
  assertEquals(writes.length, 20);
});

Deno.test("FrameQueue: frames that are not replies do not count as such", () => {
  const { queue } = new Harness({ held: true, maxQueuedReplySize: 50 });
  for (let i = 0; i < 100; i++) {
    queue.open(i, 1, 9);
    queue.openConfirm(i, i, 1, 9, false);
    queue.eof(i);
    queue.close(i, false);
  }
  queue.close(0, true);
  queue.openConfirm(0, 0, 1, 9, true);
  queue.openFailure(0);
  queue.openFailure(0);
  queue.openFailure(0);
  queue.openFailure(0);
  const error = assertThrows(
    () => queue.openConfirm(0, 0, 1, 9, true),
    MuxError,
    "59 bytes of replies are queued",
  );
  assertEquals(error.code, "limit-exceeded");
});

// --- written() and idle() ----------------------------------------------------

Deno.test("FrameQueue: written() resolves after the write of what was queued, not after a later one", async () => {
  const harness = new Harness({ held: true });
  const { queue } = harness;
  queue.eof(0);
  const first = watch(queue.written());
  await turn();
  const sameAsFirst = watch(queue.written());
  queue.eof(1);
  const second = watch(queue.written());
  await turn();
  assertEquals(first.state, "pending");
  await harness.release();
  assertEquals([first.state, sameAsFirst.state], ["resolved", "resolved"]);
  assertEquals(second.state, "pending");
  await harness.release();
  assertEquals(second.state, "resolved");
  await queue.written();
});

Deno.test("FrameQueue: idle() resolves after credit and bulk DATA are written too", async () => {
  const harness = new Harness({ held: true });
  const { queue } = harness;
  await queue.idle();
  new Bulk(queue, 1, WRITE_TARGET + 1);
  queue.scheduleCredit(new Credit(7, 1));
  const idle = watch(queue.idle());
  await turn();
  assertEquals(harness.writes.length, 1);
  await harness.release();
  if (harness.writes.length === 2) {
    assertEquals(idle.state, "pending");
    await harness.release();
  }
  assertEquals(idle.state, "resolved");
  assertEquals(bytesPerChannel(harness.frames()).get(1), WRITE_TARGET + 1);
});

// --- The end -----------------------------------------------------------------

Deno.test("FrameQueue: a failed write calls onError once and resolves all that wait", async () => {
  const harness = new Harness({ held: true });
  const { queue } = harness;
  queue.eof(0);
  const written = watch(queue.written());
  await turn();
  queue.eof(1);
  const next = watch(queue.written());
  const idle = watch(queue.idle());
  const broken = new Error("broken pipe");
  await harness.fail(broken);
  assertEquals(harness.errors, [broken]);
  assertEquals(
    [written.state, next.state, idle.state],
    ["resolved", "resolved", "resolved"],
  );

  queue.eof(2);
  queue.openFailure(2);
  queue.data(2, new Uint8Array(5_000));
  new Bulk(queue, 2);
  queue.scheduleCredit(new Credit(2, 1));
  await turn();
  assertEquals(harness.writes.length, 1);
  await queue.written();
  await queue.idle();
});

Deno.test("FrameQueue: a write that throws synchronously has failed", async () => {
  const errors: unknown[] = [];
  const queue = new FrameQueue({
    write: () => {
      throw new TypeError("not a pipe");
    },
    onError: (error) => errors.push(error),
    maxQueuedReplySize: 1,
  });
  queue.eof(0);
  await turn();
  assertEquals(errors.map(String), ["TypeError: not a pipe"]);
});

Deno.test("FrameQueue: stop() drops what is queued and resolves all that wait", async () => {
  const harness = new Harness({ held: true });
  const { queue } = harness;
  queue.eof(0);
  await turn();
  queue.eof(1);
  const written = watch(queue.written());
  const idle = watch(queue.idle());
  queue.stop();
  await turn();
  assertEquals([written.state, idle.state], ["resolved", "resolved"]);
  await harness.fail(new Error("closed under the write"));
  assertEquals(harness.errors, [], "a failure after stop() is not reported");
  assertEquals(harness.writes.length, 1);
});

Deno.test("FrameQueue: stop() before the turn ends prevents the write", async () => {
  const harness = new Harness();
  harness.queue.eof(0);
  harness.queue.stop();
  await turn();
  assertEquals(harness.writes, []);
});

Deno.test("FrameQueue: it stays stopped if a channel's callback stops it while frames are gathered", async () => {
  const harness = new Harness();
  new Ending(harness.queue);
  await turn();
  harness.queue.eof(3);
  await turn();
  assertEquals(harness.writes, []);
});

Deno.test("growBuffer: doubles until the bytes fit, and keeps those used", () => {
  const first = growBuffer(new Uint8Array(0), 0, 1);
  assertEquals(first.length, 256);
  first.fill(7);
  const grown = growBuffer(first, 3, 1_025);
  assertEquals(grown.length, 2_048);
  assertEquals([...grown.subarray(0, 5)], [7, 7, 7, 0, 0]);
  // A large one has little more than is needed.
  const large = growBuffer(grown, 3, 520 * 1_024);
  assertEquals(large.length, 576 * 1_024);
  assertEquals([...large.subarray(0, 5)], [7, 7, 7, 0, 0]);
  assertEquals(growBuffer(large, 3, 577 * 1_024).length, 1_152 * 1_024);
});

Deno.test("BufferRetention: releases a large buffer after 64 small writes in a row", () => {
  const retention = new BufferRetention();
  const large = new Uint8Array(4_096);
  for (let i = 0; i < 63; i++) {
    assertStrictEquals(retention.retain(large, 1_024), large);
  }
  assertEquals(retention.retain(large, 1_024).length, 256);
});

Deno.test("BufferRetention: a large write in between keeps the buffer", () => {
  const retention = new BufferRetention();
  const large = new Uint8Array(4_096);
  for (let i = 0; i < 200; i++) {
    const written = i % 50 === 0 ? 1_025 : 1;
    assertStrictEquals(retention.retain(large, written), large);
  }
});

Deno.test("BufferRetention: keeps a small buffer", () => {
  const retention = new BufferRetention();
  const small = new Uint8Array(256);
  for (let i = 0; i < 100; i++) {
    assertStrictEquals(retention.retain(small, 1), small);
  }
});
