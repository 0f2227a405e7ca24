import { CallError, handlerFrom, RemoteError } from "@qtalk/qtalk";
import {
  fanOut,
  type FanOutOptions,
  type SubscribeOptions,
} from "@qtalk/qtalk/fan-out";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { test } from "../../tests/support/harness.ts";
import { turn, until, watch, within } from "../../tests/support/within.ts";

/** A source whose values come when the test gives them. */
function pushed<T>() {
  let controller!: ReadableStreamDefaultController<T>;
  const source = {
    cancelled: undefined as { reason: unknown } | undefined,
    stream: new ReadableStream<T>({
      start: (given) => void (controller = given),
      cancel: (reason) => void (source.cancelled = { reason }),
    }),
    push: (...values: T[]) => values.forEach((v) => controller.enqueue(v)),
    end: () => controller.close(),
    fail: (error: unknown) => controller.error(error),
  };
  return source;
}

/** The next value of a stream; undefined at its end. */
async function next<T>(stream: ReadableStream<T>): Promise<T | undefined> {
  const reader = stream.getReader();
  try {
    return (await within(reader.read(), "a value")).value;
  } finally {
    reader.releaseLock();
  }
}

test("fanOut(): every subscriber gets every value, then the end", async () => {
  async function* numbers() {
    yield* [1, 2, 3];
  }
  using numbered = fanOut(numbers());
  const streams = [1, 2, 3].map(() => numbered.subscribe());
  assertEquals(numbered.subscriberCount, 3);
  for (const stream of streams) {
    assertEquals(await Array.fromAsync(stream), [1, 2, 3]);
  }
  assertEquals(numbered.subscriberCount, 0);
});

test("fanOut(): a failure of the source comes after the values before it", async () => {
  const reason = new Error("the sensor is gone");
  async function* values() {
    yield 1;
    throw reason;
  }
  using fan = fanOut(values());
  const [first, second] = [fan.subscribe(), fan.subscribe()];
  for (const stream of [first, second]) {
    assertEquals(await next(stream), 1);
    assertStrictEquals(await assertRejects(() => next(stream)), reason);
  }
  const late = await assertRejects(() => next(fan.subscribe()));
  assertStrictEquals(late, reason);
});

test("fanOut(): a source whose iterator gives a number fails", async () => {
  const numbers = {
    [Symbol.asyncIterator]: () => ({ next: () => Promise.resolve(5) }),
  } as unknown as AsyncIterable<number>;
  using fan = fanOut(numbers);
  const text = "Iterator result 5 is not an object";
  await assertRejects(() => next(fan.subscribe()), TypeError, text);
});

test("fanOut(): a subscriber that does not read delays neither the source nor the others", async () => {
  const source = pushed<number>();
  using fan = fanOut(source.stream, { whenFull: "drop-oldest", buffer: 2 });
  const [idle, eager] = [fan.subscribe(), fan.subscribe()];
  for (let i = 0; i < 100; i++) {
    source.push(i);
    assertEquals(await next(eager), i);
  }
  assertEquals(fan.droppedCount, 98);
  source.end();
  assertEquals(await Array.fromAsync(idle), [98, 99]);
});

/** What a subscriber reads that begins after all of 0 to 9 have come. */
async function afterTen(
  options: FanOutOptions<number>,
  own?: SubscribeOptions,
): Promise<number[]> {
  using fan = fanOut<number>(undefined, options);
  const stream = fan.subscribe(own);
  for (let i = 0; i < 10; i++) fan.publish(i);
  fan.close();
  return await Array.fromAsync(stream);
}

test("fanOut(): whenFull says which values are dropped", async () => {
  const buffer = 3;
  assertEquals(await afterTen({ buffer, whenFull: "drop-oldest" }), [7, 8, 9]);
  assertEquals(await afterTen({ buffer, whenFull: "drop-newest" }), [0, 1, 2]);
  assertEquals(await afterTen({ buffer, whenFull: "keep-latest" }), [9]);
  assertEquals(await afterTen({ buffer: 10 }), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  // One value can always wait.
  assertEquals(await afterTen({ buffer: 0, whenFull: "keep-latest" }), [9]);
  assertEquals(await afterTen({ buffer: 0, whenFull: "drop-newest" }), [0]);
});

test("fanOut(): a subscriber can have a buffer and a rule of its own", async () => {
  assertEquals(
    await afterTen({}, { buffer: 2, whenFull: "drop-oldest" }),
    [8, 9],
  );
});

test("fanOut(): by default, a subscriber that is too slow is ended with an error", async () => {
  using fan = fanOut<number>(undefined, { buffer: 3 });
  const [slow, quick] = [fan.subscribe(), fan.subscribe()];
  for (let i = 0; i < 4; i++) {
    fan.publish(i);
    assertEquals(await next(quick), i);
  }
  const error = await assertRejects(() => next(slow), CallError);
  assertEquals(error.code, "too-slow");
  assertEquals(
    error.message,
    'Cannot continue stream: it is read too slowly, and 3 values wait (option "buffer")',
  );
  assertEquals(fan.subscriberCount, 1);
  fan.publish(4);
  assertEquals(await next(quick), 4);
});

test("fanOut(): size says what a value counts as", async () => {
  using fan = fanOut<string>(undefined, {
    buffer: 10,
    size: (text) => text.length,
    whenFull: "drop-oldest",
  });
  const stream = fan.subscribe();
  ["aaaa", "bbbb", "cc", "dddddd", "a value that is larger than the buffer"]
    .forEach((text, i) => {
      fan.publish(text);
      if (i === 3) assertEquals(fan.droppedCount, 2);
    });
  fan.close();
  assertEquals(await Array.fromAsync(stream), [
    "a value that is larger than the buffer",
  ]);
  using wrong = fanOut<string>(undefined, { size: () => NaN });
  assertThrows(() => wrong.publish("x"), RangeError, `"size"`);
});

test("fanOut(): a late subscriber gets the latest values first, if there is a replay", async () => {
  using plain = fanOut<number>();
  plain.publish(1);
  const later = plain.subscribe();
  plain.publish(2);
  assertEquals(await next(later), 2);

  using state = fanOut<number>(undefined, { replay: 2, buffer: 1 });
  for (let i = 0; i < 5; i++) state.publish(i);
  const stream = state.subscribe();
  assertEquals([await next(stream), await next(stream)], [3, 4]);
  state.close();
  assertEquals(await next(stream), undefined);
  // Also after the end.
  assertEquals(await Array.fromAsync(state.subscribe()), [3, 4]);
});

test("fanOut(): a subscriber that leaves or aborts gets nothing more, and leaves no listener", async () => {
  using fan = fanOut<number>();
  const stop = new AbortController();
  const aborted = fan.subscribe({ signal: stop.signal });
  const left = fan.subscribe();
  const stays = fan.subscribe({ signal: stop.signal });
  const waiting = assertRejects(() => next(aborted), Error, "enough");
  await left.cancel();
  assertEquals(fan.subscriberCount, 2);
  await stays.cancel();
  stop.abort(new Error("enough"));
  await waiting;
  assertEquals(fan.subscriberCount, 0);
  fan.publish(1);
  const late = fan.subscribe({ signal: stop.signal });
  await assertRejects(() => next(late), Error, "enough");
  assertEquals(fan.subscriberCount, 0);
});

test("fanOut(): a signal that aborts ends a stream that has values left", async () => {
  using fan = fanOut<number>();
  const stop = new AbortController();
  const stream = fan.subscribe({ signal: stop.signal });
  fan.publish(1);
  fan.publish(2);
  fan.close();
  assertEquals(await next(stream), 1);
  stop.abort(new Error("enough"));
  await assertRejects(() => next(stream), Error, "enough");
});

test("fanOut(): the source is opened for the first subscriber, and read on without any", async () => {
  let opened = 0;
  const source = pushed<number>();
  using fan = fanOut(() => {
    opened++;
    return source.stream;
  }, { replay: 1 });
  await turn();
  assertEquals(opened, 0);
  const stream = fan.subscribe();
  source.push(1);
  assertEquals(await next(stream), 1);
  await stream.cancel();
  assertEquals(source.cancelled, undefined);
  source.push(2);
  await turn();
  assertEquals(await next(fan.subscribe()), 2);
  assertEquals(opened, 1);
});

test("fanOut(): with cancelUnused, the source is cancelled with the last subscriber, and a function opens it again", async () => {
  const sources: ReturnType<typeof pushed<number>>[] = [];
  using fan = fanOut(() => {
    const source = pushed<number>();
    sources.push(source);
    return source.stream;
  }, { cancelUnused: true, replay: 1 });
  const [first, second] = [fan.subscribe(), fan.subscribe()];
  sources[0]!.push(1);
  assertEquals(await next(first), 1);
  await first.cancel();
  assertEquals(sources[0]!.cancelled, undefined);
  await second.cancel();
  assert(sources[0]!.cancelled);
  const third = fan.subscribe();
  assertEquals(sources.length, 2);
  sources[1]!.push(2);
  assertEquals(await next(third), 2);

  const source = pushed<number>();
  using once = fanOut(source.stream, { cancelUnused: true });
  await once.subscribe().cancel();
  assert(source.cancelled);
  assertEquals(await next(once.subscribe()), undefined);
});

test("fanOut(): a source that always has a value keeps nothing else waiting", async () => {
  let produced = 0;
  async function* endless() {
    for (;;) yield produced++;
  }
  using fan = fanOut(endless(), { whenFull: "keep-latest", buffer: 1 });
  const stream = fan.subscribe();
  for (let i = 0; i < 3; i++) await turn();
  const before = produced;
  assert(before > 0);
  const value = await next(stream);
  assert(value !== undefined && value <= before);
});

test("fanOut(): close() ends the subscribers and cancels the source", async () => {
  let ended = false;
  async function* endless() {
    try {
      for (let n = 0;; n++) {
        await turn();
        yield n;
      }
    } finally {
      ended = true;
    }
  }
  const fan = fanOut(endless(), { whenFull: "keep-latest" });
  const stream = fan.subscribe();
  assertEquals(await next(stream), 0);
  fan.close();
  fan.close();
  fan.publish(7);
  await within(Array.fromAsync(stream), "the end");
  await until(() => ended, "the end of the source");
});

test("fanOut(): what is waited for ends with close()", async () => {
  const fan = fanOut<number>();
  const waiting = watch(next(fan.subscribe()));
  await turn();
  assertEquals(waiting.state, "pending");
  fan.close();
  await turn();
  assertEquals(waiting.state, "resolved");
});

test("fanOut(): what it cannot use is refused with an error that names it", () => {
  for (const source of [5, "text", null, {}]) {
    assertThrows(() => fanOut(source as never), TypeError, "Cannot fan out");
  }
  assertThrows(
    () => fanOut<number>(undefined, { whenFull: "wait" as never }),
    TypeError,
    `Cannot use option "whenFull"`,
  );
  assertThrows(() => fanOut<number>(undefined, { buffer: -1 }), RangeError);
  using fan = fanOut<number>(undefined, { maxSubscribers: 1 });
  assertThrows(() => fan.subscribe({ buffer: 1.5 }), RangeError);
  fan.subscribe();
  const error = assertThrows(() => fan.subscribe(), CallError);
  assertEquals(error.code, "busy");
  using wrong = fanOut<number>(() => 5 as never);
  assertThrows(() => wrong.subscribe(), TypeError, "Cannot fan out");
});

test("fanOut(): a handler returns a subscription, which ends with its call", async (t) => {
  using ticks = fanOut<number>(undefined, { replay: 1 });
  const service = {
    ticks: () => ticks.subscribe(),
    tick: (n: number) => ticks.publish(n),
  };
  const [client] = t.pair({}, { handler: handlerFrom(service) });
  const api = client.remote<typeof service>();
  await api.tick(1);
  const seen: number[] = [];
  for await (const n of api.ticks()) {
    seen.push(n);
    if (n === 3) break;
    await api.tick(n + 1);
  }
  assertEquals(seen, [1, 2, 3]);
  await until(() => ticks.subscriberCount === 0, "the end of the subscription");
});

test("fanOut(): a remote caller that is too slow learns why its stream ends", async (t) => {
  using ticks = fanOut<string>(undefined, { buffer: 4 });
  const service = { ticks: () => ticks.subscribe() };
  const session = { initialWindowSize: 1_024, maxWindowSize: 1_024 };
  const [client] = t.pair({ session }, {
    handler: handlerFrom(service),
    session,
  });
  await using response = await client.request("ticks", []);
  const text = "x".repeat(1_000);
  for (let i = 0; i < 20 && ticks.subscriberCount > 0; i++) {
    ticks.publish(text);
    await turn();
  }
  assertEquals(ticks.subscriberCount, 0);
  const error = await assertRejects(() => Array.fromAsync(response));
  assertInstanceOf(error, RemoteError);
  assertEquals(error.code, "too-slow");
});
