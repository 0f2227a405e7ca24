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
  TestBudget,
  type TestPolicy,
  TestWindow,
} from "../../tests/support/window_policy.ts";
import { SEND_QUANTUM } from "../wire/frame.ts";
import { type ReceiveWindow, SendWindow } from "./windows.ts";

/** A link and a reader, simulated on a clock that jumps from event to event. */
interface Link {
  /** Milliseconds of a round trip. */
  round: number;
  /** Bytes per millisecond. */
  bandwidth: number;
  /** Bytes per millisecond that the application reads. Default: no limit. */
  readRate?: number;
  /** Bytes per packet. Default: 16 KiB. */
  packet?: number;
}

/**
 * Sends `bytes` through a link in packets, as credit allows. Returns the
 * milliseconds that this took.
 */
function transfer(
  shared: TestPolicy,
  window: ReceiveWindow,
  { round, bandwidth, readRate = Infinity, packet = 16 * KIB }: Link,
  bytes: number,
): number {
  const start = shared.time;
  shared.round = round;
  const sender = new SendWindow();
  sender.grant(window.granted);
  /** Events to come, by time: packets, reads, credit. */
  const events: { at: number; happen: () => void }[] = [];
  const schedule = (at: number, happen: () => void) => {
    const index = events.findLastIndex((event) => event.at <= at);
    events.splice(index + 1, 0, { at, happen });
  };
  let unsent = bytes;
  let consumed = 0;
  let lineFree = start;
  let readerFree = start;

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
    readerFree = Math.max(readerFree, shared.time) + size / readRate;
    schedule(readerFree, () => consume(size));
  };
  const consume = (size: number) => {
    consumed += size;
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
  assertEquals(consumed, bytes, "the transfer stopped");
  return shared.time - start;
}

const LINKS: Record<string, Link> = {
  "a data centre link, 1 Gbit/s over 0.5 ms": {
    round: 0.5,
    bandwidth: 125 * KIB,
  },
  "a home connection, 50 Mbit/s over 20 ms": { round: 20, bandwidth: 6 * KIB },
  "a transatlantic link, 500 Mbit/s over 80 ms": {
    round: 80,
    bandwidth: 61 * KIB,
  },
  // This side sends packets of that size: no window is a multiple of it.
  "a link with large packets, 800 Mbit/s over 50 ms": {
    round: 50,
    bandwidth: 100 * KIB,
    packet: SEND_QUANTUM,
  },
};

for (const [name, link] of Object.entries(LINKS)) {
  Deno.test(`ReceiveWindow: settles at a few times the bandwidth-delay product of ${name}`, () => {
    const shared = policy({ max: 256 * MIB, budget: 1024 * MIB });
    const window = new TestWindow(shared);
    const product = link.bandwidth * link.round;
    transfer(shared, window, link, 60 * product + 16 * MIB);
    assertGreaterOrEqual(window.size, 2 * product);
    assertLessOrEqual(window.size, Math.max(64 * KIB, 8 * product));
    // The round trips that it observes are never too short, and soon not too long.
    assertGreaterOrEqual(shared.seen, link.round);
    assertLess(shared.seen, 1.5 * link.round);
    const settled = window.size;
    transfer(shared, window, link, 60 * product);
    assertEquals(window.size, settled, "it continues to grow");
  });

  Deno.test(`ReceiveWindow: grows until it fills ${name}`, () => {
    const shared = policy();
    const window = new TestWindow(shared);
    const product = link.bandwidth * link.round;
    transfer(shared, window, link, 60 * product + 16 * MIB);
    const bytes = 100 * product;
    const took = transfer(shared, window, link, bytes);
    // Plus the latency of the first byte.
    assertLess(took, 1.05 * (bytes / link.bandwidth + link.round));
  });
}

Deno.test("ReceiveWindow: settles at 512 KiB within one machine, however fast", () => {
  // The shortest round trip that is measured beside bulk data; and before the code of
  // both ends is compiled.
  for (const round of [0.25, 1, 1.25]) {
    const shared = policy();
    const window = new TestWindow(shared);
    transfer(shared, window, { round, bandwidth: MIB }, 256 * MIB);
    assertEquals(window.size, 512 * KIB, `round trip of ${round} ms`);
  }
});

Deno.test("ReceiveWindow: a fixed window uses less than a tenth of a transatlantic link", () => {
  const link = LINKS["a transatlantic link, 500 Mbit/s over 80 ms"]!;
  const shared = policy({ max: 64 * KIB });
  const window = new TestWindow(shared);
  const bytes = 10 * MIB;
  const took = transfer(shared, window, link, bytes);
  assertGreater(took, 10 * bytes / link.bandwidth);
});

Deno.test("ReceiveWindow: does not grow for an application that reads slowly", () => {
  const shared = policy();
  const window = new TestWindow(shared);
  // It reads a window in 64 round trips.
  const link = { round: 10, bandwidth: 100 * KIB, readRate: 0.1 * KIB };
  transfer(shared, window, link, 2 * MIB);
  assertEquals(window.size, 64 * KIB);
});

Deno.test("ReceiveWindow: concurrent fast transfers stay within the budget", () => {
  const budget = new TestBudget(4 * MIB);
  const shared = policy({ budget });
  const link = { round: 50, bandwidth: 100 * KIB };
  const windows = Array.from({ length: 8 }, () => new TestWindow(shared));
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
