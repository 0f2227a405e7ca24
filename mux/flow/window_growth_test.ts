import {
  assertEquals,
  assertGreater,
  assertGreaterOrEqual,
  assertLess,
  assertLessOrEqual,
} from "@std/assert";
import {
  KIB,
  MIB,
  policy,
  type TestPolicy,
} from "../../tests/support/window_policy.ts";
import { SEND_QUANTUM } from "../wire/frame_queue.ts";
import { ReceiveWindow, SendWindow, WindowBudget } from "./window.ts";

/** A sender, a link and a reader, on a clock that jumps from event to event. */
interface Link {
  /** Milliseconds there and back. */
  round: number;
  /** Bytes a millisecond. */
  bandwidth: number;
  /** Bytes a millisecond that the application takes; no limit by default. */
  appetite?: number;
  /** Bytes that the application takes at once; 16 KiB by default. */
  packet?: number;
}

/**
 * Sends `bytes` through a link in packets, credit permitting, and returns the
 * milliseconds that it took.
 */
function transfer(
  shared: TestPolicy,
  window: ReceiveWindow,
  { round, bandwidth, appetite = Infinity, packet = 16 * KIB }: Link,
  bytes: number,
): number {
  const start = shared.time;
  shared.round = round;
  const sender = new SendWindow();
  sender.grant(window.granted);
  /** What is under way, in the order of its times: packets, bites, credit. */
  const events: { at: number; happen: () => void }[] = [];
  const schedule = (at: number, happen: () => void) => {
    const index = events.findLastIndex((event) => event.at <= at);
    events.splice(index + 1, 0, { at, happen });
  };
  let unsent = bytes;
  let eaten = 0;
  let lineFree = start;
  let mouthFree = start;

  const send = () => {
    while (unsent > 0 && sender.credit > 0) {
      const size = Math.min(packet, sender.credit, unsent);
      sender.take(size);
      unsent -= size;
      lineFree = Math.max(lineFree, shared.time) + size / bandwidth;
      schedule(lineFree + round / 2, () => arrive(size));
    }
  };
  const arrive = (size: number) => {
    window.receive(size);
    mouthFree = Math.max(mouthFree, shared.time) + size / appetite;
    schedule(mouthFree, () => eat(size));
  };
  const eat = (size: number) => {
    eaten += size;
    const credit = window.consume(size);
    if (credit === 0) return;
    schedule(shared.time + round / 2, () => {
      sender.grant(credit);
      send();
    });
  };

  send();
  for (let event = events.shift(); event; event = events.shift()) {
    shared.time = event.at;
    event.happen();
  }
  assertEquals(eaten, bytes, "the transfer came to a stop");
  return shared.time - start;
}

const LINKS: Record<string, Link> = {
  "a data centre, 1 Gbit/s over 0.5 ms": { round: 0.5, bandwidth: 125 * KIB },
  "a home line, 50 Mbit/s over 20 ms": { round: 20, bandwidth: 6 * KIB },
  "an ocean, 500 Mbit/s over 80 ms": { round: 80, bandwidth: 61 * KIB },
  // What this side sends in one turn: no window is a multiple of it.
  "large packets, 800 Mbit/s over 50 ms": {
    round: 50,
    bandwidth: 100 * KIB,
    packet: SEND_QUANTUM,
  },
};

for (const [name, link] of Object.entries(LINKS)) {
  Deno.test(`window growth: it settles at a few times the product of ${name}`, () => {
    const shared = policy({ max: 256 * MIB, budget: 1024 * MIB });
    const window = new ReceiveWindow(shared);
    const product = link.bandwidth * link.round;
    transfer(shared, window, link, 60 * product + 16 * MIB);
    assertGreaterOrEqual(window.size, 2 * product);
    assertLessOrEqual(window.size, Math.max(64 * KIB, 8 * product));
    // What it sees of the round trip is never too short, and soon no longer.
    assertGreaterOrEqual(shared.seen, link.round);
    assertLess(shared.seen, 1.5 * link.round);
    const settled = window.size;
    transfer(shared, window, link, 60 * product);
    assertEquals(window.size, settled, "it goes on growing");
  });

  Deno.test(`window growth: it comes to fill ${name}`, () => {
    const shared = policy();
    const window = new ReceiveWindow(shared);
    const product = link.bandwidth * link.round;
    transfer(shared, window, link, 60 * product + 16 * MIB);
    const bytes = 100 * product;
    const took = transfer(shared, window, link, bytes);
    // All but the way there of the first byte.
    assertLess(took, 1.05 * (bytes / link.bandwidth + link.round));
  });
}

Deno.test("window growth: a fixed window would have left the ocean nine tenths empty", () => {
  const link = LINKS["an ocean, 500 Mbit/s over 80 ms"]!;
  const shared = policy({ max: 64 * KIB });
  const window = new ReceiveWindow(shared);
  const bytes = 10 * MIB;
  const took = transfer(shared, window, link, bytes);
  assertGreater(took, 10 * bytes / link.bandwidth);
});

Deno.test("window growth: an application that takes slowly gets no larger window", () => {
  const shared = policy();
  const window = new ReceiveWindow(shared);
  // A window lasts it 64 round trips.
  const link = { round: 10, bandwidth: 100 * KIB, appetite: 0.1 * KIB };
  transfer(shared, window, link, 2 * MIB);
  assertEquals(window.size, 64 * KIB);
});

Deno.test("window growth: many fast transfers at once stay within the budget", () => {
  const budget = new WindowBudget(4 * MIB);
  const shared = policy({ budget });
  const link = { round: 50, bandwidth: 100 * KIB };
  const windows = Array.from({ length: 8 }, () => new ReceiveWindow(shared));
  for (let again = 0; again < 3; again++) {
    for (const window of windows) {
      transfer(shared, window, link, 8 * MIB);
      const grown = windows.reduce((sum, { size }) => sum + size - 64 * KIB, 0);
      assertLessOrEqual(grown, 4 * MIB);
      assertEquals(budget.left, 4 * MIB - grown);
    }
  }
  for (const window of windows) window.release();
  assertEquals(budget.left, 4 * MIB);
});
