import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { testTransport } from "../../tests/conformance/transport_suite.ts";
import { text, utf8 } from "../../tests/support/wire.ts";
import { turn, watch } from "../../tests/support/within.ts";
import { memoryTransports } from "./memory.ts";

testTransport("memory transport", () => {
  const [a, b] = memoryTransports();
  return Promise.resolve({ a, b, close() {} });
});

Deno.test("memory transport: nothing is copied", async () => {
  const [a, b] = memoryTransports();
  const bytes = utf8("bytes");
  void a.write(bytes);
  assertStrictEquals(await b.read(), bytes);
  a.close();
});

Deno.test("memory transport: a write lasts until what it wrote is done with", async () => {
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

Deno.test("memory transport: what waits is read before the end", async () => {
  const [a, b] = memoryTransports();
  void a.write(utf8("last words"));
  await turn();
  await a.closeWrite();
  assertEquals(text((await b.read())!), "last words");
  assertEquals(await b.read(), null);
  assertEquals(await b.read(), null);
  a.close();
});

Deno.test("memory transport: a write to an end that is gone fails", async () => {
  const [a, b] = memoryTransports();
  b.close();
  await assertRejects(() => a.write(utf8("x")), TypeError, "pipe ended");
  assertEquals(await a.read(), null);
});

Deno.test("memory transport: two ends that never wait leave timers their turn", async () => {
  const [a, b] = memoryTransports();
  let fired = false;
  const timer = setTimeout(() => fired = true, 0);
  const reading = (async () => {
    while (await b.read() !== null);
  })();
  let writes = 0;
  while (!fired && ++writes < 1_000_000) await a.write(new Uint8Array(1));
  clearTimeout(timer);
  a.close();
  await reading;
  assert(fired, `no timer in ${writes} writes`);
});

Deno.test("memory transport: closing leaves no timer behind", () => {
  const [a, b] = memoryTransports();
  const start = performance.now();
  // Long enough that the next write gives timers their turn.
  while (performance.now() - start < 10);
  void a.write(utf8("x"));
  b.close();
});
