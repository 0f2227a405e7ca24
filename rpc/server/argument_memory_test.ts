import { assert, assertEquals } from "@std/assert";
import { MemoryAccount } from "../../mux/flow/memory_account.ts";
import { joinPool, memoryPool } from "../../mux/flow/memory_pool.ts";
import { turn } from "../../tests/support/turn.ts";
import { ArgumentMemory } from "./argument_memory.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** The account of a session whose pool is low because of another session. */
function inLowPool() {
  const pool = memoryPool({ size: 64 * MIB, maxSessions: 100 });
  const greedy = new MemoryAccount(64 * MIB, joinPool(pool));
  while (greedy.windows.tryTake(64 * KIB));
  const other = new MemoryAccount(64 * MIB, joinPool(pool));
  while (other.windows.tryTake(64 * KIB));
  const account = new MemoryAccount(32 * MIB, joinPool(pool));
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
  const account = new MemoryAccount(32 * MIB);
  const memory = new ArgumentMemory(account, false);
  account.arguments.take(26 * MIB);
  const text = (what: string) =>
    new TextEncoder().encode(`["${what}","${"x".repeat(100 * KIB)}"]`);
  const plain = text("fnptr"), withFunction = text("$fnptr");
  const need = memory.needFor(plain.length);
  assertEquals(memory.whenUsable(plain, need, () => {}), undefined);
  const cancel = memory.whenUsable(withFunction, need, () => {});
  assert(cancel !== undefined);
  cancel();
  account.arguments.give(26 * MIB);
  assertEquals(memory.whenUsable(withFunction, need, () => {}), undefined);
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
