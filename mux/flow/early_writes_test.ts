import { assertEquals, assertGreater, assertLess } from "@std/assert";
import { EarlyWrites } from "./early_writes.ts";

const EARLY = 2_048;
const LATE = 16_384;

/** Values of one turn. */
const TURN = 64;

/** A session that sends turns, on a clock that the test moves. */
class Sender {
  now = 0;
  sent = 0;
  readonly writes: EarlyWrites;
  size: number;
  /** How often the clock was read. */
  looks = 0;

  /** Tries late writes first, then early ones first, and so on. */
  constructor(size = EARLY) {
    let lateFirst = false;
    this.size = size;
    const clock = () => (this.looks++, this.now);
    this.writes = new EarlyWrites(
      size,
      clock,
      () => {
        lateFirst = !lateFirst;
        return lateFirst ? 0 : 0.9;
      },
    );
  }

  /**
   * Sends so many turns. Returns what share of them had late writes.
   *
   * @param time milliseconds that a turn takes with early and with late writes
   */
  send(turns: number, time: (isLate: boolean, turn: number) => number): number {
    let late = 0;
    for (let turn = 0; turn < turns; turn++) {
      const isLate = this.size === LATE;
      if (isLate) late++;
      this.now += time(isLate, turn);
      this.size = this.writes.next(this.sent += TURN);
    }
    return late / turns;
  }
}

/** Turns in which the better way is found: those of a second or less. */
const SECOND = 3_000;

Deno.test("EarlyWrites: writes early where that is faster", () => {
  const sender = new Sender();
  sender.send(SECOND, (isLate) => isLate ? 0.4 : 0.3);
  assertLess(sender.send(20_000, (isLate) => isLate ? 0.4 : 0.3), 0.05);
});

Deno.test("EarlyWrites: writes late where that is faster", () => {
  const sender = new Sender();
  sender.send(SECOND, (isLate) => isLate ? 0.3 : 0.36);
  assertLess(1 - sender.send(20_000, (isLate) => isLate ? 0.3 : 0.36), 0.05);
});

Deno.test("EarlyWrites: goes on with early writes where both are as fast", () => {
  const sender = new Sender();
  sender.send(20_000, () => 0.3);
  // It has nothing to lose, and goes on to compare.
  assertLess(sender.send(20_000, () => 0.3), 0.51);
});

Deno.test("EarlyWrites: finds out that a process has moved", () => {
  const sender = new Sender();
  sender.send(20_000, (isLate) => isLate ? 0.3 : 0.36);
  sender.send(5 * SECOND, (isLate) => isLate ? 0.36 : 0.3);
  assertLess(sender.send(20_000, (isLate) => isLate ? 0.36 : 0.3), 0.05);
});

Deno.test("EarlyWrites: is not misled by a pause", () => {
  const sender = new Sender();
  const time = (isLate: boolean) => isLate ? 0.3 : 0.4;
  sender.send(SECOND, time);
  for (let pauses = 0; pauses < 20; pauses++) {
    sender.now += 10_000;
    assertGreater(sender.send(SECOND, time), 0.7);
  }
});

Deno.test("EarlyWrites: is not misled by turns of which one in ten takes ten times as long", () => {
  const sender = new Sender();
  const time = (isLate: boolean, turn: number) =>
    (isLate ? 0.3 : 0.4) * (turn % 10 === 0 ? 10 : 1);
  sender.send(2 * SECOND, time);
  assertLess(1 - sender.send(20_000, time), 0.1);
});

Deno.test("EarlyWrites: 20,000 turns read the clock less than 50 times", () => {
  const sender = new Sender();
  sender.send(20_000, (isLate) => isLate ? 0.3 : 0.36);
  const { looks } = sender;
  sender.send(20_000, (isLate) => isLate ? 0.3 : 0.36);
  assertLess(sender.looks - looks, 50);
});

Deno.test("EarlyWrites: does not make an early write larger than a transport has it", () => {
  const sender = new Sender(32_768);
  sender.send(20_000, () => 0.3);
  assertEquals(sender.size, 32_768);
});

Deno.test("EarlyWrites: a clock that stands still makes neither way better", () => {
  const sender = new Sender();
  sender.send(20_000, () => 0);
  sender.send(SECOND, (isLate) => isLate ? 0.3 : 0.4);
  assertLess(1 - sender.send(20_000, (isLate) => isLate ? 0.3 : 0.4), 0.05);
});
