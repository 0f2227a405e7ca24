import {
  assert,
  assertEquals,
  assertGreater,
  assertGreaterOrEqual,
  assertLess,
  assertLessOrEqual,
  assertThrows,
} from "@std/assert";
import { InvariantError, MuxError } from "../errors.ts";
import { type ReceiveWindow, SendWindow } from "./windows.ts";
import { forSeeds } from "../../tests/support/random.ts";
import {
  KIB,
  MIB,
  policy,
  TestBudget,
  TestWindow,
} from "../../tests/support/window_policy.ts";

Deno.test("SendWindow: credit is what was granted minus what was taken", () => {
  const window = new SendWindow();
  assertEquals(window.credit, 0);
  window.grant(100);
  window.take(30);
  window.grant(0);
  window.grant(5);
  assertEquals(window.credit, 75);
});

Deno.test("SendWindow: may reach 2^32 - 1", () => {
  const window = new SendWindow();
  window.grant(2 ** 32 - 2);
  window.grant(1);
  assertEquals(window.credit, 2 ** 32 - 1);
  window.take(10);
  window.grant(10);
  assertEquals(window.credit, 2 ** 32 - 1);
});

Deno.test("SendWindow: a grant past 2^32 - 1 is a protocol error and is not added", () => {
  const window = new SendWindow();
  window.grant(2 ** 32 - 1);
  const error = assertThrows(
    () => window.grant(1),
    MuxError,
    "received WINDOW_ADJUST by 1 for a window of 4294967295, which exceeds 2^32 - 1",
  );
  assertEquals(error.code, "protocol-error");
  assertEquals(window.credit, 2 ** 32 - 1);
});

Deno.test("SendWindow: take() beyond the credit breaks an invariant and takes nothing", () => {
  const window = new SendWindow();
  window.grant(10);
  window.take(7);
  assertThrows(
    () => window.take(4),
    InvariantError,
    "Cannot send 4 bytes: the send window has 3",
  );
  assertEquals(window.credit, 3);
  window.take(3);
  assertEquals(window.credit, 0);
});

/** The peer sends half a window, and the application takes it. */
function consumeHalf(window: ReceiveWindow): number {
  const half = Math.ceil(window.size / 2);
  window.receive(half);
  return window.consume(half);
}

// --- Credit ---------------------------------------------------

Deno.test("ReceiveWindow: DATA may use all of it and not one byte more", () => {
  const window = new TestWindow(policy({ initial: 10 }));
  window.receive(9);
  window.receive(1);
  window.receive(0);
  const error = assertThrows(
    () => window.receive(1),
    MuxError,
    "received DATA of 1 bytes for a window of 0",
  );
  assertEquals(error.code, "protocol-error");
});

Deno.test("ReceiveWindow: returns credit in batches of a quarter of a window", () => {
  const window = new TestWindow(policy({ initial: 100 }));
  window.receive(100);
  assertEquals(window.consume(24), 0);
  assertEquals(window.owed, 24);
  assertEquals(window.consume(1), 25);
  assertEquals([window.granted, window.owed], [25, 0]);
});

Deno.test("ReceiveWindow: a window of one byte returns its credit", () => {
  const window = new TestWindow(policy({ initial: 1, max: 1 }));
  window.receive(1);
  assertEquals(window.consume(1), 1);
  window.receive(1);
});

Deno.test("ReceiveWindow: returns credit only for bytes taken", () => {
  const window = new TestWindow(policy({ initial: 100 }));
  window.receive(100);
  assertEquals(window.consume(0), 0);
  assertEquals([window.granted, window.owed], [0, 0]);
});

Deno.test("ReceiveWindow: does not grow before the first round trip is measured", () => {
  const shared = policy();
  shared.round = undefined;
  const window = new TestWindow(shared);
  for (let i = 0; i < 10; i++) consumeHalf(window);
  assertEquals(window.size, shared.initialSize);
});

Deno.test("ReceiveWindow: doubles, with its credit, when a credit is used within a round trip", () => {
  const shared = policy();
  const window = new TestWindow(shared);
  consumeHalf(window);
  consumeHalf(window);
  // Only the third half needs the credit that the first gave back.
  shared.time += 5;
  assertEquals(consumeHalf(window), 32 * KIB + 64 * KIB);
  assertEquals(window.size, 128 * KIB);
});

Deno.test("ReceiveWindow: keeps its size when credit is used slowly", () => {
  const shared = policy();
  const window = new TestWindow(shared);
  for (let i = 0; i < 20; i++) {
    shared.time += 10 * 10;
    consumeHalf(window);
  }
  assertEquals(window.size, shared.initialSize);
});

Deno.test("ReceiveWindow: doubles in whole units, so that frames fill it", () => {
  const shared = policy({ initial: 65 * KIB });
  const window = new TestWindow(shared);
  const sizes = new Set<number>();
  for (let i = 0; i < 12; i++) {
    consumeHalf(window);
    sizes.add(window.size / KIB);
  }
  assertEquals([...sizes].slice(0, 4), [65, 128, 256, 512]);
});

Deno.test("ReceiveWindow: reports the use of a credit as an upper bound of the round trip", () => {
  const shared = policy();
  shared.round = undefined;
  const window = new TestWindow(shared);
  consumeHalf(window); // Returns credit,
  shared.time += 3;
  window.receive(32 * KIB); // which these bytes do not need yet,
  assertEquals(shared.seen, Infinity);
  shared.time += 4;
  window.receive(1); // and this one does.
  assertEquals(shared.seen, 7);
});

Deno.test("ReceiveWindow: grows to its maximum, which need not be a power of two", () => {
  const shared = policy({ max: 1_000_000 });
  const window = new TestWindow(shared);
  for (let i = 0; i < 30; i++) consumeHalf(window);
  assertEquals(window.size, 1_000_000);
  assertEquals(shared.budget.left, 64 * MIB - (1_000_000 - 64 * KIB));
});

Deno.test("ReceiveWindow: does not grow past 2^32 - 1, which the peer would refuse", () => {
  const shared = policy({
    initial: 2 ** 31,
    max: 2 ** 32 - 1,
    budget: 2 ** 40,
  });
  const window = new TestWindow(shared);
  const sender = new SendWindow();
  sender.grant(shared.initialSize);
  for (let i = 0; i < 5; i++) {
    sender.take(Math.ceil(window.size / 2));
    sender.grant(consumeHalf(window));
  }
  assertEquals(window.size, 2 ** 32 - 1);
});

// --- The budget ------------------------------------------------------

Deno.test("ReceiveWindow: takes what it grows by from the budget, and no more than is left", () => {
  const budget = new TestBudget(100 * KIB);
  const shared = policy({ budget });
  const first = new TestWindow(shared);
  const second = new TestWindow(shared);
  for (let i = 0; i < 4; i++) {
    consumeHalf(first);
    consumeHalf(second);
  }
  assertEquals([first.size, second.size], [128 * KIB, 64 * KIB]);
  assertEquals(budget.left, 36 * KIB);
  assert(budget.exhausted);
});

Deno.test("ReceiveWindow: release() returns its share to the budget, once", () => {
  const shared = policy();
  const window = new TestWindow(shared);
  for (let i = 0; i < 5; i++) consumeHalf(window);
  assertLess(shared.budget.left, 64 * MIB);
  window.release();
  assertEquals(shared.budget.left, 64 * MIB);
  window.release();
  assertEquals(shared.budget.left, 64 * MIB);
});

Deno.test("ReceiveWindow: release() of a window that never grew returns nothing", () => {
  const shared = policy({ initial: 8 * MIB });
  new TestWindow(shared).release();
  assertEquals(shared.budget.left, 64 * MIB);
});

Deno.test("ReceiveWindow: shrinks to its initial size when used slowly while the budget is exhausted", () => {
  const budget = new TestBudget(64 * KIB);
  const shared = policy({ budget });
  const large = new TestWindow(shared);
  const wanting = new TestWindow(shared);
  for (let i = 0; i < 3; i++) consumeHalf(large);
  assertEquals(large.size, 128 * KIB);
  for (let i = 0; i < 3; i++) consumeHalf(wanting);
  assert(budget.exhausted);
  assertEquals(wanting.size, 64 * KIB);

  // No credit is observed while the size changes; then one is, and its use.
  consumeHalf(large);
  consumeHalf(large);
  shared.time += 1_000;
  assertEquals(consumeHalf(large), 0, "less is returned than was consumed");
  assertEquals(large.size, 64 * KIB);
  assertEquals(budget.left, 64 * KIB);
  // What one window returned, the other can take.
  for (let i = 0; i < 4; i++) consumeHalf(wanting);
  assertEquals(wanting.size, 128 * KIB);
});

Deno.test("ReceiveWindow: keeps its size when used slowly while the budget is not exhausted", () => {
  const shared = policy();
  const window = new TestWindow(shared);
  for (let i = 0; i < 3; i++) consumeHalf(window);
  assertEquals(window.size, 128 * KIB);
  for (let i = 0; i < 5; i++) {
    shared.time += 1_000;
    consumeHalf(window);
  }
  assertEquals(window.size, 128 * KIB);
});

Deno.test("ReceiveWindow: end() returns what the peer will not use, and drain() what is read after it", () => {
  const shared = policy();
  const window = new TestWindow(shared);
  for (let i = 0; i < 5; i++) consumeHalf(window);
  window.receive(1_000);
  window.end();
  // The bytes that wait for the reader are all that is taken.
  assertEquals(window.size, 1_000);
  assertEquals([window.granted, window.owed], [0, 0]);
  assertEquals(shared.budget.left, 64 * MIB + 64 * KIB - 1_000);
  window.drain(400);
  assertEquals(shared.budget.left, 64 * MIB + 64 * KIB - 600);
  window.end();
  assertEquals(window.size, 600);
  window.release();
  assertEquals(shared.budget.left, 64 * MIB);
});

Deno.test("ReceiveWindow: end() returns a loan, too", () => {
  const shared = policy();
  const window = new TestWindow(shared);
  window.expect(MIB);
  window.receive(10);
  window.end();
  assertEquals(window.size, 10);
  window.drain(10);
  window.release();
  assertEquals(shared.budget.left, 64 * MIB);
});

// --- Invariants --------------------------------------------------------------

Deno.test("ReceiveWindow: size = granted + held + owed, and the budget adds up, in any sequence", async () => {
  await forSeeds(100, (random) => {
    const total = random.pick([0, 1, 100 * KIB, 1 * MIB]);
    const shared = policy({
      initial: random.pick([1, 2, 3, 9, 1_000, 64 * KIB]),
      max: random.pick([1, 64 * KIB, 300_000, 1 * MIB]),
      budget: total,
    });
    // resolveOptions() makes sure of that for a session.
    const maxSize = Math.max(shared.maxSize, shared.initialSize);
    const settled = Object.assign(shared, { maxSize });
    const windows = Array.from({ length: random.int(1, 5) }, () => ({
      window: new TestWindow(settled),
      sender: new SendWindow(),
      held: 0,
    }));
    for (const { sender } of windows) sender.grant(settled.initialSize);

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
        sender.grant(window.expect(random.int(0, 2 * maxSize)));
      } else {
        const bytes = random.int(0, one.held);
        one.held -= bytes;
        sender.grant(window.consume(bytes));
      }
      assertEquals(window.size, window.granted + one.held + window.owed);
      assertEquals(sender.credit, window.granted);
      assertGreaterOrEqual(window.size, settled.initialSize);
      assertLessOrEqual(window.size, maxSize);
      const grown = windows.reduce(
        (sum, { window }) => sum + window.size - settled.initialSize,
        0,
      );
      assertEquals(settled.budget.left, total - grown);
      assertGreaterOrEqual(settled.budget.left, 0);
    }

    for (const one of windows) {
      const { window, sender } = one;
      sender.grant(window.consume(one.held));
      assertGreater(sender.credit, 0, "the peer always has credit");
      window.release();
    }
    assertEquals(settled.budget.left, total);
  });
});

Deno.test("ReceiveWindow: to consume more than is held breaks an invariant", () => {
  const window = new TestWindow(policy({ initial: 100 }));
  window.receive(30);
  window.consume(10);
  assertThrows(
    () => window.consume(21),
    InvariantError,
    "Cannot consume 21 bytes: the receive window of 100 has granted 70 and owes 10",
  );
  assertEquals([window.granted, window.owed], [70, 10]);
  assertEquals(window.consume(20), 30);
});

// --- expect() ---------------------------------------------

Deno.test("ReceiveWindow: expect() grants the expected bytes at once", () => {
  const window = new TestWindow(policy({ initial: 64 * KIB }));
  window.receive(1_000);
  window.consume(1_000);
  const credit = window.expect(MIB);
  assertEquals(window.granted, MIB);
  assertEquals(credit, MIB - (64 * KIB - 1_000));
  assertEquals(window.owed, 0);
  // The peer has that credit already.
  assertEquals(window.expect(MIB), 0);
  assertEquals(window.expect(10), 0);
});

Deno.test("ReceiveWindow: expect() takes a loan that the arriving bytes repay", () => {
  const shared = policy({ initial: 64 * KIB });
  const window = new TestWindow(shared);
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

Deno.test("ReceiveWindow: expect() is lent at most half of the budget, and windows grow by the rest", () => {
  const shared = policy({ initial: 64 * KIB, max: MIB, budget: 2 * MIB });
  const first = new TestWindow(shared);
  assertEquals(first.expect(100 * MIB), MIB - 64 * KIB);
  assertEquals(first.size, MIB);
  const second = new TestWindow(shared);
  assertEquals(second.expect(100 * MIB), 64 * KIB);
  assertEquals(shared.budget.left, MIB);
  assertEquals(new TestWindow(shared).expect(100 * MIB), 0);
  assert(shared.budget.take(MIB));
  first.release();
  second.release();
  assertEquals(shared.budget.left, MIB);
});
