import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { turn, watch, within } from "../../tests/support/within.ts";
import { checkResult, isValueStream, openSource } from "./value_source.ts";

Deno.test("isValueStream(): async iterables and streams are sent as many values, and nothing else is", () => {
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

Deno.test("openSource(): the results of an iterator need not be promises", async () => {
  const source = openSource({
    [Symbol.asyncIterator]: () =>
      [1][Symbol.iterator]() as unknown as AsyncIterator<number>,
  });
  // Whoever asks uses the methods of a promise.
  assertEquals(await source.next().then(({ value }) => value), 1);
  assertEquals((await source.next()).done, true);
});

Deno.test("checkResult(): what is no object is an error, as in a loop", async () => {
  const result = { done: true, value: 1 };
  assertEquals(checkResult(result), result);
  for (const result of [undefined, null, 1, "text", Symbol.iterator]) {
    const given = result as unknown as IteratorResult<unknown>;
    const loop = async () => {
      const next = () => Promise.resolve(given);
      for await (
        const _ of { [Symbol.asyncIterator]: () => ({ next }) }
      ) break;
    };
    await assertRejects(loop, TypeError);
    const text = `Iterator result ${String(result)} is not an object`;
    assertThrows(() => checkResult(given), TypeError, text);
  }
});

Deno.test("openSource(): stopping cancels a stream that waits", async () => {
  const reason = new Error("enough");
  const cancelled = Promise.withResolvers<unknown>();
  const source = openSource(new ReadableStream({ cancel: cancelled.resolve }));
  const next = watch(source.next());
  source.stop(reason);
  assertEquals(await within(cancelled.promise, "cancel()"), reason);
  await turn();
  assertEquals(next.state, "resolved");
});

Deno.test("openSource(): stopping never throws, and calls return() once", async () => {
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
