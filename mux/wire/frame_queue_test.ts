import {
  assert,
  assertEquals,
  assertGreater,
  assertGreaterOrEqual,
  assertLess,
  assertLessOrEqual,
  assertThrows,
} from "@std/assert";
import { parseFrames, toHex } from "../../tests/support/wire.ts";
import { turn, watch } from "../../tests/support/within.ts";
import { MuxError } from "../errors.ts";
import { type Frame, FrameType } from "./frame.ts";
import {
  type CreditSource,
  FrameQueue,
  type FrameSource,
  SEND_QUANTUM,
  WRITE_TARGET,
} from "./frame_queue.ts";

/** A queue whose transport is the test. */
class Harness {
  readonly queue: FrameQueue;
  /** What each write was given, as it was then. */
  readonly writes: Uint8Array[] = [];
  readonly errors: unknown[] = [];
  /** The very bytes of the write under way. */
  current: Uint8Array | undefined;
  #settle: PromiseWithResolvers<void> | undefined;

  constructor({ held = false, maxQueuedReplySize = 1_000 } = {}) {
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
    });
  }

  /** Frames of one write, or of all. */
  frames(index?: number): Frame[] {
    return parseFrames(
      ...index === undefined ? this.writes : [this.writes[index]!],
    );
  }

  /** Ends the write under way, and lets the next one begin. */
  async release(): Promise<void> {
    const settle = this.#settle;
    assert(settle !== undefined, "no write is under way");
    this.#settle = undefined;
    settle.resolve();
    await turn();
  }

  /** Fails the write under way. */
  async fail(error: unknown): Promise<void> {
    const settle = this.#settle!;
    this.#settle = undefined;
    settle.reject(error);
    await turn();
  }
}

/** A channel with that many bytes to send, all of them its number. */
class Bulk implements FrameSource {
  readonly #queue: FrameQueue;
  readonly #id: number;
  left: number;

  constructor(queue: FrameQueue, id: number, bytes = Infinity) {
    this.#queue = queue;
    this.#id = id;
    this.left = bytes;
    queue.ready(this);
  }

  pull(): boolean {
    const size = Math.min(SEND_QUANTUM, this.left);
    this.left -= size;
    this.#queue.data(this.#id, new Uint8Array(size).fill(this.#id));
    return this.left > 0;
  }
}

/** A channel with credit to return. */
class Credit implements CreditSource {
  taken = 0;

  constructor(readonly remoteId: number, public due: number) {}

  takeAdjust(): number {
    this.taken++;
    const { due } = this;
    this.due = 0;
    return due;
  }
}

/** How many DATA bytes of each channel these frames carry. */
function bytesPerChannel(frames: Frame[]): Map<number, number> {
  const bytes = new Map<number, number>();
  for (const frame of frames) {
    if (frame.type !== "data") continue;
    const before = bytes.get(frame.recipient) ?? 0;
    bytes.set(frame.recipient, before + frame.payload.length);
  }
  return bytes;
}

// --- One write a turn --------------------------------------------------------

Deno.test("frame queue: what is queued in one turn leaves in one write, in its order", async () => {
  const { queue, writes, ...harness } = new Harness();
  queue.frame(FrameType.OPEN, 1, 2, 3);
  queue.data(4, Uint8Array.of(5));
  queue.frame(FrameType.EOF, 4);
  queue.reply(FrameType.CLOSE, 6);
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

Deno.test("frame queue: answers that take a few awaits still share the write", async () => {
  const { queue, writes } = new Harness();
  queue.frame(FrameType.EOF, 0);
  await null;
  await null;
  queue.frame(FrameType.EOF, 1);
  await null;
  await null;
  await null;
  queue.frame(FrameType.EOF, 2);
  await turn();
  assertEquals(writes.length, 1);
});

Deno.test("frame queue: a turn that never ends is cut, so that frames leave all the same", async () => {
  const { queue, writes } = new Harness({ held: true });
  for (let i = 0; i < 1_000 && writes.length === 0; i++) {
    queue.frame(FrameType.EOF, i);
    await null;
  }
  assertEquals(writes.length, 1);
});

Deno.test("frame queue: much small DATA does not wait for the end of the turn", () => {
  const { queue, writes } = new Harness({ held: true });
  let sent = 0;
  while (writes.length === 0 && sent < 100) {
    queue.data(sent++, new Uint8Array(100));
  }
  assertGreater(sent, 10);
  assertLess(sent, 30);
});

Deno.test("frame queue: what gathers during a write makes one write behind it", async () => {
  const harness = new Harness({ held: true });
  harness.queue.frame(FrameType.EOF, 0);
  await turn();
  for (let id = 1; id < 4; id++) {
    harness.queue.frame(FrameType.EOF, id);
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

Deno.test("frame queue: bytes do not change while they are written", async () => {
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

Deno.test("frame queue: DATA is copied when it is queued", async () => {
  const harness = new Harness();
  const bytes = Uint8Array.of(1, 2, 3);
  harness.queue.data(0, bytes);
  bytes.fill(0);
  await turn();
  assertEquals(harness.frames(), [
    { type: "data", recipient: 0, payload: Uint8Array.of(1, 2, 3) },
  ]);
});

Deno.test("frame queue: a buffer that grew is let go once writes are small again", async () => {
  const harness = new Harness();
  harness.queue.data(0, new Uint8Array(WRITE_TARGET));
  await turn();
  const sizes: number[] = [];
  for (let i = 0; i < 200; i++) {
    harness.queue.frame(FrameType.EOF, i);
    await turn();
    sizes.push(harness.current!.buffer.byteLength);
  }
  assertGreaterOrEqual(Math.max(...sizes), WRITE_TARGET);
  assertLessOrEqual(Math.max(...sizes.slice(-2)), 4 * 1024);
});

// --- Credit ------------------------------------------------------------------

Deno.test("frame queue: credit is asked for when it can leave, and goes as one frame", async () => {
  const harness = new Harness({ held: true });
  harness.queue.frame(FrameType.EOF, 0);
  await turn();
  const credit = new Credit(7, 100);
  harness.queue.adjust(credit);
  await turn();
  assertEquals(credit.taken, 0);
  credit.due += 23;
  await harness.release();
  assertEquals(harness.frames(1), [
    { type: "window-adjust", recipient: 7, bytes: 123 },
  ]);
  assertEquals(credit.taken, 1);
});

Deno.test("frame queue: a channel that may not send any more returns no credit", async () => {
  const harness = new Harness();
  harness.queue.adjust(new Credit(7, 0));
  await turn();
  assertEquals(harness.writes, []);
});

Deno.test("frame queue: credit goes before bulk", async () => {
  const harness = new Harness({ held: true });
  new Bulk(harness.queue, 1);
  harness.queue.adjust(new Credit(7, 100));
  await turn();
  assertEquals(harness.frames(0)[0]!.type, "window-adjust");
});

// --- Fairness ----------------------------------------------------------------

Deno.test("frame queue: bulk takes turns, a quantum each", async () => {
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

Deno.test("frame queue: one write carries no more bulk than its target and a quantum", async () => {
  const harness = new Harness({ held: true });
  new Bulk(harness.queue, 1);
  new Bulk(harness.queue, 2);
  for (let i = 0; i < 5; i++) {
    await turn();
    assertGreaterOrEqual(harness.writes[i]!.length, WRITE_TARGET);
    assertLess(harness.writes[i]!.length, WRITE_TARGET + SEND_QUANTUM + 9);
    await harness.release();
  }
});

Deno.test("frame queue: bulk stays with its channel until the transport can take it", async () => {
  const harness = new Harness({ held: true });
  harness.queue.frame(FrameType.EOF, 0);
  await turn();
  const bulk = new Bulk(harness.queue, 1, 1_000_000);
  await turn();
  assertEquals(bulk.left, 1_000_000);
});

Deno.test("frame queue: a frame that comes during bulk leads the next write", async () => {
  const harness = new Harness({ held: true });
  new Bulk(harness.queue, 1);
  await turn();
  harness.queue.frame(FrameType.OPEN, 9, 9, 9);
  harness.queue.data(2, new Uint8Array(10));
  await harness.release();
  assertEquals(
    harness.frames(1).slice(0, 3).map(({ type }) => type),
    ["open", "data", "data"],
  );
  assertEquals(bytesPerChannel(harness.frames(1)).get(2), 10);
});

Deno.test("frame queue: small DATA that fills every write does not starve bulk", async () => {
  const harness = new Harness({ held: true });
  const { queue } = harness;
  queue.frame(FrameType.EOF, 0);
  await turn();
  new Bulk(queue, 1);
  for (let write = 1; write < 6; write++) {
    // As many channels as it takes, each with a value that fits.
    while (queue.hasRoom) queue.data(2, new Uint8Array(SEND_QUANTUM));
    await harness.release();
    assertGreater(bytesPerChannel(harness.frames(write)).get(1) ?? 0, 0);
  }
});

// --- Answers -----------------------------------------------------------------

Deno.test("frame queue: answers that a peer does not read end the session", async () => {
  const harness = new Harness({ held: true, maxQueuedReplySize: 50 });
  const { queue } = harness;
  queue.frame(FrameType.EOF, 0);
  await turn();
  for (let i = 0; i < 10; i++) queue.reply(FrameType.OPEN_FAILURE, i);
  const error = assertThrows(
    () => queue.reply(FrameType.OPEN_FAILURE, 10),
    MuxError,
    "55 bytes of answers wait for a peer that does not read",
  );
  assertEquals(error.code, "limit-exceeded");
});

Deno.test("frame queue: answers that the peer reads may be any number", async () => {
  const { queue, writes } = new Harness({ maxQueuedReplySize: 50 });
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 10; i++) queue.reply(FrameType.CLOSE, i);
    await turn();
  }
  assertEquals(writes.length, 20);
});

Deno.test("frame queue: frames of this side's own do not count as answers", () => {
  const { queue } = new Harness({ held: true, maxQueuedReplySize: 50 });
  for (let i = 0; i < 100; i++) queue.frame(FrameType.EOF, i);
  queue.reply(FrameType.CLOSE, 0);
});

// --- written() and idle() ----------------------------------------------------

Deno.test("frame queue: written() resolves with the write of what was queued, not with a later one", async () => {
  const harness = new Harness({ held: true });
  const { queue } = harness;
  queue.frame(FrameType.EOF, 0);
  const first = watch(queue.written());
  await turn();
  const sameAsFirst = watch(queue.written());
  queue.frame(FrameType.EOF, 1);
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

Deno.test("frame queue: idle() resolves when credit and bulk have left too", async () => {
  const harness = new Harness({ held: true });
  const { queue } = harness;
  await queue.idle();
  new Bulk(queue, 1, WRITE_TARGET + 1);
  queue.adjust(new Credit(7, 1));
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

Deno.test("frame queue: a write that fails is told once, and everybody who waits goes on", async () => {
  const harness = new Harness({ held: true });
  const { queue } = harness;
  queue.frame(FrameType.EOF, 0);
  const written = watch(queue.written());
  await turn();
  queue.frame(FrameType.EOF, 1);
  const next = watch(queue.written());
  const idle = watch(queue.idle());
  const broken = new Error("broken pipe");
  await harness.fail(broken);
  assertEquals(harness.errors, [broken]);
  assertEquals(
    [written.state, next.state, idle.state],
    ["resolved", "resolved", "resolved"],
  );

  queue.frame(FrameType.EOF, 2);
  queue.reply(FrameType.EOF, 2);
  queue.data(2, new Uint8Array(5_000));
  new Bulk(queue, 2);
  queue.adjust(new Credit(2, 1));
  await turn();
  assertEquals(harness.writes.length, 1);
  await queue.written();
  await queue.idle();
});

Deno.test("frame queue: a write that throws at once is a write that failed", async () => {
  const errors: unknown[] = [];
  const queue = new FrameQueue({
    write: () => {
      throw new TypeError("not a pipe");
    },
    onError: (error) => errors.push(error),
    maxQueuedReplySize: 1,
  });
  queue.frame(FrameType.EOF, 0);
  await turn();
  assertEquals(errors.map(String), ["TypeError: not a pipe"]);
});

Deno.test("frame queue: stop() drops what is queued and frees who waits", async () => {
  const harness = new Harness({ held: true });
  const { queue } = harness;
  queue.frame(FrameType.EOF, 0);
  await turn();
  queue.frame(FrameType.EOF, 1);
  const written = watch(queue.written());
  const idle = watch(queue.idle());
  queue.stop();
  await turn();
  assertEquals([written.state, idle.state], ["resolved", "resolved"]);
  await harness.fail(new Error("closed under the write"));
  assertEquals(harness.errors, [], "nobody needs to hear that");
  assertEquals(harness.writes.length, 1);
});

Deno.test("frame queue: stop() before the turn ends writes nothing", async () => {
  const harness = new Harness();
  harness.queue.frame(FrameType.EOF, 0);
  harness.queue.stop();
  await turn();
  assertEquals(harness.writes, []);
});
