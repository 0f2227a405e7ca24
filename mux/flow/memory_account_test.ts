import { assert, assertEquals, assertThrows } from "@std/assert";
import { InvariantError } from "../errors.ts";
import { test } from "../../tests/support/harness.ts";
import { turn } from "../../tests/support/within.ts";
import {
  CHANNEL_SIZE,
  MemoryAccount,
  MIN_WINDOW_SIZE,
} from "./memory_account.ts";

const KIB = 1024;

test("MemoryAccount: counts what is held, by kind", () => {
  const account = new MemoryAccount(8 * KIB);
  assert(account.windows.tryTake(1 * KIB));
  account.callbacks.take(100);
  assert(account.values.reserved.tryTake(50));
  assertEquals(account.usage, {
    windows: 1 * KIB,
    values: 50,
    arguments: 0,
    responses: 0,
    callbacks: 100,
    channels: 0,
    headers: 0,
    unacknowledged: 0,
    total: 1 * KIB + 150,
  });
  account.windows.give(1 * KIB);
  account.callbacks.give(100);
  account.values.reserved.give(50);
  assertEquals(account.held, 0);
});

test("MemoryAccount: keeps an eighth for what may use the reserve", () => {
  const account = new MemoryAccount(16 * KIB);
  assert(!account.callbacks.tryTake(13 * KIB + 1));
  assert(account.callbacks.tryTake(13 * KIB));
  assertEquals(account.available, 0);
  assert(account.values.reserved.tryTake(2 * KIB));
  assert(!account.values.reserved.tryTake(1));
});

test("MemoryAccount: keeps a sixteenth for channels with the smallest windows", () => {
  const account = new MemoryAccount(16 * 7 * KIB);
  account.arguments.take(1_000 * KIB);
  for (let i = 0; i < 2; i++) {
    assert(account.hasChannel);
    account.takeChannel(0);
    account.windows.take(MIN_WINDOW_SIZE);
  }
  assert(!account.hasChannel, "the next would take 9 KiB");
  account.windows.give(MIN_WINDOW_SIZE);
  account.giveChannel();
  assert(account.hasChannel);
});

test("MemoryAccount: channels that are open leave to others what was kept for them", () => {
  const account = new MemoryAccount(16 * 6 * KIB);
  const available = account.available;
  account.takeChannel(0);
  account.windows.take(MIN_WINDOW_SIZE);
  assertEquals(account.available, available);
  account.takeChannel(0);
  account.windows.take(MIN_WINDOW_SIZE);
  assertEquals(account.available, available);
  account.takeChannel(0);
  assertEquals(account.available, available - CHANNEL_SIZE);
});

test("MemoryAccount: takers that may use the reserve do not shrink the rest by it", () => {
  const account = new MemoryAccount(16 * KIB);
  assert(account.values.reserved.tryTake(2 * KIB));
  assertEquals(account.available, 13 * KIB);
  assert(account.windows.tryTake(13 * KIB));
});

test("MemoryAccount: one value fits whatever its size, if no other is held", () => {
  const account = new MemoryAccount(8 * KIB);
  account.windows.take(4 * KIB);
  assert(account.values.tryTake(20 * KIB));
  assert(!account.arguments.tryTake(1));
  assert(!account.responses.tryTake(1));
  account.values.give(20 * KIB);
  assert(account.arguments.tryTake(20 * KIB));
  assert(!account.values.tryTake(1));
});

test("MemoryAccount: one value of the reserve fits beside any others", () => {
  const account = new MemoryAccount(8 * KIB);
  assert(account.arguments.tryTake(20 * KIB));
  assert(account.values.reserved.tryTake(20 * KIB));
  assert(!account.values.reserved.tryTake(1));
});

test("MemoryAccount: whenFree() serves those who wait in order, later and not at once", async () => {
  const account = new MemoryAccount(8 * 1024 * KIB);
  const order: string[] = [];
  account.arguments.take(5 * 1024 * KIB);
  account.values.whenFree(4 * 1024 * KIB, () => order.push("large"));
  account.values.whenFree(100 * KIB, () => order.push("after it"));
  await turn();
  assertEquals(order, []);
  assert(account.awaited);
  assert(!account.values.tryTake(100 * KIB), "it would overtake");
  assert(account.values.tryTake(1 * KIB), "what is small may");
  account.arguments.give(5 * 1024 * KIB);
  assertEquals(order, []);
  await turn();
  assertEquals(order, ["large", "after it"]);
  assertEquals(account.values.held, (4 * 1024 + 101) * KIB);
  assert(!account.awaited);
});

test("MemoryAccount: whenFree() that gives up takes nothing and lets the next one in", async () => {
  const account = new MemoryAccount(8 * KIB);
  account.arguments.take(3 * KIB);
  const cancel = account.values.whenFree(5 * KIB, () => {
    throw new Error("It was cancelled");
  });
  const second = Promise.withResolvers<void>();
  account.values.whenFree(2 * KIB, second.resolve);
  await turn();
  assertEquals(account.values.held, 0);
  cancel();
  await second.promise;
  assertEquals(account.values.held, 2 * KIB);
  cancel();
});

test("MemoryAccount: what may use the reserve does not wait behind others", async () => {
  const account = new MemoryAccount(8 * KIB);
  account.arguments.take(5 * KIB);
  account.values.whenFree(4 * KIB, () => {});
  assert(account.values.reserved.tryTake(2 * KIB));
  const later = Promise.withResolvers<void>();
  account.values.reserved.whenFree(1 * KIB, later.resolve);
  account.values.reserved.give(2 * KIB);
  await later.promise;
  assert(account.awaited);
});

test("MemoryAccount: close() serves all that wait, and grants everything", async () => {
  const account = new MemoryAccount(8 * KIB);
  account.arguments.take(8 * KIB);
  const served = Promise.withResolvers<void>();
  account.values.whenFree(1_000 * KIB, served.resolve);
  account.close();
  await served.promise;
  assert(account.values.tryTake(1_000 * KIB));
  account.values.give(2_000 * KIB);
  account.arguments.give(8 * KIB);
  assertEquals(account.held, 0);
});

test("MemoryAccount: to give back more than is held breaks an invariant", () => {
  const account = new MemoryAccount(8 * KIB);
  account.windows.take(10);
  account.values.take(5);
  assertThrows(
    () => account.windows.give(11),
    InvariantError,
    "Cannot give back 11 bytes of memory: 10 are held",
  );
  account.windows.give(10);
  assertEquals(account.held, 5);
});
