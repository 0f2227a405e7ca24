/**
 * What a Deno client expects of functions that it passes and is passed, and of
 * streams that functions make and take: case by case as in go/ptr.go.
 *
 * @module
 */
import { callback, CallError, type Peer, RemoteError } from "@qtalk/qtalk";
import { assert, assertEquals, assertRejects } from "@std/assert";
import type { PassingFunctions } from "./function_service.ts";

/** Milliseconds for what should happen soon. Only a failure takes as long. */
const SOON = 5_000;
const COUNTS = [0, 1, 1_000];

/** Called during the call: once, failing, and found in an object. */
export async function passFunctions(peer: Peer): Promise<void> {
  const api = peer.remote<PassingFunctions>();
  const double = (n: unknown) => 2 * (n as number);
  assertEquals(await api.Apply(double, 21), 42);
  assertEquals(await api.Apply(double, -1), -2);
  const error = await assertRejects(
    () =>
      api.Apply((text) => {
        throw new CallError(text as string);
      }, "boom"),
    RemoteError,
  );
  assertEquals(error.text, "remote: boom");

  const seen: unknown[] = [];
  const lengths = await api.Each({
    items: ["Ann", "Bo"],
    async fn(name) {
      // A call from inside it is a call like any other.
      seen.push(await peer.call("echo", name));
      return (name as string).length;
    },
  });
  assertEquals(lengths, [3, 2]);
  assertEquals(seen, ["Ann", "Bo"]);
}

/** Called after the call that it came with, until it is released. */
export async function keepFunctions(peer: Peer): Promise<void> {
  const api = peer.remote<PassingFunctions>();
  const increment = callback((n: unknown) => n as number + 1);
  await api.Keep(increment);
  assertEquals(await api.Kept(1), 2);
  assertEquals(await api.Kept(2), 3);
  increment.release();
  const { text } = await assertRejects(() => api.Kept(3), RemoteError);
  assert(text.includes("it was released"), text);
}

/** Two at once, each with its own number. */
export async function receiveFunctions(peer: Peer): Promise<void> {
  const api = peer.remote<PassingFunctions>();
  const [add, more] = await Promise.all([api.Adder(20), api.Adder(-1)]);
  assertEquals(await add(22), 42);
  assertEquals(await more(1), 0);
  assertEquals(await add(0), 20);
  add.release();
  more.release();
}

/** All values, and an error before the first. */
export async function generator(peer: Peer): Promise<void> {
  const api = peer.remote<PassingFunctions>();
  for (const count of COUNTS) {
    assertEquals(
      await Array.fromAsync(api.Numbers(count)),
      Array.from({ length: count }, (_, n) => n),
    );
  }
  const error = await assertRejects(
    () => Array.fromAsync(api.Numbers(-1)),
    RemoteError,
  );
  assertEquals(error.text, "there are no negative counts");
}

/** The producer is let go, and the session goes on. */
export async function leaveGenerator(peer: Peer): Promise<void> {
  const api = peer.remote<PassingFunctions>();
  const before = await api.left();
  let expected = 0;
  for await (const n of api.Numbers(1_000_000)) {
    assertEquals(n, expected++);
    if (expected === 10) break;
  }
  const deadline = performance.now() + SOON;
  while (await api.left() !== before + 1) {
    assert(performance.now() < deadline, "the producer was not let go");
  }
}

/** A function takes a stream, and another answers it with one. */
export async function streamToFunction(peer: Peer): Promise<void> {
  const api = peer.remote<PassingFunctions>();
  async function* counted(count: number) {
    yield count;
    for (let n = 0; n < count; n++) yield n;
  }
  for (const count of COUNTS) {
    const numbers = Array.from({ length: count }, (_, n) => n);
    const total = numbers.reduce((sum, n) => sum + n, 0);
    assertEquals(await api.Total(counted(count)), total);
    assertEquals(
      await Array.fromAsync(api.Doubled(counted(count))),
      numbers.map((n) => 2 * n),
    );
  }
}
