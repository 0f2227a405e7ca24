import {
  assert,
  assertEquals,
  assertGreater,
  assertGreaterOrEqual,
  assertLess,
  assertLessOrEqual,
  assertThrows,
} from "@std/assert";
import { forSeeds } from "../../tests/support/random.ts";
import { KIB, MIB, policy } from "../../tests/support/window_policy.ts";
import { MuxError } from "../errors.ts";
import { ReceiveWindow, SendWindow, WindowBudget } from "./window.ts";

/** The peer sends all it may and the application takes it, in half windows. */
function consumeHalf(window: ReceiveWindow): number {
  const half = Math.ceil(window.size / 2);
  window.receive(half);
  return window.consume(half);
}

// --- What the peer grants ----------------------------------------------------

Deno.test("send window: credit is what was granted less what was taken", () => {
  const window = new SendWindow();
  assertEquals(window.credit, 0);
  window.grant(100);
  window.take(30);
  window.grant(0);
  window.grant(5);
  assertEquals(window.credit, 75);
});

Deno.test("send window: it may reach 2^32 - 1", () => {
  const window = new SendWindow();
  window.grant(2 ** 32 - 2);
  window.grant(1);
  assertEquals(window.credit, 2 ** 32 - 1);
  window.take(10);
  window.grant(10);
  assertEquals(window.credit, 2 ** 32 - 1);
});

Deno.test("send window: a byte past 2^32 - 1 is a protocol error and is not added", () => {
  const window = new SendWindow();
  window.grant(2 ** 32 - 1);
  const error = assertThrows(() => window.grant(1), MuxError, "past 2^32 - 1");
  assertEquals(error.code, "protocol-error");
  assertEquals(window.credit, 2 ** 32 - 1);
});

// --- What this side grants ---------------------------------------------------

Deno.test("receive window: DATA may use it up to the last byte, and not one more", () => {
  const window = new ReceiveWindow(policy({ initial: 10 }));
  window.receive(9);
  window.receive(1);
  window.receive(0);
  const error = assertThrows(
    () => window.receive(1),
    MuxError,
    "DATA of 1 bytes came for a window of 0",
  );
  assertEquals(error.code, "protocol-error");
});

Deno.test("receive window: credit goes back in batches of a quarter of a window", () => {
  const window = new ReceiveWindow(policy({ initial: 100 }));
  window.receive(100);
  assertEquals(window.consume(24), 0);
  assertEquals(window.owed, 24);
  assertEquals(window.consume(1), 25);
  assertEquals([window.granted, window.owed], [25, 0]);
});

Deno.test("receive window: a window of one byte still returns its credit", () => {
  const window = new ReceiveWindow(policy({ initial: 1, max: 1 }));
  window.receive(1);
  assertEquals(window.consume(1), 1);
  window.receive(1);
});

Deno.test("receive window: credit is only ever returned for bytes taken", () => {
  const window = new ReceiveWindow(policy({ initial: 100 }));
  window.receive(100);
  assertEquals(window.consume(0), 0);
  assertEquals([window.granted, window.owed], [0, 0]);
});

Deno.test("receive window: it does not grow before a round trip was measured", () => {
  const shared = policy();
  shared.round = undefined;
  const window = new ReceiveWindow(shared);
  for (let i = 0; i < 10; i++) consumeHalf(window);
  assertEquals(window.size, shared.initial);
});

Deno.test("receive window: a credit used within a round trip doubles it, and the credit with it", () => {
  const shared = policy();
  const window = new ReceiveWindow(shared);
  consumeHalf(window);
  consumeHalf(window);
  // Only the third half needs the credit that the first gave back.
  shared.time += 5;
  assertEquals(consumeHalf(window), 32 * KIB + 64 * KIB);
  assertEquals(window.size, 128 * KIB);
});

Deno.test("receive window: one used slowly keeps its size", () => {
  const shared = policy();
  const window = new ReceiveWindow(shared);
  for (let i = 0; i < 20; i++) {
    shared.time += 10 * 10;
    consumeHalf(window);
  }
  assertEquals(window.size, shared.initial);
});

Deno.test("receive window: it doubles in whole units, so that frames fill it", () => {
  const shared = policy({ initial: 65 * KIB });
  const window = new ReceiveWindow(shared);
  const sizes = new Set<number>();
  for (let i = 0; i < 12; i++) {
    consumeHalf(window);
    sizes.add(window.size / KIB);
  }
  assertEquals([...sizes].slice(0, 4), [65, 128, 256, 512]);
});

Deno.test("receive window: a credit that is used says how long a round trip is at most", () => {
  const shared = policy();
  shared.round = undefined;
  const window = new ReceiveWindow(shared);
  consumeHalf(window); // gives credit
  shared.time += 3;
  window.receive(32 * KIB); // which this needs not yet,
  assertEquals(shared.seen, Infinity);
  shared.time += 4;
  window.receive(1); // and this does
  assertEquals(shared.seen, 7);
});

Deno.test("receive window: it grows to its maximum and no further, be that no power of two", () => {
  const shared = policy({ max: 1_000_000 });
  const window = new ReceiveWindow(shared);
  for (let i = 0; i < 30; i++) consumeHalf(window);
  assertEquals(window.size, 1_000_000);
  assertEquals(shared.budget.left, 64 * MIB - (1_000_000 - 64 * KIB));
});

Deno.test("receive window: none grows past 2^32 - 1, which the peer would refuse", () => {
  const shared = policy({
    initial: 2 ** 31,
    max: 2 ** 32 - 1,
    budget: 2 ** 40,
  });
  const window = new ReceiveWindow(shared);
  const sender = new SendWindow();
  sender.grant(shared.initial);
  for (let i = 0; i < 5; i++) {
    sender.take(Math.ceil(window.size / 2));
    sender.grant(consumeHalf(window));
  }
  assertEquals(window.size, 2 ** 32 - 1);
});

// --- What windows share ------------------------------------------------------

Deno.test("window budget: windows take what they grow by, and no more than there is", () => {
  const budget = new WindowBudget(100 * KIB);
  const shared = policy({ budget });
  const first = new ReceiveWindow(shared);
  const second = new ReceiveWindow(shared);
  for (let i = 0; i < 4; i++) {
    consumeHalf(first);
    consumeHalf(second);
  }
  assertEquals([first.size, second.size], [128 * KIB, 64 * KIB]);
  assertEquals(budget.left, 36 * KIB);
  assert(budget.pressed);
});

Deno.test("window budget: release() gives a window's part back, once", () => {
  const shared = policy();
  const window = new ReceiveWindow(shared);
  for (let i = 0; i < 5; i++) consumeHalf(window);
  assertLess(shared.budget.left, 64 * MIB);
  window.release();
  assertEquals(shared.budget.left, 64 * MIB);
  window.release();
  assertEquals(shared.budget.left, 64 * MIB);
});

Deno.test("window budget: a window that never grew has nothing to give back", () => {
  const shared = policy({ initial: 8 * MIB });
  new ReceiveWindow(shared).release();
  assertEquals(shared.budget.left, 64 * MIB);
});

Deno.test("window budget: it is pressed from a refusal until somebody gives back", () => {
  const budget = new WindowBudget(10);
  assert(!budget.pressed);
  assert(budget.take(10));
  assert(!budget.pressed);
  assert(!budget.take(1));
  assert(budget.pressed);
  budget.give(0);
  assert(budget.pressed);
  budget.give(1);
  assert(!budget.pressed);
});

Deno.test("window budget: under pressure a window used slowly shrinks to its first size", () => {
  const budget = new WindowBudget(64 * KIB);
  const shared = policy({ budget });
  const large = new ReceiveWindow(shared);
  const wanting = new ReceiveWindow(shared);
  for (let i = 0; i < 3; i++) consumeHalf(large);
  assertEquals(large.size, 128 * KIB);
  for (let i = 0; i < 3; i++) consumeHalf(wanting);
  assert(budget.pressed);
  assertEquals(wanting.size, 64 * KIB);

  // Nothing is watched while it changes, then a credit and its use.
  consumeHalf(large);
  consumeHalf(large);
  shared.time += 1_000;
  assertEquals(consumeHalf(large), 0, "less is returned than was consumed");
  assertEquals(large.size, 64 * KIB);
  assertEquals(budget.left, 64 * KIB);
  // What one gave up, the other can have.
  for (let i = 0; i < 4; i++) consumeHalf(wanting);
  assertEquals(wanting.size, 128 * KIB);
});

Deno.test("window budget: without pressure a window used slowly keeps what it has", () => {
  const shared = policy();
  const window = new ReceiveWindow(shared);
  for (let i = 0; i < 3; i++) consumeHalf(window);
  assertEquals(window.size, 128 * KIB);
  for (let i = 0; i < 5; i++) {
    shared.time += 1_000;
    consumeHalf(window);
  }
  assertEquals(window.size, 128 * KIB);
});

// --- Invariants --------------------------------------------------------------

Deno.test("receive windows: size = granted + held + owed, and the budget adds up, whatever happens", async () => {
  await forSeeds(100, (random) => {
    const total = random.pick([0, 1, 100 * KIB, 1 * MIB]);
    const shared = policy({
      initial: random.pick([1, 2, 3, 9, 1_000, 64 * KIB]),
      max: random.pick([1, 64 * KIB, 300_000, 1 * MIB]),
      budget: total,
    });
    // The option layer sees to it that the maximum is no less.
    const max = Math.max(shared.max, shared.initial);
    const settled = Object.assign(shared, { max });
    const windows = Array.from({ length: random.int(1, 5) }, () => ({
      window: new ReceiveWindow(settled),
      sender: new SendWindow(),
      held: 0,
    }));
    for (const { sender } of windows) sender.grant(settled.initial);

    for (let step = 0; step < 300; step++) {
      const one = random.pick(windows);
      const { window, sender } = one;
      settled.time += random.pick([0, 0, 1, 5, 100]);
      if (random.chance(0.1)) {
        settled.round = random.pick([undefined, 0, 1, 50]);
      }
      if (random.chance(0.5)) {
        const bytes = random.int(0, sender.credit);
        sender.take(bytes);
        window.receive(bytes);
        one.held += bytes;
      } else if (random.chance(0.1)) {
        sender.grant(window.expect(random.int(0, 2 * max)));
      } else {
        const bytes = random.int(0, one.held);
        one.held -= bytes;
        sender.grant(window.consume(bytes));
      }
      assertEquals(window.size, window.granted + one.held + window.owed);
      assertEquals(sender.credit, window.granted);
      assertGreaterOrEqual(window.size, settled.initial);
      assertLessOrEqual(window.size, max);
      const grown = windows.reduce(
        (sum, { window }) => sum + window.size - settled.initial,
        0,
      );
      assertEquals(settled.budget.left, total - grown);
      assertGreaterOrEqual(settled.budget.left, 0);
    }

    for (const one of windows) {
      const { window, sender } = one;
      sender.grant(window.consume(one.held));
      assertGreater(sender.credit, 0, "a peer is never left without credit");
      window.release();
    }
    assertEquals(settled.budget.left, total);
  });
});

// --- What the application expects ---------------------------------------------

Deno.test("receive window: bytes that the application expects are granted at once", () => {
  const window = new ReceiveWindow(policy({ initial: 64 * KIB }));
  window.receive(1_000);
  window.consume(1_000);
  const credit = window.expect(MIB);
  assertEquals(window.granted, MIB);
  assertEquals(credit, MIB - (64 * KIB - 1_000));
  assertEquals(window.owed, 0);
  // It is the peer's already.
  assertEquals(window.expect(MIB), 0);
  assertEquals(window.expect(10), 0);
});

Deno.test("receive window: what is expected is a loan, paid back by the bytes that come", () => {
  const shared = policy({ initial: 64 * KIB });
  const window = new ReceiveWindow(shared);
  const { left } = shared.budget;
  window.expect(MIB);
  assertEquals(shared.budget.left, left - (MIB - 64 * KIB));
  window.receive(MIB);
  let credit = 0;
  for (let i = 0; i < 16; i++) credit += window.consume(64 * KIB);
  assertEquals(shared.budget.left, left);
  assertEquals(window.size, 64 * KIB);
  assertEquals(window.granted + window.owed, 64 * KIB);
  assertEquals(credit, window.granted);
});

Deno.test("receive window: half of the budget is not lent, and windows grow by it", () => {
  const shared = policy({ initial: 64 * KIB, max: MIB, budget: 2 * MIB });
  const first = new ReceiveWindow(shared);
  assertEquals(first.expect(100 * MIB), MIB - 64 * KIB);
  assertEquals(first.size, MIB);
  const second = new ReceiveWindow(shared);
  assertEquals(second.expect(100 * MIB), 64 * KIB);
  assertEquals(shared.budget.left, MIB);
  assertEquals(new ReceiveWindow(shared).expect(100 * MIB), 0);
  assert(shared.budget.take(MIB));
  first.release();
  second.release();
  assertEquals(shared.budget.left, MIB);
});
