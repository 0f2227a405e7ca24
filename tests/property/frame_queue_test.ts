/**
 * A frame queue gets what channels send in random orders, while its transport takes
 * its time: small values, large ones, streams, and what asks for no payload.
 *
 * @module
 */
import {
  assert,
  assertEquals,
  assertGreater,
  assertLessOrEqual,
} from "@std/assert";
import { DeferredWrites } from "../../mux/flow/deferred_writes.ts";
import { LONE_QUANTUM, SEND_QUANTUM } from "../../mux/wire/frame.ts";
import { FrameQueue, WRITE_TARGET } from "../../mux/wire/frame_queue.ts";
import type { CreditSource, DataSource } from "../../mux/wire/frame_source.ts";
import { forSeeds, Random, runsAllSeeds } from "../support/random.ts";
import { FrameCollector } from "../support/wire.ts";
import { turn, until } from "../support/within.ts";

/** DATA of fewer bytes is small; see `frame_queue.ts`. */
const LARGE_DATA = 16 * 1024;
/** What is not bulk: channels of one world have no more of it at a time. */
const OTHER_FRAMES = 32 * 1024;
/** Bytes of the largest write buffer that mux/SPEC.md allows. */
const LARGEST_WRITE = 576 * 1024;

/** After so many bytes, those that a channel sends begin again. */
const PERIOD = 65_521;
/** What channels send, each from a place of its own on. */
const TAPE = tape(new Random(1).bytes(PERIOD), PERIOD + 2 * 1024 * 1024);

function tape(bytes: Uint8Array, size: number): Uint8Array {
  const tape = new Uint8Array(size);
  for (let at = 0; at < size; at += PERIOD) {
    tape.set(bytes.subarray(0, size - at), at);
  }
  return tape;
}

/** The payload of a channel from a place on: a view, so that it costs nothing. */
function payload(id: number, at: number, size: number): Uint8Array {
  const from = (id * 7_919 + at) % PERIOD;
  return TAPE.subarray(from, from + size);
}

/** Whether bytes are the same; of many, a sample and both ends. */
function areEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  const step = a.length > 4_096 ? 61 : 1;
  for (let i = 0; i < a.length; i += step) if (a[i] !== b[i]) return false;
  return a.at(-1) === b.at(-1);
}

/** A channel: what it has queued, and what has come out. */
class Sender implements DataSource, CreditSource {
  readonly remoteId: number;
  /** The largest frame that bytes of a stream may share; 0 for one of values. */
  readonly #shareable: number;
  readonly #world: World;
  /** Bytes given to the queue, and those that have left. */
  queued = 0;
  left = 0;
  /** Bytes that wait to be asked for. */
  waiting = 0;
  scheduled = false;
  creditScheduled = false;
  credit = 0;
  /** Bytes of credit in all, and those whose WINDOW_ADJUST has left. */
  granted = 0;
  returned = 0;
  /** EOF and CLOSE: whether they were queued, and whether they have left. */
  readonly ends: string[] = [];
  readonly endsLeft: string[] = [];

  constructor(world: World, remoteId: number, shareable: number) {
    this.#world = world;
    this.remoteId = remoteId;
    this.#shareable = shareable;
  }

  get isOver(): boolean {
    return this.ends.includes("close");
  }

  /** Sends as a channel does: at once if nothing waits, and there is room. */
  send(size: number): void {
    const { queue } = this.#world;
    if (this.isOver || this.ends.includes("eof")) return;
    if (this.waiting === 0 && queue.hasRoom && size <= SEND_QUANTUM) {
      return this.#put(size);
    }
    this.waiting += size;
    if (this.scheduled) return;
    this.scheduled = true;
    this.#world.waiting.push(this);
    queue.scheduleData(this);
  }

  pull(isAlone = false): boolean {
    const { waiting } = this.#world;
    const first = waiting.shift();
    this.#world.check(() =>
      assert(first === this, "the first that waits is asked first")
    );
    if (isAlone) this.#world.check(() => this.#world.checkAlone());
    const quantum = isAlone && this.#shareable === 0
      ? LONE_QUANTUM
      : SEND_QUANTUM;
    const size = Math.min(this.waiting, quantum);
    this.waiting -= size;
    this.#put(size);
    this.scheduled = this.waiting > 0;
    if (this.scheduled) waiting.push(this);
    return this.scheduled;
  }

  #put(size: number): void {
    const bytes = payload(this.remoteId, this.queued, size);
    this.queued += size;
    const isValue = this.#shareable === 0;
    if (isValue && size < LARGE_DATA) this.#world.lastValue = 0;
    this.#world.queue.data(this.remoteId, bytes, this.#shareable);
  }

  end(how: "eof" | "close", mayWait: boolean): void {
    if (this.isOver || this.waiting > 0 || this.ends.includes(how)) return;
    this.ends.push(how);
    if (how === "eof") this.#world.queue.eof(this.remoteId);
    else this.#world.queue.close(this.remoteId, false, mayWait);
  }

  grant(bytes: number): void {
    this.credit += bytes;
    this.granted += bytes;
    if (this.creditScheduled) return;
    this.creditScheduled = true;
    this.#world.queue.scheduleCredit(this);
  }

  takeCredit(): number {
    this.creditScheduled = false;
    const { credit } = this;
    this.credit = 0;
    return credit;
  }

  /** DATA has left. */
  sent(bytes: Uint8Array): void {
    assertLessOrEqual(
      bytes.length,
      this.#shareable === 0 ? LONE_QUANTUM : this.#shareable,
    );
    assertEquals(this.endsLeft, [], "no DATA after the end");
    const expected = payload(this.remoteId, this.left, bytes.length);
    assert(
      areEqual(bytes, expected),
      `bytes from ${this.left} on are others`,
    );
    this.left += bytes.length;
  }
}

/** A queue, its channels, and a transport that takes its time. */
class World {
  readonly queue: FrameQueue;
  readonly senders: Sender[] = [];
  /** Those that wait to be asked for DATA, in order. */
  waiting: Sender[] = [];
  /** Writes since the last small value. */
  lastValue = Infinity;
  writes = 0;
  alone = 0;
  /** What was wrong where the queue cannot be told. */
  readonly #failures: unknown[] = [];
  #time = 0;
  #write:
    | { bytes: Uint8Array; copy: Uint8Array; resolve: () => void }
    | undefined;
  #expire: (() => void) | undefined;
  readonly #isHeld: boolean;
  /** Whether there are small values, beside which no frame is large. */
  readonly #hasSmall: boolean;
  readonly #writeTarget: number;
  readonly #collector: FrameCollector;

  constructor(random: Random) {
    this.#isHeld = random.chance(0.7);
    this.#hasSmall = random.chance(0.6);
    this.#writeTarget = random.pick([WRITE_TARGET, WRITE_TARGET, 128 * 1024]);
    this.queue = new FrameQueue({
      write: (bytes) => this.#onWrite(bytes),
      onError: (error) => this.#failures.push(error),
      maxQueuedReplySize: 1_000_000,
      buffers: {
        writeTarget: this.#writeTarget,
        headroom: random.pick([undefined, 13]),
        exchange: () => undefined,
      },
      earlyWrite: random.pick([undefined, 4_096, 40_000]),
      clock: random.chance(0.8) ? () => this.#time : undefined,
      deferred: new DeferredWrites((_ms, expire) => {
        this.#expire = expire;
        return () => this.#expire = undefined;
      }),
    });
    this.#collector = new FrameCollector((frame) => {
      if (frame.type === "open" || frame.type === "open-confirm") return;
      const sender = this.senders[frame.recipient]!;
      if (frame.type === "data") sender.sent(frame.payload);
      else if (frame.type === "window-adjust") sender.returned += frame.bytes;
      else sender.endsLeft.push(frame.type);
    });
    for (let id = random.int(1, 6); id > 0; id--) {
      const shareable = random.pick([0, 0, SEND_QUANTUM, 300_000]);
      this.senders.push(new Sender(this, this.senders.length, shareable));
    }
  }

  #onWrite(bytes: Uint8Array): Promise<void> {
    assert(this.#write === undefined, "two writes at once");
    const most = this.#writeTarget === WRITE_TARGET
      ? LARGEST_WRITE
      : this.#writeTarget + 2 * SEND_QUANTUM + OTHER_FRAMES;
    assertLessOrEqual(bytes.length, most);
    this.writes++;
    this.lastValue++;
    const copy = bytes.slice();
    this.#collector.push(copy);
    if (!this.#isHeld) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#write = { bytes, copy, resolve };
    return promise;
  }

  /** The transport has written what it got, and nobody has changed it. */
  release(): void {
    const write = this.#write;
    if (write === undefined) return;
    this.#write = undefined;
    assert(
      areEqual(write.bytes, write.copy),
      "bytes change while they are written",
    );
    write.bytes.fill(0xdd);
    write.resolve();
  }

  /** Checks something while the queue is at work. */
  check(assertion: () => void): void {
    try {
      assertion();
    } catch (error) {
      this.#failures.push(error);
    }
  }

  pass(ms: number): void {
    this.#time += ms;
  }

  expire(): void {
    const expire = this.#expire;
    this.#expire = undefined;
    expire?.();
  }

  /** What the queue says when it asks for a large frame. */
  checkAlone(): void {
    this.alone++;
    assertEquals(this.waiting.length, 0, "others wait");
    assertEquals(this.#writeTarget, WRITE_TARGET);
    assertGreater(this.lastValue, 63, "a small value was sent just now");
  }

  step(random: Random): Promise<unknown> | void {
    for (const failure of this.#failures) throw failure;
    const sender = random.pick(this.senders);
    const dice = random.next();
    if (dice < 0.3 && this.#hasSmall) {
      // Many at a time, as the calls of a turn: they are early writes.
      for (let i = random.pick([1, 1, 1, 60]); i > 0; i--) {
        random.pick(this.senders).send(random.pick([1, 90, 900, 16_000]));
      }
    } else if (dice < 0.36) {
      sender.send(
        this.#hasSmall
          ? random.pick([16_384, 70_000, 600_000, 1_500_000])
          : SEND_QUANTUM * random.pick([1, 8, 20]),
      );
    } else if (dice < 0.4) sender.grant(random.int(1, 100_000));
    else if (dice < 0.41) sender.end("eof", false);
    else if (dice < 0.42) sender.end("close", random.chance(0.7));
    else if (dice < 0.5) this.pass(random.pick([0, 0.1, 5, 100]));
    else if (dice < 0.7) this.release();
    else if (dice < 0.72) this.expire();
    else if (dice < 0.8) return turn();
    else return Promise.resolve();
  }

  /** Everything leaves, and nothing else. */
  async finish(): Promise<void> {
    await until(() => {
      for (const failure of this.#failures) throw failure;
      this.release();
      this.expire();
      return this.senders.every((sender) =>
        sender.waiting === 0 && sender.left === sender.queued &&
        sender.returned === sender.granted &&
        sender.ends.length === sender.endsLeft.length
      );
    });
    this.release();
    await turn();
    this.release();
    await this.queue.idle();
    for (const failure of this.#failures) throw failure;
    assertEquals(this.waiting, []);
    for (const { ends, endsLeft, granted, returned } of this.senders) {
      assertEquals(endsLeft, ends);
      assertEquals(returned, granted);
    }
    assert(this.#collector.atBoundary);
  }
}

Deno.test("random queues: every frame leaves once, in the order of its channel, and within the bounds of a write", async () => {
  let writes = 0;
  let alone = 0;
  await forSeeds(20, async (random) => {
    const world = new World(random);
    for (let i = random.int(50, 1_200); i > 0; i--) await world.step(random);
    await world.finish();
    writes += world.writes;
    alone += world.alone;
  });
  // The test is no test if nothing happens in it.
  if (!runsAllSeeds()) return;
  assertGreater(writes, 500);
  assertGreater(alone, 10);
});
