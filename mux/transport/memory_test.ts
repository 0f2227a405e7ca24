import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { testTransport } from "../../tests/conformance/transport_suite.ts";
import { text, utf8 } from "../../tests/support/wire.ts";
import { FakeTime } from "../../tests/support/fake_time.ts";
import { turn, watch } from "../../tests/support/within.ts";
import { memoryTransports, timedMemoryTransports } from "./memory.ts";

testTransport("memoryTransports", () => {
  const [a, b] = memoryTransports();
  return Promise.resolve({ a, b, close() {} });
});

Deno.test("memoryTransports: read() returns the written bytes without a copy", async () => {
  const [a, b] = memoryTransports();
  const bytes = utf8("bytes");
  void a.write(bytes);
  assertStrictEquals(await b.read(), bytes);
  a.close();
});

Deno.test("memoryTransports: write() resolves at the read after the one that got its bytes", async () => {
  const [a, b] = memoryTransports();
  const writing = watch(a.write(utf8("bytes")));
  await b.read();
  await turn();
  assertEquals(writing.state, "pending");
  void b.read();
  await turn();
  assertEquals(writing.state, "resolved");
  a.close();
});

Deno.test("memoryTransports: pending bytes are read before the end", async () => {
  const [a, b] = memoryTransports();
  void a.write(utf8("the rest"));
  await turn();
  await a.closeWrite();
  assertEquals(text((await b.read())!), "the rest");
  assertEquals(await b.read(), null);
  assertEquals(await b.read(), null);
  a.close();
});

Deno.test("memoryTransports: write() rejects after the other end has closed", async () => {
  const [a, b] = memoryTransports();
  b.close();
  await assertRejects(() => a.write(utf8("x")), TypeError, "it has ended");
  assertEquals(await a.read(), null);
});

Deno.test("memoryTransports: write() lets timers run every four milliseconds", async () => {
  let now = 0;
  const [a, b] = timedMemoryTransports(() => now);
  let fired = false;
  const timer = setTimeout(() => fired = true, 0);
  const reading = (async () => {
    while (await b.read() !== null);
  })();
  now = 3;
  for (let i = 0; i < 100; i++) await a.write(new Uint8Array(1));
  assert(!fired, "a write paused early");
  now = 4;
  await a.write(new Uint8Array(1));
  assert(fired, "no write paused");
  clearTimeout(timer);
  a.close();
  await reading;
});

Deno.test("memoryTransports: close() ends the pause of a write, and its timer", async () => {
  using time = new FakeTime(0);
  let now = 0;
  const [a, b] = timedMemoryTransports(() => now);
  now = 4;
  const writing = a.write(utf8("x"));
  assertEquals(time.waiting, 1);
  b.close();
  await writing;
  assertEquals(time.waiting, 0);
});
