import { assert, assertEquals } from "@std/assert";
import { MemoryAccount } from "../../mux/flow/memory_account.ts";
import { memoryPool, type SharedPool } from "../../mux/flow/memory_pool.ts";
import { turn } from "../../tests/support/turn.ts";
import { ArgumentMemory } from "./argument_memory.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** The account of a session whose pool is low because of another session. */
function inLowPool() {
  const pool = memoryPool({ size: 64 * MIB, maxSessions: 100 });
  const greedy = new MemoryAccount(64 * MIB, (pool as SharedPool).admit());
  while (greedy.windows.tryTake(64 * KIB));
  const other = new MemoryAccount(64 * MIB, (pool as SharedPool).admit());
  while (other.windows.tryTake(64 * KIB));
  const account = new MemoryAccount(32 * MIB, (pool as SharedPool).admit());
  assert(account.poolIsLow);
  return account;
}

Deno.test("ArgumentMemory.needFor: is what an argument may become", () => {
  const memory = new ArgumentMemory(new MemoryAccount(32 * MIB), false);
  assertEquals(memory.needFor(1000), 2 * 1000 + 32 * 1000);
  assertEquals(memory.needFor(1 * MIB), 2 * MIB + 32 * 100_000);
  assertEquals(memory.needFor(20 * MIB), 20 * MIB, "at least its bytes");
});

Deno.test("ArgumentMemory.needFor: is three times the bytes while the pool is low", () => {
  const memory = new ArgumentMemory(inLowPool(), false);
  assertEquals(memory.needFor(1000), 3000);
});

Deno.test("ArgumentMemory.whenUsable: what has all that it needs does not wait", () => {
  const account = new MemoryAccount(32 * MIB);
  const memory = new ArgumentMemory(account, false);
  account.arguments.take(20 * MIB);
  const need = memory.needFor(100 * KIB);
  assertEquals(
    memory.whenUsable(new Uint8Array(100 * KIB), need, () => {}),
    undefined,
  );
});

Deno.test("ArgumentMemory.whenUsable: the first argument does not wait, and others wait for it", async () => {
  const account = inLowPool();
  const memory = new ArgumentMemory(account, false);
  const size = 100 * KIB;
  const taken = memory.needFor(size);
  assertEquals(
    memory.whenUsable(new Uint8Array(size), taken, () => {}),
    undefined,
  );
  account.arguments.take(3 * MIB);
  const order: number[] = [];
  const cancels = [1, 2, 3].map((n) =>
    memory.whenUsable(new Uint8Array(size), taken, () => {
      order.push(n);
      account.arguments.take(3 * MIB);
    })
  );
  assertEquals(cancels.every((cancel) => cancel !== undefined), true);
  memory.decodeSoon();
  await turn();
  assertEquals(order, []);
  account.arguments.give(3 * MIB);
  memory.decodeSoon();
  await turn();
  assertEquals(order, [1], "one at a time");
  cancels[1]!();
  account.arguments.give(3 * MIB);
  memory.decodeSoon();
  await turn();
  assertEquals(order, [1, 3], "one that was given up is passed over");
});

Deno.test("ArgumentMemory.whenUsable: nested calls do not wait for others", () => {
  const account = inLowPool();
  const memory = new ArgumentMemory(account, true);
  account.arguments.take(3 * MIB);
  assertEquals(
    memory.whenUsable(new Uint8Array(100 * KIB), 300 * KIB, () => {}),
    undefined,
  );
});

Deno.test("ArgumentMemory.whenUsable: what may contain functions needs memory for them", () => {
  const COUNT = 9_000;
  const keys = {
    none: "fnptr",
    plain: "$fnptr",
    "with an escape": "\\u0024fnptr",
    "of escapes": "\\u0024\\u0066\\u006e\\u0070\\u0074\\u0072",
    "of escapes in upper case": "\\u0024\\u0066\\u006Eptr",
    "half an escape": "\\u002fnptr",
    "with an escape in it": "$fn\\u0070tr",
  };
  const { none, "half an escape": half } = keys;
  for (const [name, key] of Object.entries(keys)) {
    const account = new MemoryAccount(32 * MIB);
    const memory = new ArgumentMemory(account, false);
    const text = JSON.stringify(Array(COUNT).fill({ KEY: "a" }))
      .replaceAll("KEY", key);
    const value = new TextEncoder().encode(text);
    const need = memory.needFor(value.length);
    account.arguments.take(20 * MIB);
    const cancel = memory.whenUsable(value, need, () => {});
    const functions = key !== none && key !== half;
    assertEquals(cancel !== undefined, functions, name);
    cancel?.();
    assertEquals(memory.canUse(value), !functions, name);
    account.arguments.give(20 * MIB);
    assertEquals(memory.whenUsable(value, need, () => {}), undefined, name);
  }
});

Deno.test("ArgumentMemory.whenUsable: one function does not count as many", () => {
  const account = new MemoryAccount(32 * MIB);
  const memory = new ArgumentMemory(account, false);
  account.arguments.take(20 * MIB);
  const value = new TextEncoder().encode(`["$fnptr","${"x".repeat(100_000)}"]`);
  const need = memory.needFor(value.length);
  assertEquals(memory.whenUsable(value, need, () => {}), undefined);
});

Deno.test("ArgumentMemory.isFull: if arguments have taken more than there is", () => {
  const account = new MemoryAccount(32 * MIB);
  const memory = new ArgumentMemory(account, false);
  account.arguments.take(30 * MIB);
  assertEquals(memory.isFull, false);
  account.windows.take(3 * MIB);
  assertEquals(memory.isFull, true);
  assertEquals(new ArgumentMemory(account, true).isFull, false, "nested");
  account.arguments.give(30 * MIB);
  assertEquals(memory.isFull, false);
});
