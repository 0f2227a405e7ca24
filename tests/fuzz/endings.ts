/**
 * Calls of every style, with every kind of arguments, ended in every way: slots
 * must become free on both sides.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import {
  type Caller,
  CallError,
  handlerFrom,
  memoryPair,
  type Peer,
  withStream,
} from "@qtalk/qtalk";
import { turn, within } from "../support/within.ts";
import type { Target } from "./target.ts";

/** Times that each call is made. */
const TIMES = 6;
/** Slots that spare channels of both sides may occupy. */
const SPARES = 4;
/** Milliseconds within which slots must become free; only a failure takes so long. */
const PATIENCE = 10_000;
const VALUE = "x".repeat(1_000);
/** Milliseconds after which a call is given up. */
const TIMEOUT = 50;

async function* endless() {
  for (;;) yield VALUE;
}

async function* few() {
  for (let i = 0; i < 5; i++) yield VALUE;
}

type Values = AsyncIterable<unknown>;

/** The service; `late()` takes until `ended` settles. */
const serviceUntil = (ended: Promise<void>) => ({
  value: () => VALUE,
  late: () => ended,
  three: withStream(async (values: Values) => {
    let taken = 0;
    for await (const _ of values) if (++taken === 3) break;
  }),
  none: withStream((_values: Values) => VALUE),
  all: withStream(async (values: Values) => {
    for await (const _ of values) { /* That is all. */ }
  }),
  endless: withStream((_values: Values) => endless()),
  few: withStream((_values: Values) => few()),
  streamed: withStream(async function* (values: Values) {
    yield* values;
  }),
  readable: () => ReadableStream.from(endless()),
  bytes: () => new TransformStream<Uint8Array, Uint8Array>(),
  fail: withStream((_values: Values) => {
    throw new CallError("at once");
  }),
  failLate: withStream(async function* (_values: Values) {
    yield VALUE;
    throw new CallError("late");
  }),
});

const METHODS = Object.keys(serviceUntil(Promise.resolve()));

const ARGUMENTS: Record<string, () => unknown> = {
  null: () => null,
  array: () => [VALUE],
  endless,
  few,
  stream: () => ReadableStream.from(endless()),
};

type End = (peer: Caller, selector: string, args: unknown) => Promise<unknown>;
const timeout = { timeout: TIMEOUT };

const ENDS: Record<string, End> = {
  call: (peer, selector, args) => peer.call(selector, args, timeout),
  async abort(peer, selector, args) {
    const given = new AbortController();
    const call = peer.call(selector, args, { signal: given.signal });
    // It may fail before it is given up.
    call.catch(() => {});
    await turn();
    given.abort();
    await call;
  },
  async close(peer, selector, args) {
    await (await peer.request(selector, args, timeout)).close();
  },
  async readAndClose(peer, selector, args) {
    const response = await peer.request(selector, args, timeout);
    try {
      // Bytes may never come.
      const signal = AbortSignal.timeout(TIMEOUT);
      if (response.continued) await response.receive({ signal });
    } finally {
      await response.close();
    }
  },
  async break(peer, selector, args) {
    const response = await peer.request(selector, args, timeout);
    const limit = setTimeout(() => void response.close(), TIMEOUT);
    try {
      for await (const _ of response) break;
    } finally {
      clearTimeout(limit);
    }
  },
  async cancel(peer, selector, args) {
    const response = await peer.request(selector, args, timeout);
    await response.channel?.readable.cancel();
    await response.close();
  },
};

/** Slots that stay occupied, except those of spare channels. */
async function kept(client: Peer, server: Peer): Promise<number> {
  const over = () =>
    Math.max(client.session.usage.slots, server.session.usage.slots) - SPARES;
  const end = performance.now() + PATIENCE;
  while (over() > 0 && performance.now() < end) await turn();
  return Math.max(0, over());
}

/** Repeats a call; returns the number of slots that it leaves occupied. */
async function tryWay(
  method: string,
  args: string,
  end: string,
): Promise<number> {
  const ended = Promise.withResolvers<void>();
  const handler = handlerFrom(serviceUntil(ended.promise));
  const [client, server] = memoryPair({}, { handler });
  await client.call("value");
  for (let i = 0; i < TIMES; i++) {
    const ending = ENDS[end]!(client, method, ARGUMENTS[args]!());
    await within(ending.catch(() => {}), "the call to end");
  }
  const slots = await kept(client, server);
  await Promise.all([client.close(), server.close()]);
  // A handler that goes on has a time limit for what it may still read.
  ended.resolve();
  await turn();
  return slots;
}

/** How calls end. */
export function endings(): Target {
  const tried = new Map<string, number>();
  return {
    name: "endings",
    async round(random) {
      const method = random.pick(METHODS);
      const args = random.pick(Object.keys(ARGUMENTS));
      const end = random.pick(Object.keys(ENDS));
      const slots = await tryWay(method, args, end);
      const way = [method, args, end].join(", ");
      tried.set(way, slots);
      assertEquals(slots, 0, `${way} occupies slots`);
    },
    report() {
      const bad = [...tried].filter(([, slots]) => slots > 0);
      return [
        `${bad.length} of ${tried.size} ways to end a call occupy slots`,
        ...bad.map(([way]) => `  ${way}`).sort(),
      ].join("\n");
    },
  };
}
