import { assertEquals, assertRejects } from "@std/assert";
import { turn, within } from "../../tests/support/within.ts";
import { ValueIterator } from "./value_iterator.ts";

/** An iterator whose values the test gives, and how often it was closed. */
function given() {
  const waiting: PromiseWithResolvers<number | undefined>[] = [];
  let closed = 0;
  const iterator = new ValueIterator(
    () => {
      const next = Promise.withResolvers<number | undefined>();
      waiting.push(next);
      return next.promise;
    },
    () => void closed++,
  );
  return {
    iterator,
    waiting,
    get closed() {
      return closed;
    },
  };
}

const DONE = { done: true, value: undefined } as const;

Deno.test("ValueIterator: it yields what is received, and closes once at the end", async () => {
  const it = given();
  const first = it.iterator.next();
  it.waiting[0]!.resolve(1);
  assertEquals(await first, { done: false, value: 1 });
  const last = it.iterator.next();
  it.waiting[1]!.resolve(undefined);
  assertEquals(await last, DONE);
  assertEquals(await it.iterator.next(), DONE);
  assertEquals(await it.iterator.return(), DONE);
  assertEquals(it.closed, 1);
  assertEquals(it.waiting.length, 2);
});

Deno.test("ValueIterator.next: calls at the same time receive one after the other", async () => {
  const it = given();
  const all = [it.iterator.next(), it.iterator.next(), it.iterator.next()];
  for (let i = 0; i < 3; i++) {
    await turn();
    assertEquals(it.waiting.length, i + 1);
    it.waiting[i]!.resolve(i);
  }
  const values = (await Promise.all(all)).map(({ value }) => value);
  assertEquals(values, [0, 1, 2]);
  // After that, a single call works as before.
  const next = it.iterator.next();
  it.waiting[3]!.resolve(3);
  assertEquals((await next).value, 3);
});

Deno.test("ValueIterator.return: it closes at once, even while next() waits", async () => {
  const it = given();
  const next = it.iterator.next();
  assertEquals(await within(it.iterator.return(), "return()"), DONE);
  assertEquals(it.closed, 1);
  // A value or an error that arrives later is dropped.
  it.waiting[0]!.resolve(1);
  assertEquals(await next, DONE);
  const other = given();
  const failing = other.iterator.next();
  await other.iterator.return();
  other.waiting[0]!.reject(new Error("late"));
  assertEquals(await failing, DONE);
});

Deno.test("ValueIterator.next: an error closes the iterator, which is then at its end", async () => {
  const it = given();
  const next = it.iterator.next();
  const second = it.iterator.next();
  it.waiting[0]!.reject(new Error("broken"));
  await assertRejects(() => next, Error, "broken");
  assertEquals(await second, DONE);
  assertEquals(it.closed, 1);
});
