import {
  assert,
  assertEquals,
  assertGreater,
  assertGreaterOrEqual,
  assertLessOrEqual,
  assertThrows,
} from "@std/assert";
import { test } from "../../tests/support/harness.ts";
import { collectGarbage } from "../../tests/support/memory.ts";
import { forSeeds } from "../../tests/support/random.ts";
import { turn, until } from "../../tests/support/within.ts";
import { MemoryAccount } from "./memory_account.ts";
import { type MemoryPool, memoryPool, type SharedPool } from "./memory_pool.ts";
import { resolveOptions } from "../options.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** An account whose own limit is out of the way. */
function member(pool: MemoryPool, limit = 1024 * MIB): MemoryAccount {
  return new MemoryAccount(limit, (pool as SharedPool).admit());
}

/** Takes all that it gets, a little at a time. */
function takeAll(account: MemoryAccount): number {
  while (account.windows.tryTake(16 * KIB));
  return account.windows.held;
}

test("memoryPool(): counts sessions and what they hold", () => {
  const pool = memoryPool({ size: 8 * MIB, maxSessions: 4 });
  const [a, b] = [member(pool), member(pool)];
  a.windows.take(100);
  b.callbacks.take(20);
  assertEquals(pool.usage, { sessions: 2, held: 120 });
  a.windows.give(100);
  a.close();
  assertEquals(pool.usage, { sessions: 1, held: 20 });
  b.close();
  assertEquals(pool.usage, { sessions: 1, held: 20 });
  b.callbacks.give(20);
  assertEquals(pool.usage, { sessions: 0, held: 0 });
});

test("memoryPool(): guarantees each session its part whatever the others take", () => {
  const pool = memoryPool({ size: 8 * MIB, maxSessions: 4 });
  const part = 8 * MIB * 3 / 8 / 4;
  const greedy = [member(pool), member(pool), member(pool)];
  for (const account of greedy) takeAll(account);
  // They have also tried what their answers may use.
  while (greedy[0]!.values.reserved.tryTake(16 * KIB));
  const last = member(pool);
  assert(last.windows.tryTake(part));
  assertLessOrEqual(pool.usage.held, 8 * MIB);
});

test("memoryPool(): sessions that take all they can leave as much to the next", () => {
  const pool = memoryPool({ size: 8 * MIB, maxSessions: 4 });
  const part = 8 * MIB * 3 / 8 / 4;
  const shared = 4 * MIB;
  const first = takeAll(member(pool)) - part;
  assertGreaterOrEqual(first, shared / 2 - 16 * KIB);
  assertLessOrEqual(first, shared / 2);
  const second = takeAll(member(pool)) - part;
  assertGreaterOrEqual(second, shared / 4 - 16 * KIB);
  const third = member(pool);
  assertGreater(third.available, part);
  assert(third.windows.tryTake(third.available));
});

test("memoryPool(): the reserve is for what handlers wait for", () => {
  const pool = memoryPool({ size: 8 * MIB, maxSessions: 1 });
  const account = member(pool);
  takeAll(account);
  assert(!account.arguments.tryTake(900 * KIB));
  assert(account.values.reserved.tryTake(900 * KIB));
});

test("memoryPool(): a session that waits continues when another gives memory back", async () => {
  const pool = memoryPool({ size: 8 * MIB, maxSessions: 4 });
  const [a, b] = [member(pool), member(pool)];
  takeAll(a);
  const served = Promise.withResolvers<void>();
  b.values.whenFree(2 * MIB, served.resolve);
  await turn();
  assertEquals(b.values.held, 0);
  a.windows.give(a.windows.held);
  await served.promise;
  assertEquals(b.values.held, 2 * MIB);
});

test("memoryPool(): several that wait for it are served in order", async () => {
  const pool = memoryPool({ size: 8 * MIB, maxSessions: 4 });
  const greedy = member(pool);
  takeAll(greedy);
  const order: number[] = [];
  const waiting = [0, 1, 2].map((i) => {
    const account = member(pool);
    account.values.whenFree(1.5 * MIB, () => order.push(i));
    return account;
  });
  await turn();
  greedy.windows.give(greedy.windows.held);
  await turn();
  assertEquals(order[0], 0);
  await until(() => order.length >= 3, "all three", () => {
    const { values } = waiting[order.at(-1)!]!;
    values.give(values.held);
    return turn();
  });
  assertEquals(order, [0, 1, 2]);
});

test("memoryPool(): a session that has ended and was dropped gives its memory back, too", async () => {
  const pool = memoryPool({ size: 8 * MIB, maxSessions: 4 });
  (() => {
    const dropped = member(pool);
    dropped.windows.take(100);
    dropped.close();
  })();
  assertEquals(pool.usage, { sessions: 1, held: 100 });
  await until(() => pool.usage.sessions === 0, "the collection", () => {
    collectGarbage();
    return turn();
  });
  assertEquals(pool.usage, { sessions: 0, held: 0 });
});

test("memoryPool(): a session's own limit applies, too", () => {
  const pool = memoryPool({ size: 800 * MIB, maxSessions: 1 });
  const account = member(pool, 8 * KIB);
  assert(!account.callbacks.tryTake(7 * KIB));
  assert(account.callbacks.tryTake(6 * KIB));
});

test("memoryPool(): a pool that was not made by it is refused", () => {
  const imitation = { size: 1, maxSessions: 1, usage: memoryPool().usage };
  assertThrows(
    () => resolveOptions({ memoryPool: imitation }),
    TypeError,
    'Cannot use option "memoryPool": an object is not from memoryPool()',
  );
});

test("memoryPool(): an option out of range is refused", () => {
  assertThrows(
    () => memoryPool({ size: -1 }),
    RangeError,
    'Cannot use option "size": -1 is not an integer from 0 to',
  );
  assertThrows(
    () => memoryPool({ maxSessions: 0 }),
    RangeError,
    'Cannot use option "maxSessions": 0 is not an integer from 1 to',
  );
});

test("memoryPool(): after any sequence, never more than its size is held, and nothing in the end", async () => {
  await forSeeds(50, async (random) => {
    const size = random.int(0, 10) * MIB + random.int(0, 1_000);
    const maxSessions = random.int(1, 8);
    const pool = memoryPool({ size, maxSessions });
    const accounts: MemoryAccount[] = [];
    const held = new Map<object, number>();
    const kinds = ["windows", "values", "arguments"] as const;
    for (let i = 0; i < 200; i++) {
      if (accounts.length < maxSessions && random.chance(0.1)) {
        accounts.push(member(pool, random.int(1, 10) * MIB));
      }
      if (accounts.length === 0) continue;
      const account = random.pick(accounts);
      const whole = account[random.pick(kinds)];
      const kind = random.chance(0.2) ? whole.reserved : whole;
      const bytes = random.int(0, random.pick([100, 100_000, 3_000_000]));
      if (random.chance(0.5)) {
        if (kind.tryTake(bytes)) held.set(kind, (held.get(kind) ?? 0) + bytes);
      } else if (random.chance(0.2)) {
        const cancel = kind.whenFree(bytes, () => {
          held.set(kind, (held.get(kind) ?? 0) + bytes);
        });
        if (random.chance(0.8)) cancel();
      } else {
        const given = Math.min(bytes, held.get(kind) ?? 0);
        if (given > 0) kind.give(given);
        held.set(kind, (held.get(kind) ?? 0) - given);
      }
      if (random.chance(0.1)) await turn();
      assertLessOrEqual(pool.usage.held, size);
    }
    for (const account of accounts) account.close();
    await turn();
    for (const account of accounts) {
      for (const name of kinds) {
        for (const kind of [account[name], account[name].reserved]) {
          kind.give(held.get(kind) ?? 0);
        }
      }
      assertEquals(account.held, 0);
    }
    assertEquals(pool.usage, { sessions: 0, held: 0 });
  });
});
