import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { turn, watch, within } from "../../tests/support/within.ts";
import { isValueStream, openSource, ValueIterator } from "./value_source.ts";

/** An iterator whose values the test gives, and what became of it. */
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

Deno.test("an iterator gives what is received, and closes once at the end", async () => {
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

Deno.test("an iterator that is asked several times at once receives one after the other", async () => {
  const it = given();
  const all = [it.iterator.next(), it.iterator.next(), it.iterator.next()];
  for (let i = 0; i < 3; i++) {
    await turn();
    assertEquals(it.waiting.length, i + 1);
    it.waiting[i]!.resolve(i);
  }
  const values = (await Promise.all(all)).map(({ value }) => value);
  assertEquals(values, [0, 1, 2]);
  // And once they are through, it is as before.
  const next = it.iterator.next();
  it.waiting[3]!.resolve(3);
  assertEquals((await next).value, 3);
});

Deno.test("an iterator that is left while it waits closes at once", async () => {
  const it = given();
  const next = it.iterator.next();
  assertEquals(await within(it.iterator.return(), "return()"), DONE);
  assertEquals(it.closed, 1);
  // What still comes is nobody's, be it a value or an error.
  it.waiting[0]!.resolve(1);
  assertEquals(await next, DONE);
  const other = given();
  const failing = other.iterator.next();
  await other.iterator.return();
  other.waiting[0]!.reject(new Error("late"));
  assertEquals(await failing, DONE);
});

Deno.test("an iterator closes after an error, and is at its end then", async () => {
  const it = given();
  const next = it.iterator.next();
  const behind = it.iterator.next();
  it.waiting[0]!.reject(new Error("broken"));
  await assertRejects(() => next, Error, "broken");
  assertEquals(await behind, DONE);
  assertEquals(it.closed, 1);
});

Deno.test("async iterables and streams are sent as many values, and nothing else is", () => {
  const streams = [
    (async function* () {})(),
    new ReadableStream(),
    { [Symbol.asyncIterator]: () => {} },
  ];
  for (const value of streams) assertEquals(isValueStream(value), true);
  const values = [null, undefined, [], [1], "text", new Map(), () => {}, {
    next: () => {},
  }];
  for (const value of values) assertEquals(isValueStream(value), false);
});

Deno.test("a stream that waits is cancelled when it is stopped", async () => {
  const reason = new Error("enough");
  const cancelled = Promise.withResolvers<unknown>();
  const source = openSource(new ReadableStream({ cancel: cancelled.resolve }));
  const next = watch(source.next());
  source.stop(reason);
  assertEquals(await within(cancelled.promise, "cancel()"), reason);
  await turn();
  assertEquals(next.state, "resolved");
});

Deno.test("stopping throws nothing, whatever the producer does, and asks it once", async () => {
  let asked = 0;
  const returns = [
    undefined,
    () => undefined,
    () => {
      throw new Error("threw");
    },
    () => Promise.reject(new Error("rejected")),
  ];
  for (const giveBack of returns) {
    const source = openSource({
      [Symbol.asyncIterator]: () => ({
        next: () => Promise.reject(new Error("next")),
        ...(giveBack && {
          return: (() => {
            asked++;
            return giveBack();
          }) as () => Promise<never>,
        }),
      }),
    });
    source.stop("once");
    source.stop("twice");
  }
  openSource(
    new ReadableStream({
      cancel() {
        throw new Error("threw");
      },
    }),
  ).stop("once");
  await turn();
  assertEquals(asked, 3);
  const locked = new ReadableStream();
  locked.getReader();
  assertThrows(() => openSource(locked), TypeError);
});
