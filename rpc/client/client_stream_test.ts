/**
 * Calls with many argument values.
 *
 * @module
 */
import { handlerFrom, memoryPair, type Peer, withStream } from "@qtalk/qtalk";
import { assertEquals, assertRejects } from "@std/assert";
import { CodecError } from "../../codec/errors.ts";
import {
  rawAccept,
  type RawChannel,
  scriptedPeer,
} from "../../tests/support/raw_call.ts";
import { watch, within } from "../../tests/support/within.ts";
import { RemoteError } from "../errors.ts";

const CONTINUED = { Error: null, Continue: true };

/** A producer whose values the test gives, and whether it was ended. */
class Producer implements AsyncIterable<unknown> {
  readonly returned = Promise.withResolvers<void>();
  #waiting: PromiseWithResolvers<IteratorResult<unknown>> | undefined;
  #asked = Promise.withResolvers<void>();

  /** Resolves when the next value is requested. */
  get asked(): Promise<void> {
    return this.#asked.promise;
  }

  give(value: unknown): void {
    this.#settle().resolve({ done: false, value });
  }

  end(): void {
    this.#settle().resolve({ done: true, value: undefined });
  }

  fail(error: unknown): void {
    this.#settle().reject(error);
  }

  [Symbol.asyncIterator](): AsyncIterator<unknown> {
    return {
      next: () => {
        this.#waiting = Promise.withResolvers();
        this.#asked.resolve();
        return this.#waiting.promise;
      },
      return: () => {
        this.returned.resolve();
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }

  #settle(): PromiseWithResolvers<IteratorResult<unknown>> {
    this.#asked = Promise.withResolvers();
    return this.#waiting!;
  }
}

async function streaming(): Promise<{
  peer: Peer;
  producer: Producer;
  answer: ReturnType<Peer["request"]>;
  channel: RawChannel;
}> {
  const { peer, raw } = scriptedPeer();
  const producer = new Producer();
  const answer = peer.request("sum", producer);
  answer.catch(() => {});
  const channel = await rawAccept(raw);
  await within(producer.asked, "the first value to be requested");
  return { peer, producer, answer, channel };
}

Deno.test("streamed arguments: an async iterable is sent as many values, then EOF", async () => {
  const { peer, producer, answer, channel } = await streaming();
  await using _ = peer;
  const [header] = await channel.read(1);
  assertEquals((header as { Selector: string }).Selector, "sum");
  for (const value of [1, "two", null]) {
    await producer.asked;
    producer.give(value);
    assertEquals(await channel.read(1), [value]);
  }
  await producer.asked;
  producer.end();
  await channel.raw.expect("eof");
  await channel.answer("done");
  assertEquals((await answer).value, "done");
});

Deno.test("streamed arguments: an empty async iterable sends only the header and EOF", async () => {
  const [client] = memoryPair({}, {
    handler: async (call, respond) => {
      await respond.return(await Array.fromAsync(call));
    },
  });
  await using _ = client;
  assertEquals(await client.call("x", (async function* () {})()), []);
});

Deno.test("streamed arguments: a generator, a stream and an iterable object are sent as values", async () => {
  const [client] = memoryPair({}, {
    handler: async (call, respond) => {
      await respond.return(await Array.fromAsync(call));
    },
  });
  await using _ = client;
  async function* generate() {
    yield* [1, 2, 3];
  }
  assertEquals(await client.call("x", generate()), [1, 2, 3]);
  assertEquals(
    await client.call("x", ReadableStream.from([1, 2, 3])),
    [1, 2, 3],
  );
  assertEquals(await client.call("x", { [Symbol.asyncIterator]: generate }), [
    1,
    2,
    3,
  ]);
});

Deno.test("streamed arguments: the producer waits while the peer does not read", async () => {
  const { peer, raw } = scriptedPeer();
  await using _ = peer;
  let given = 0;
  const answer = watch(peer.call(
    "x",
    (async function* () {
      while (true) {
        given++;
        yield "x".repeat(1_000);
      }
    })(),
  ));
  await rawAccept(raw, 0, 10_000);
  let bytes = 0;
  while (bytes < 10_000) bytes += (await raw.find("data")).payload.length;
  assertEquals([answer.state, given <= 12], ["pending", true], `${given}`);
});

Deno.test("streamed arguments: a response ends the producer", async () => {
  const { peer, producer, answer, channel } = await streaming();
  await using _ = peer;
  await channel.answer(7);
  assertEquals((await answer).value, 7);
  await within(producer.returned.promise, "the producer to end");
});

Deno.test("streamed arguments: an error response ends the producer", async () => {
  const { peer, producer, answer, channel } = await streaming();
  await using _ = peer;
  await channel.values({ Error: "no" }, null);
  await assertRejects(() => answer, RemoteError, "remote: no");
  await within(producer.returned.promise, "the producer to end");
});

Deno.test("streamed arguments: values are still sent after a continued response", async () => {
  const { peer, producer, answer, channel } = await streaming();
  await using _ = peer;
  await channel.values(CONTINUED, "go on");
  await using response = await answer;
  assertEquals(response.value, "go on");
  await channel.read(1);
  producer.give("later");
  assertEquals(await channel.read(1), ["later"]);
  await producer.asked;
  producer.end();
  await channel.raw.expect("eof");
});

Deno.test("streamed arguments: closing a continued response ends the producer", async () => {
  const { peer, producer, answer, channel } = await streaming();
  await using _ = peer;
  await channel.values(CONTINUED, null);
  const response = await answer;
  assertEquals(response.continued, true);
  await response.close();
  producer.give("of no use");
  await within(producer.returned.promise, "the producer to end");
});

Deno.test("streamed arguments: a producer that fails rejects the call and closes its channel", async () => {
  const { peer, producer, answer, channel } = await streaming();
  await using _ = peer;
  producer.fail(new RangeError("mine"));
  await assertRejects(() => answer, RangeError, "mine");
  await channel.raw.find("close");
});

Deno.test("streamed arguments: a producer that fails after a continued response closes the channel without EOF", async () => {
  const { peer, producer, answer, channel } = await streaming();
  await using _ = peer;
  await channel.values(CONTINUED, null);
  const response = await answer;
  producer.fail(new RangeError("mine"));
  const frame = await within(channel.raw.find("close"), "CLOSE");
  assertEquals(frame.type, "close");
  await assertRejects(() => response.send(1), RangeError, "mine");
});

Deno.test("streamed arguments: a producer that fails after a continued response ends the loop with its error", async () => {
  const [client] = memoryPair({}, {
    handler: handlerFrom({
      echo: withStream(async function* (values: AsyncIterable<number>) {
        yield* values;
      }),
    }),
  });
  await using _ = client;
  async function* numbers() {
    yield 1;
    await failing.promise;
    throw new RangeError("mine");
  }
  const failing = Promise.withResolvers<void>();
  type Echo = { echo(values: AsyncIterable<number>): AsyncIterable<number> };
  const loop = client.remote<Echo>().echo(numbers())[Symbol.asyncIterator]();
  assertEquals((await loop.next()).value, 1);
  const next = loop.next();
  failing.resolve();
  await assertRejects(() => next, RangeError, "mine");
});

Deno.test("streamed arguments: a value that cannot be encoded rejects the call", async () => {
  const { peer, producer, answer, channel } = await streaming();
  await using _ = peer;
  producer.give(new Map());
  await assertRejects(() => answer, CodecError, "a Map");
  await within(producer.returned.promise, "the producer to end");
  await channel.raw.find("close");
});

Deno.test("streamed arguments: an iterable that throws rejects the call", async () => {
  const locked = new ReadableStream();
  locked.getReader();
  const thrower = {
    [Symbol.asyncIterator]() {
      throw new RangeError("mine");
    },
  };
  const numbers = {
    [Symbol.asyncIterator]: () => ({ next: () => Promise.resolve(5) }),
  };
  const [client] = memoryPair({}, { handler: () => new Promise(() => {}) });
  await using _ = client;
  await assertRejects(() => client.call("x", locked), TypeError);
  await assertRejects(
    () => client.call("x", numbers),
    TypeError,
    "Iterator result 5 is not an object",
  );
  await assertRejects(() => client.call("x", thrower), RangeError, "mine");
});

Deno.test("streamed arguments: a return() that fails or returns no promise does not change the outcome", async () => {
  const odd = [
    () => undefined,
    () => {
      throw new Error("return() threw");
    },
    () => Promise.reject(new Error("return() rejected")),
  ];
  for (const giveBack of odd) {
    const producer = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise<never>(() => {}),
        return: giveBack as () => Promise<never>,
      }),
    };
    const [client] = memoryPair({}, {
      handler: (_call, respond) => respond.return("done"),
    });
    await using _ = client;
    assertEquals(await within(client.call("x", producer), "the call"), "done");
    const timedOut = client.call("x", producer, {
      signal: AbortSignal.abort("before"),
    });
    assertEquals(await timedOut.catch((reason) => reason), "before");
  }
});

Deno.test("streamed arguments: cancelling the call ends the producer", async () => {
  const { peer, raw } = scriptedPeer();
  await using _ = peer;
  const giveUp = new AbortController();
  const producer = new Producer();
  const answer = peer.call("x", producer, { signal: giveUp.signal });
  await rawAccept(raw);
  await producer.asked;
  giveUp.abort(new Error("enough"));
  await assertRejects(() => answer, Error, "enough");
  await within(producer.returned.promise, "the producer to end");
});
