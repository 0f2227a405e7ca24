/**
 * Functions and streams that responses lend, whatever becomes of the responses:
 * when nothing of them is left, their owner holds none.
 *
 * @module
 */
import {
  type Callback,
  forward,
  type Handler,
  handlerFrom,
  Peer,
  withStream,
} from "@qtalk/qtalk";
import { assertEquals } from "@std/assert";
import { memoryTransports, qmux } from "../../mux/mod.ts";
import { type Harness, test } from "../support/harness.ts";
import { forSeeds, type Random } from "../support/random.ts";
import { rawOpen } from "../support/raw_call.ts";
import { turn, until, within } from "../support/within.ts";

async function* numbers(count: number) {
  for (let i = 0; i < count; i++) yield i;
}

const service = {
  one: () => () => 1,
  body: (count: number) => ({ body: ReadableStream.from(numbers(count)) }),
  async *functions(count: number) {
    for (let i = 0; i < count; i++) yield () => i;
  },
  async *bodies(count: number) {
    for (let i = 0; i < count; i++) {
      yield { body: ReadableStream.from(numbers(2)) };
    }
  },
  /** Answers with a function when all arguments have come. */
  afterAll: withStream(async (values: AsyncIterable<number>) => {
    let sum = 0;
    for await (const value of values) sum += value;
    return () => sum;
  }),
};
type Service = typeof service;

function remoteOf(peer: Peer, signal: AbortSignal | undefined) {
  return peer.remote<Service>({ signal });
}

/** Uses of the service, each of which gives back all that it was lent. */
const USES: readonly ((
  api: ReturnType<typeof remoteOf>,
  random: Random,
) => Promise<void>)[] = [
  async (api) => (await api.one()).release(),
  async (api) => {
    using one: Callback<() => number> = await api.one();
    await one();
  },
  async (api, random) => {
    const { body } = await api.body(random.int(0, 30));
    for await (const _ of body);
  },
  async (api, random) => {
    const { body } = await api.body(30);
    const reader = body.getReader();
    if (random.chance(0.5)) await reader.read();
    await reader.cancel();
  },
  async (api, random) => {
    let left = random.int(1, 30);
    for await (const one of api.functions(30)) {
      one.release();
      if (--left === 0) break;
    }
  },
  async (api, random) => {
    let left = random.int(1, 30);
    for await (const { body } of api.bodies(30)) {
      await body.cancel();
      if (--left === 0) break;
    }
  },
  async (api, random) => {
    (await api.afterAll(numbers(random.int(0, 5)))).release();
  },
];

/** Makes some uses at once, and may end them early: by a signal, or by `end`. */
async function runClient(
  client: Peer,
  random: Random,
  end?: () => Promise<void>,
): Promise<void> {
  const controller = new AbortController();
  const uses = Array.from({ length: random.int(1, 6) }, () => {
    const signal = random.chance(0.4) ? controller.signal : undefined;
    const own = random.fork();
    return random.pick(USES)(remoteOf(client, signal), own);
  });
  const done = Promise.allSettled(uses);
  const isEnded = random.chance(0.7);
  for (let left = random.int(0, 12); isEnded && left > 0; left--) {
    await (random.chance(0.5) ? turn() : undefined);
  }
  if (isEnded) controller.abort(new Error("enough"));
  if (random.chance(0.7)) await end?.();
  await done;
}

/** Two peers, and what ends the connection of the first without a word. */
function pairOf(handler: ReturnType<typeof handlerFrom>) {
  const [left, right] = memoryTransports();
  const onError = () => {};
  const client = new Peer(qmux(left), { onError });
  const server = new Peer(qmux(right), { handler, onError });
  return { client, server, cut: async () => await left.close() };
}

/** How many functions and streams of a peer stay lent. */
async function leftAt(owner: Peer): Promise<number> {
  const released = async () => {
    await until(() => owner.callbackCount === 0);
  };
  await within(released(), "the release of what was lent");
  return owner.callbackCount;
}

test("callbacks: what responses lend is released in the end, however their calls end", async () => {
  await forSeeds(30, async (random) => {
    const { client, server } = pairOf(handlerFrom(service));
    for (let i = 0; i < 5; i++) {
      await runClient(client, random);
      assertEquals(await leftAt(server), 0);
    }
    await client.close();
    await server.closed;
  });
});

test("forward(): what responses lend is released in the end, however their calls and sessions end", async (t) => {
  const onError = () => {};
  const [middle, backend] = t.pair({ onError }, {
    handler: handlerFrom(service),
    onError,
  });
  await forSeeds(30, async (random) => {
    const clients = Array.from({ length: 4 }, async () => {
      const { client, server, cut } = pairOf(forward(middle));
      const end = random.chance(0.5) ? cut : () => client.close();
      await runClient(client, random.fork(), end);
      await Promise.allSettled([client.close(), server.close()]);
    });
    await Promise.all(clients);
    assertEquals(await leftAt(backend), 0);
  });
});

/** What a client is lent at most of 63: each one more that stays counted is too many. */
const SHARE = 32;
const LIMIT = { maxCallbacks: 2 * SHARE - 1 };

/** A client that is not extended makes some calls, and may end them early. */
async function runPlainClient(t: Harness, handler: Handler, random: Random) {
  const { raw, peer } = t.scriptedPeer({ handler });
  for (let left = random.int(1, 4), id = 0; left > 0; left--) {
    const call = await rawOpen(raw, id++);
    const selector = random.pick(["one", "body", "functions", "bodies"]);
    await call.values({ Selector: selector }, [random.int(0, 10)]);
    if (random.chance(0.5)) continue;
    const [{ Continue: isContinued }, value] = await call.read(2) as [
      { Continue: boolean },
      unknown,
    ];
    const $fnptr = /_[0-9A-Za-z~-]{19}/.exec(JSON.stringify(value))?.[0];
    if (!isContinued && random.chance(0.5)) await call.eof();
    if (random.chance(0.7)) await call.close();
    if ($fnptr === undefined) continue;
    const use = await rawOpen(raw, id++);
    await use.values({ Selector: `/${$fnptr}` }, []);
    if (random.chance(0.5)) await use.read(1);
    if (random.chance(0.5)) await use.close();
  }
  for (let left = random.int(0, 5); left > 0; left--) await turn();
  await raw.end();
  await peer.closed;
}

test("forward(): whatever clients do, and however their frames are cut, nothing stays counted when they have left", async (t) => {
  const onError = () => {};
  await forSeeds(20, async (random) => {
    const session = () => ({ maxPacketSize: random.int(9, 100) });
    const [middle, backend] = t.pair({ session: session(), onError }, {
      handler: handlerFrom({
        ...service,
        all: () => Array.from({ length: SHARE }, (_, i) => () => i),
      }),
      session: session(),
      onError,
    });
    const [second] = t.pair({ session: session(), onError }, {
      handler: forward(middle, LIMIT),
      session: session(),
      onError,
    });
    const gateways = [forward(second, LIMIT), forward(middle, LIMIT)];
    for (let i = 0; i < 3; i++) {
      const clients = Array.from({ length: 4 }, async () => {
        const handler = random.pick(gateways);
        const own = random.fork();
        if (own.chance(0.5)) return await runPlainClient(t, handler, own);
        const { client, server, cut } = pairOf(handler);
        await runClient(client, own, own.chance(0.5) ? cut : undefined);
        await Promise.allSettled([client.close(), server.close()]);
      });
      await Promise.all(clients);
      assertEquals(await leftAt(backend), 0);
      // A client can then have the share of one that is alone.
      for (const handler of gateways) {
        const { client, server } = pairOf(handler);
        const all = await client.call("all") as unknown[];
        assertEquals(all.length, SHARE);
        await Promise.all([client.close(), server.closed]);
        assertEquals(await leftAt(backend), 0);
      }
    }
    await Promise.all([middle.close(), second.close()]);
  });
});
