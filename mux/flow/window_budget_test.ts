import {
  assert,
  assertEquals,
  assertGreater,
  assertGreaterOrEqual,
  assertLess,
  assertLessOrEqual,
} from "@std/assert";
import { test } from "../../tests/support/harness.ts";
import { turn } from "../../tests/support/within.ts";
import { MemoryAccount, MIN_WINDOW_SIZE } from "./memory_account.ts";
import { WindowBudget } from "./window_budget.ts";
import { DEFAULT_SESSION_OPTIONS } from "../options.ts";
import { memoryPool, type SharedPool } from "./memory_pool.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** The budget of a session with the default options, or others. */
function started(options: Partial<typeof DEFAULT_SESSION_OPTIONS> = {}) {
  const all = { ...DEFAULT_SESSION_OPTIONS, ...options };
  const account = new MemoryAccount(all.maxHeldSize);
  const budget = new WindowBudget(
    account,
    all.initialWindowSize,
    all.maxWindowSize,
  );
  return { account, budget, options: all };
}

/** Opens channels until there is a refusal; returns the sizes of their windows. */
function openAll({ budget, options }: ReturnType<typeof started>) {
  const sizes: number[] = [];
  while (sizes.length < options.maxChannels) {
    const size = budget.open();
    if (size === 0) break;
    sizes.push(size);
  }
  return sizes;
}

test("WindowBudget: all channels of the default options get a window, the first ones of full size", () => {
  const it = started();
  const { initialWindowSize, maxChannels, maxHeldSize } = it.options;
  const sizes = openAll(it);
  assertEquals(sizes.length, maxChannels);
  const full = sizes.filter((size) => size === initialWindowSize).length;
  assertGreater(full, 150);
  assertEquals(sizes.slice(0, full), Array(full).fill(initialWindowSize));
  assertGreaterOrEqual(Math.min(...sizes), MIN_WINDOW_SIZE);
  assertLessOrEqual(it.account.held, maxHeldSize * 3 / 4);
});

test("WindowBudget: leaves a quarter to other kinds, however small windows are", () => {
  for (const maxHeldSize of [64 * KIB, 1 * MIB, 32 * MIB]) {
    const it = started({ maxHeldSize, maxChannels: 100_000 });
    const sizes = openAll(it);
    assertLess(sizes.length, 100_000);
    assertGreater(sizes.length, 0);
    assertLessOrEqual(it.account.held, maxHeldSize * 3 / 4);
    while (it.budget.take(1 * KIB));
    assertLessOrEqual(it.account.held, maxHeldSize * 3 / 4);
  }
});

test("WindowBudget: an initial size below the smallest is kept to", () => {
  const it = started({ initialWindowSize: 100, maxChannels: 50 });
  assertEquals(openAll(it), Array(50).fill(100));
});

test("WindowBudget: one window can grow to the default maximum beside spare channels", () => {
  const { budget, options } = started();
  for (let i = 0; i < 60; i++) budget.open();
  let size = budget.open();
  while (size < options.maxWindowSize) {
    const more = Math.min(size, options.maxWindowSize - size);
    assert(budget.take(more), `grows from ${size}`);
    size += more;
  }
});

test("WindowBudget: channels can be opened when growth or values have taken all the rest", () => {
  for (const taken of ["growth", "values"] as const) {
    const it = started();
    if (taken === "growth") { while (it.budget.take(64 * KIB)); }
    else while (it.account.values.tryTake(64 * KIB));
    const sizes = openAll(it);
    assertGreaterOrEqual(sizes.length, 600);
    assertLessOrEqual(it.account.held, it.options.maxHeldSize * 7 / 8);
    // A slot is free again once a channel has closed.
    it.budget.cancelOpen(MIN_WINDOW_SIZE);
    assertEquals(it.budget.open(), MIN_WINDOW_SIZE);
    assertEquals(it.budget.open(), 0);
  }
});

test("WindowBudget: cancelOpen() gives back all that open() took", () => {
  const { account, budget } = started();
  budget.cancelOpen(budget.open());
  assertEquals(account.held, 0);
  assertEquals(budget.left, 22 * MIB);
});

test("WindowBudget: late credit is what ended windows had left, up to the largest window", () => {
  const { account, budget } = started({ maxWindowSize: 1 * MIB });
  assert(!budget.takeLateCredit(1));
  assert(budget.take(3 * MIB));
  budget.giveUnused(100 * KIB, 60 * KIB);
  assertEquals(account.windows.held, 3 * MIB - 100 * KIB);
  assert(budget.takeLateCredit(50 * KIB));
  assert(!budget.takeLateCredit(10 * KIB + 1));
  assert(budget.takeLateCredit(10 * KIB));
  budget.giveUnused(2 * MIB, 2 * MIB);
  assert(!budget.takeLateCredit(1 * MIB + 1));
  assert(budget.takeLateCredit(1 * MIB));
});

test("WindowBudget: is exhausted from a refusal until bytes are returned", () => {
  const { budget } = started();
  assert(!budget.exhausted);
  assert(budget.take(10 * MIB));
  assert(!budget.take(20 * MIB));
  assert(budget.exhausted);
  budget.give(0);
  assert(budget.exhausted);
  budget.give(1);
  assert(!budget.exhausted);
});

test("WindowBudget: no window grows while a value waits for memory", async () => {
  const { account, budget } = started();
  account.arguments.take(26 * MIB);
  account.values.whenFree(1 * MIB, () => {});
  await turn();
  account.arguments.give(500 * KIB);
  assert(!budget.take(1));
  assert(budget.exhausted);
});

test("WindowBudget: lends what is left beyond one half", () => {
  const { account, budget } = started();
  assertEquals(budget.lend(10 * MIB), 10 * MIB);
  assertEquals(budget.lend(10 * MIB), 1 * MIB);
  assertEquals(budget.lend(10 * MIB), 0);
  assertEquals(account.windows.held, 11 * MIB);
});

test("WindowBudget: new windows are smaller when other sessions have taken the pool", () => {
  const pool = memoryPool({ size: 16 * MIB, maxSessions: 10 });
  for (let i = 0; i < 3; i++) {
    const greedy = new MemoryAccount(64 * MIB, (pool as SharedPool).admit());
    while (greedy.windows.tryTake(64 * KIB));
  }
  const account = new MemoryAccount(32 * MIB, (pool as SharedPool).admit());
  const budget = new WindowBudget(account, 66_560, 16 * MIB);
  const size = budget.open();
  assertGreaterOrEqual(size, MIN_WINDOW_SIZE);
  assertLess(size, DEFAULT_SESSION_OPTIONS.initialWindowSize);
  assert(budget.exhausted);
  assert(!budget.take(1), "no window grows");
  assertEquals(budget.lend(1), 0);
});
