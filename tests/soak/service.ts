/**
 * What the server of a soak run offers.
 *
 * @module
 */
import {
  type Call,
  type Callback,
  CallError,
  type CallingPeer,
  type Handler,
  handlerFrom,
  Router,
  withCall,
  withStream,
} from "@qtalk/qtalk";
import { Random } from "../support/random.ts";
import { bytesOf, digestOf, readAll, streamOf, valueOf } from "./data.ts";

/** Functions of clients, by the peer that they belong to and a name. */
const subscribers = new WeakMap<
  CallingPeer,
  Map<string, Callback<(text: string) => string>>
>();

function subscribersOf(peer: CallingPeer) {
  let map = subscribers.get(peer);
  if (map === undefined) subscribers.set(peer, map = new Map());
  return map;
}

/** Handlers that have begun and not ended, of those that could be left. */
export const running = { count: 0 };

/** The service, by the types that clients use. */
export const service = {
  echo: (value: unknown) => value,
  digest: (text: string) => digestOf(text),
  fail(text: string, code: string, details: unknown) {
    throw new CallError(text, { code, details });
  },
  /** Waits until the caller gives up. */
  hang: withCall(async ({ signal }: Call) => {
    running.count++;
    try {
      await new Promise<void>((resolve) => {
        if (signal.aborted) resolve();
        else signal.addEventListener("abort", () => resolve(), { once: true });
      });
    } finally {
      running.count--;
    }
  }),
  /** Calls its caller. */
  askBack: withCall(async ({ caller }: Call, value: unknown) =>
    await caller.call("answer", [value])
  ),
  async *values(seed: number, count: number) {
    running.count++;
    try {
      for (let i = 0; i < count; i++) yield valueOf(seed + i);
    } finally {
      running.count--;
    }
  },
  /** Fails after some values. */
  async *failing(count: number) {
    for (let i = 0; i < count; i++) yield i;
    throw new CallError("no more", { code: "exhausted" });
  },
  sum: withStream(async (values: AsyncIterable<number>) => {
    running.count++;
    try {
      let sum = 0;
      for await (const value of values) sum += value;
      return sum;
    } finally {
      running.count--;
    }
  }),
  /** Takes the first few of many. */
  first: withStream(async (values: AsyncIterable<number>) => {
    const taken: number[] = [];
    for await (const value of values) {
      taken.push(value);
      if (taken.length === 3) break;
    }
    return taken;
  }),
  doubled: withStream(async function* (values: AsyncIterable<number>) {
    for await (const value of values) yield 2 * value;
  }),
  /** Bytes come back, and end when they do. */
  bytes: () => new TransformStream<Uint8Array, Uint8Array>(),
  async upload(seed: number, body: ReadableStream<Uint8Array>) {
    return { seed, ...await readAll(body) };
  },
  download: (seed: number, size: number) => ({
    digest: digestOf(bytesOf(seed, size)),
    body: streamOf(bytesOf(seed, size), new Random(seed)),
  }),
  /** Adds up two streams, value by value. */
  async *zip(a: ReadableStream<number>, b: ReadableStream<number>) {
    const other = b.getReader();
    for await (const value of a) {
      const { value: second, done } = await other.read();
      if (done) break;
      yield value + second;
    }
    await other.cancel();
  },
  async each(names: string[], fn: Callback<(name: string) => number>) {
    const lengths: number[] = [];
    for (const name of names) lengths.push(await fn(name));
    return lengths;
  },
  subscribe: withCall(
    (call: Call, name: string, fn: Callback<(text: string) => string>) => {
      subscribersOf(call.peer).set(name, fn.retain());
    },
  ),
  publish: withCall(async (call: Call, name: string, text: string) => {
    const subscriber = subscribersOf(call.peer).get(name);
    if (subscriber !== undefined) return await subscriber(text);
    // The connection on which it subscribed was lost.
    throw new CallError("no such subscriber", { code: "released" });
  }),
  unsubscribe: withCall((call: Call, name: string) => {
    const map = subscribersOf(call.peer);
    map.get(name)?.release();
    map.delete(name);
  }),
  counter(from: number) {
    let n = from;
    return () => ++n;
  },
};

/** Answers the calls of the service, and those that take their channel over. */
export function makeHandler(): Handler {
  const router = new Router();
  router.handle("/", handlerFrom(service));
  // Reads bytes to their end, and then answers on the other half.
  router.handle("swallow", async (call, respond) => {
    await call.receive();
    const channel = await respond.continue();
    const { size, digest } = await readAll(channel.readable);
    // Unlike a writer's close(), this says why if the caller has left.
    await new Blob([`${size} ${digest}`]).stream().pipeTo(channel.writable);
  });
  return router;
}
