/**
 * What clients of a soak run do: each act is one use of the service, and checks
 * what comes of it.
 *
 * @module
 */
import {
  type Callback,
  type Caller,
  type ReceivedStream,
  RemoteError,
  RpcError,
} from "@qtalk/qtalk";
import { assert, assertEquals } from "@std/assert";
import type { Random } from "../support/random.ts";
import {
  bytesOf,
  digestOf,
  MAX_SIZE,
  readAll,
  streamOf,
  textOf,
  valueOf,
} from "./data.ts";
import type { service } from "./service.ts";

/** What an act has. */
export interface Scene {
  readonly caller: Caller;
  readonly random: Random;
  /** A signal that outlives every call; nothing may stay on it. */
  readonly signal: AbortSignal;
}

/** An act, and how often it is done compared with others. */
interface Act {
  readonly share: number;
  run(scene: Scene): Promise<void>;
}

type Service = typeof service;

function seedOf(random: Random): number {
  return random.int(0, 1_000_000);
}

/** Mostly small, sometimes as large as `max`. */
function sizeOf(random: Random, max: number): number {
  return Math.floor(max ** (0.5 + random.next() / 2));
}

async function* numbers(count: number): AsyncGenerator<number> {
  for (let i = 1; i <= count; i++) yield i;
}

function streamOfNumbers(count: number): ReadableStream<number> {
  return ReadableStream.from(numbers(count));
}

const sumTo = (count: number) => count * (count + 1) / 2;

/** All acts, by name. */
export const ACTS: Readonly<Record<string, Act>> = {
  "small call": {
    share: 30,
    async run({ caller, random, signal }) {
      const value = valueOf(seedOf(random));
      const options = random.chance(0.5) ? { signal } : { timeout: 60_000 };
      assertEquals(await caller.call("echo", [value], options), value);
    },
  },
  "large call": {
    share: 3,
    async run({ caller, random }) {
      const text = textOf(seedOf(random), sizeOf(random, 900_000));
      if (random.chance(0.5)) {
        assertEquals(await caller.call("digest", [text]), digestOf(text));
      } else {
        const back = await caller.call("echo", [text]);
        assert(back === text, "The text that came back differs");
      }
    },
  },
  "error": {
    share: 5,
    async run({ caller, random }) {
      const details = { of: valueOf(seedOf(random)) };
      const text = textOf(seedOf(random), 60);
      const error = await outcome(
        caller.call("fail", [text, "no-luck", details]),
      );
      checkRemote(error, "no-luck");
      assert(error.message.includes(text), error.message);
      assertEquals(error.details, details);
    },
  },
  "unknown selector": {
    share: 2,
    async run({ caller }) {
      checkRemote(await outcome(caller.call("nothing.here")), "not-found");
    },
  },
  "call back by the handler": {
    share: 5,
    async run({ caller, random }) {
      const value = valueOf(seedOf(random));
      assertEquals(await caller.call("askBack", [value]), { answer: value });
    },
  },
  "stream of values": {
    share: 5,
    async run({ caller, random, signal }) {
      const seed = seedOf(random), count = random.int(0, 300);
      const api = caller.remote<Service>({ signal });
      let taken = 0;
      for await (const value of api.values(seed, count)) {
        assertEquals(value, valueOf(seed + taken++));
      }
      assertEquals(taken, count);
    },
  },
  "stream left early": {
    share: 5,
    async run({ caller, random }) {
      const seed = seedOf(random), wanted = random.int(1, 50);
      let taken = 0;
      const api = caller.remote<Service>();
      for await (const value of api.values(seed, 1_000_000)) {
        assertEquals(value, valueOf(seed + taken++));
        if (taken === wanted) break;
      }
    },
  },
  "stream that fails": {
    share: 2,
    async run({ caller, random }) {
      const count = random.int(0, 50);
      let taken = 0;
      const error = await outcome((async () => {
        const api = caller.remote<Service>();
        for await (const value of api.failing(count)) {
          assertEquals(value, taken++);
        }
      })());
      checkRemote(error, "exhausted");
      assertEquals(taken, count);
    },
  },
  "stream of arguments": {
    share: 4,
    async run({ caller, random, signal }) {
      const count = random.int(0, 300);
      const api = caller.remote<Service>({ signal });
      assertEquals(await api.sum(numbers(count)), sumTo(count));
    },
  },
  "stream of arguments that fails": {
    share: 2,
    async run({ caller, random }) {
      const count = random.int(0, 30);
      const reason = new Error("the producer has failed");
      async function* broken() {
        yield* numbers(count);
        throw reason;
      }
      const error = await outcome(caller.remote<Service>().sum(broken()));
      rethrowUnless(error, error === reason);
    },
  },
  "arguments that the handler leaves": {
    share: 2,
    async run({ caller }) {
      let ended = false;
      async function* endless() {
        try {
          for (let i = 1;; i++) yield i;
        } finally {
          ended = true;
        }
      }
      const api = caller.remote<Service>();
      assertEquals(await api.first(endless()), [1, 2, 3]);
      // The producer is ended in the turns after the answer.
      for (let i = 0; i < 1_000 && !ended; i++) await turn();
      assert(ended, "The producer goes on");
    },
  },
  "streams in both directions": {
    share: 4,
    async run({ caller, random }) {
      const count = random.int(0, 200);
      const wanted = random.chance(0.7) ? count : random.int(1, 20);
      const got: number[] = [];
      const api = caller.remote<Service>();
      for await (const value of api.doubled(numbers(count))) {
        got.push(value);
        if (got.length === wanted) break;
      }
      const expected = Math.min(count, wanted);
      assertEquals(got, Array.from({ length: expected }, (_, i) => 2 * i + 2));
    },
  },
  "bytes there and back": {
    share: 3,
    async run({ caller, random, signal }) {
      const bytes = bytesOf(seedOf(random), sizeOf(random, MAX_SIZE));
      await using pair = await caller.remote<Service>({ signal }).bytes();
      const sending = streamOf(bytes, random).pipeTo(pair.writable);
      const [{ size, digest }] = await Promise.all([
        readAll(pair.readable),
        sending,
      ]);
      assertEquals(size, bytes.length);
      assertEquals(digest, digestOf(bytes));
    },
  },
  "bytes, half closed": {
    share: 3,
    async run({ caller, random }) {
      const bytes = bytesOf(seedOf(random), sizeOf(random, MAX_SIZE));
      await using response = await caller.request("swallow");
      const { readable, writable } = response.channel!;
      const answer = new Response(readable).text();
      answer.catch(() => {});
      await streamOf(bytes, random).pipeTo(writable);
      assertEquals(await answer, `${bytes.length} ${digestOf(bytes)}`);
    },
  },
  "bytes left early": {
    share: 3,
    async run({ caller, random }) {
      const pair = await caller.remote<Service>().bytes();
      const writer = pair.writable.getWriter();
      const writing = writer.write(bytesOf(0, random.int(1, 100_000)));
      writing.catch(() => {});
      const reader = pair.readable.getReader();
      await reader.read();
      switch (random.int(0, 2)) {
        case 0:
          await pair.close();
          break;
        case 1:
          await reader.cancel();
          await writer.abort("enough").catch(() => {});
          await pair.close();
          break;
        default:
          reader.releaseLock();
          await pair[Symbol.asyncDispose]();
      }
      await writing.catch(() => {});
    },
  },
  "stream among the arguments": {
    share: 3,
    async run({ caller, random }) {
      const seed = seedOf(random), size = sizeOf(random, MAX_SIZE);
      const bytes = bytesOf(seed, size);
      const api = caller.remote<Service>();
      assertEquals(await api.upload(seed, streamOf(bytes, random)), {
        seed,
        size,
        digest: digestOf(bytes),
      });
    },
  },
  "stream in a result": {
    share: 3,
    async run({ caller, random }) {
      const seed = seedOf(random), size = sizeOf(random, MAX_SIZE);
      const api = caller.remote<Service>();
      const { digest, body } = await api.download(seed, size);
      if (random.chance(0.3)) {
        // Left before it has begun, or in the middle.
        const reader = body.getReader();
        if (random.chance(0.5)) await reader.read();
        await reader.cancel();
        return;
      }
      assertEquals(await readAll(body), { size, digest });
    },
  },
  "two streams among the arguments": {
    share: 3,
    async run({ caller, random }) {
      const a = random.int(0, 100), b = random.int(0, 100);
      const api = caller.remote<Service>();
      const got = await Array.fromAsync(
        api.zip(streamOfNumbers(a), streamOfNumbers(b)),
      );
      const count = Math.min(a, b);
      assertEquals(got, Array.from({ length: count }, (_, i) => 2 * i + 2));
    },
  },
  "callback during a call": {
    share: 4,
    async run({ caller, random }) {
      const names = Array.from(
        { length: random.int(0, 20) },
        (_, i) => "x".repeat(i),
      );
      const api = caller.remote<Service>();
      const got = await api.each(names, (name) => name.length);
      assertEquals(got, names.map((_, i) => i));
    },
  },
  "callback that is kept": {
    share: 4,
    async run({ caller, random }) {
      const api = caller.remote<Service>();
      const name = `subscriber ${seedOf(random)}`;
      await api.subscribe(name, (text) => `heard ${text}`);
      for (let i = random.int(0, 3); i > 0; i--) {
        assertEquals(await api.publish(name, "news"), "heard news");
      }
      await api.unsubscribe(name);
    },
  },
  "callback in a result": {
    share: 4,
    async run({ caller, random }) {
      const from = seedOf(random);
      using next: Callback<() => number> = await caller.remote<Service>()
        .counter(from);
      for (let i = 1; i < 4; i++) assertEquals(await next(), from + i);
    },
  },
  "callback that is forgotten": {
    share: 1,
    async run({ caller, random }) {
      const from = seedOf(random);
      const next = await caller.remote<Service>().counter(from);
      assertEquals(await next(), from + 1);
    },
  },
  "stream that is forgotten": {
    share: 1,
    async run({ caller, random }) {
      const api = caller.remote<Service>();
      const { body } = await api.download(seedOf(random), 1_000);
      assert((body as ReceivedStream<Uint8Array>) instanceof ReadableStream);
    },
  },
  "call cancelled by a signal": {
    share: 6,
    async run({ caller, random }) {
      const controller = new AbortController();
      const reason = new Error("not wanted any more");
      const { signal } = controller;
      const call = outcome(caller.call("hang", [], { signal }));
      for (let i = random.int(0, 4); i > 0; i--) await turn();
      if (random.chance(0.3)) await caller.call("echo", [0]).catch(() => {});
      controller.abort(reason);
      const error = await call;
      rethrowUnless(error, error === reason);
    },
  },
  "call that times out": {
    share: 4,
    async run({ caller, random }) {
      const timeout = random.int(0, 30);
      const error = await outcome(caller.call("hang", [], { timeout }));
      rethrowUnless(
        error,
        error instanceof RpcError && error.code === "timeout",
      );
    },
  },
  "stream cancelled by a signal": {
    share: 3,
    async run({ caller, random }) {
      const controller = new AbortController();
      const reason = new Error("enough");
      const { signal } = controller;
      const error = await outcome((async () => {
        let taken = 0;
        const wanted = random.int(1, 30);
        const api = caller.remote<Service>({ signal });
        for await (const _ of api.values(0, 1_000_000)) {
          if (++taken === wanted) controller.abort(reason);
        }
      })());
      rethrowUnless(error, error === reason);
    },
  },
  "transfer cancelled by a signal": {
    share: 2,
    async run({ caller, random }) {
      const controller = new AbortController();
      const reason = new Error("enough");
      const { signal } = controller;
      const api = caller.remote<Service>({ signal });
      const endless = new ReadableStream<Uint8Array<ArrayBuffer>>({
        pull: (stream) => stream.enqueue(bytesOf(0, 10_000).slice()),
      });
      const upload = outcome(api.upload(0, endless));
      for (let i = random.int(0, 20); i > 0; i--) await turn();
      controller.abort(reason);
      const error = await upload;
      rethrowUnless(error, error === reason);
    },
  },
};

/** The names, each as often as its share. */
export const CHOICES: readonly string[] = Object.entries(ACTS).flatMap(
  ([name, { share }]) => Array<string>(share).fill(name),
);

/** Lets the event loop turn. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** The error of a promise that should reject; undefined if it resolves. */
function outcome(promise: PromiseLike<unknown>): Promise<unknown> {
  return Promise.resolve(promise).then(() => undefined, (error) => error);
}

/**
 * Throws the error itself unless it is the expected one: it may say that the
 * connection was lost, which is no wrong result.
 */
function rethrowUnless(error: unknown, expected: boolean): void {
  if (expected) return;
  throw error ?? new Error("The call has succeeded, though it should fail");
}

/** The same for an error of the service. */
function checkRemote(
  error: unknown,
  code: string,
): asserts error is RemoteError {
  rethrowUnless(error, error instanceof RemoteError && error.code === code);
}
