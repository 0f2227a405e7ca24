/**
 * Whatever calls there were and however they ended, both sessions hold nothing
 * afterwards: the product of the kinds of calls and their ends, direct and through
 * a peer that forwards them.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import {
  type Call,
  type Callback,
  forward,
  handlerFrom,
  Peer,
  type PeerOptions,
  type Responder,
  type RpcResponse,
  withStream,
} from "@qtalk/qtalk";
import { memoryTransports, qmux } from "../../mux/mod.ts";
import { invoke } from "../../rpc/handler/invoke.ts";
import { poolOf } from "../../rpc/client/channel_pool.ts";
import type { FakeTime } from "../support/fake_time.ts";
import { test } from "../support/harness.ts";
import {
  close,
  data,
  eof,
  open,
  parseValues,
  values,
} from "../support/wire.ts";
import { turn, within } from "../support/within.ts";

/** What a test of one combination has. */
interface Scene {
  readonly client: Peer;
  readonly server: Peer;
  readonly clock: FakeTime;
  /** Ends the client's connection without a word. */
  readonly cut: () => Promise<void>;
  /** The handler has begun. */
  readonly begun: Promise<void>;
}

/** How the handler behaves. */
type Manner =
  | "answers"
  | "throws at once"
  | "throws later"
  | "never reads"
  | "forgets the call"
  | "never settles";

/** A kind of call. */
interface Kind {
  /** Makes the handler. */
  handler(manner: Manner, begun: () => void): (
    call: Call,
    respond: Responder,
  ) => void | Promise<void>;
  /** Makes the call; resolves to its response. */
  call(client: Peer, options: { signal?: AbortSignal; timeout?: number }): {
    response: Promise<RpcResponse | undefined>;
  };
  /** Uses the response to its end. */
  finish(response: RpcResponse): Promise<unknown>;
}

const never = () => new Promise<never>(() => {});

/** Values that fit into no window, of which few are read. */
async function* manyValues(): AsyncGenerator<string> {
  for (let i = 0; i < 40; i++) yield "x".repeat(8_000);
}

function reads(manner: Manner): boolean {
  return manner !== "never reads" && manner !== "forgets the call";
}

async function misbehave(manner: Manner): Promise<void> {
  if (manner === "never settles") await never();
  if (manner === "throws at once") throw new Error("at once");
}

/** Reads all values and bytes, in whatever form they come. */
async function drain(response: RpcResponse): Promise<void> {
  for await (const _ of response);
}

function kindOf(
  answer: (
    manner: Manner,
    call: Call,
    respond: Responder,
  ) => void | Promise<void>,
  args: () => unknown,
  finish: Kind["finish"] = drain,
  how: "call" | "request" = "request",
): Kind {
  return {
    handler: (manner, begun) => async (call, respond) => {
      begun();
      await misbehave(manner);
      if (reads(manner)) await call.receive();
      await answer(manner, call, respond);
    },
    call(client, options) {
      const response = how === "call"
        ? client.call("x", args(), options).then(() => undefined)
        : client.request("x", args(), options);
      return { response };
    },
    finish,
  };
}

async function later(manner: Manner): Promise<void> {
  await turn();
  if (manner === "throws later") throw new Error("later");
}

/** Values, the way a service gives them. */
function streaming(make: (manner: Manner) => unknown): Kind["handler"] {
  return (manner, begun) => {
    const stream = handlerFrom({
      x: withStream((values: AsyncIterable<unknown>) => {
        if (manner === "throws at once") throw new Error("at once");
        if (manner === "never settles") return never();
        void values;
        return make(manner);
      }),
    });
    return (call, respond) => {
      begun();
      return invoke(stream, call, respond);
    };
  };
}

async function* generate(manner: Manner): AsyncGenerator<string> {
  yield* manyValues();
  await later(manner);
}

const large = "y".repeat(20_000);

const KINDS: Record<string, Kind> = {
  call: kindOf(
    async (manner, _call, respond) => {
      await later(manner);
      await respond.return(large);
    },
    () => large,
    drain,
    "call",
  ),
  request: kindOf(
    async (manner, _call, respond) => {
      await later(manner);
      await respond.return(1, 2, large);
    },
    () => large,
  ),
  "a stream as result": {
    ...kindOf(() => {}, () => [large]),
    handler: streaming(generate),
  },
  "a stream as result, with streamed arguments": {
    ...kindOf(() => {}, manyValues),
    handler: streaming(generate),
  },
  "a ReadableStream as result": {
    ...kindOf(() => {}, () => [large]),
    handler: streaming((manner) => ReadableStream.from(generate(manner))),
  },
  bytes: kindOf(
    async (manner, _call, respond) => {
      const channel = await respond.continue();
      const writer = channel.writable.getWriter();
      await writer.write(new Uint8Array(20_000));
      await later(manner);
      await channel.close();
    },
    () => large,
    async (response) => {
      for await (const _ of response.readable);
    },
  ),
  "streamed arguments": kindOf(
    async (manner, call, respond) => {
      if (manner !== "never reads") { for await (const _ of call); }
      await later(manner);
      await respond.return(1);
    },
    manyValues,
  ),
  callbacks: kindOf(
    async (manner, _call, respond) => {
      await later(manner);
      await respond.return(() => 1);
    },
    () => [() => 1, () => 2],
    async (response) => {
      await (response.value as Callback<() => number>)();
    },
  ),
  hijack: kindOf(
    async (manner, call, respond) => {
      await respond.continue(1);
      await respond.send(2);
      if (manner === "forgets the call") return;
      if (manner === "never reads") return void await call.channel.close();
      await later(manner);
      for await (const _ of call.channel.readable);
      await call.channel.close();
    },
    () => [large],
    async (response) => {
      const writer = response.writable.getWriter();
      await writer.write(new Uint8Array(20_000));
      await writer.close();
      for await (const _ of response.readable);
    },
  ),
};

/** A way in which calls end. */
interface End {
  manner?: Manner;
  options?: (clock: AbortController) => {
    signal?: AbortSignal;
    timeout?: number;
  };
  end(
    scene: Scene,
    kind: Kind,
    response: Promise<RpcResponse | undefined>,
    controller: AbortController,
  ): Promise<unknown>;
}

/** Gives back what a response may have brought, used or not. */
async function leave(
  response: Promise<RpcResponse | undefined>,
): Promise<void> {
  const arrived = await response.catch(() => undefined);
  if (typeof arrived?.value === "function") {
    (arrived.value as unknown as Callback<() => number>).release();
  }
  await arrived?.close();
}

const finishAll: End["end"] = async (_scene, kind, response) => {
  const arrived = await response.catch(() => undefined);
  if (arrived === undefined) return;
  await kind.finish(arrived).catch(() => {});
  await leave(response);
};

const ENDS: Record<string, End> = {
  "answered": { end: finishAll },
  "left before the first value": {
    async end(_scene, _kind, response) {
      await leave(response);
    },
  },
  "left after the first value": {
    async end(_scene, _kind, response) {
      const arrived = await response.catch(() => undefined);
      await arrived?.receive().catch(() => {});
      await leave(response);
    },
  },
  "aborted": {
    options: ({ signal }) => ({ signal }),
    async end({ begun }, _kind, response, controller) {
      await begun;
      controller.abort(new Error("aborted"));
      await leave(response);
    },
  },
  "aborted at once": {
    options: ({ signal }) => ({ signal }),
    async end(_scene, _kind, response, controller) {
      controller.abort(new Error("aborted"));
      await leave(response);
    },
  },
  "timed out": {
    manner: "never settles",
    options: () => ({ timeout: 5_000 }),
    async end({ clock, begun }, _kind, response) {
      await begun;
      clock.tick(5_000);
      await response.catch(() => undefined);
    },
  },
  "the handler throws at once": { manner: "throws at once", end: finishAll },
  "the handler throws later": { manner: "throws later", end: finishAll },
  "the handler never reads": { manner: "never reads", end: finishAll },
  "the handler forgets the call, and is left": {
    manner: "forgets the call",
    async end(_scene, _kind, response) {
      await leave(response);
    },
  },
  "the handler never settles, and is aborted": {
    manner: "never settles",
    options: ({ signal }) => ({ signal }),
    async end({ begun }, _kind, response, controller) {
      await begun;
      // All windows are full by then.
      for (let i = 0; i < 20; i++) await turn();
      controller.abort(new Error("aborted"));
      await response.catch(() => undefined);
    },
  },
  "the caller closes": {
    async end({ client, begun }, _kind, response) {
      await begun;
      const closing = client.close();
      await leave(response);
      await closing;
    },
  },
  "the server closes": {
    async end({ server, begun }, _kind, response) {
      await begun;
      await server.close();
      await leave(response);
    },
  },
  "the handler never settles, and the connection is lost": {
    manner: "never settles",
    async end({ cut, begun }, _kind, response) {
      await begun;
      await cut();
      await response.catch(() => {});
    },
  },
  "the connection is lost": {
    async end({ cut, begun }, _kind, response) {
      await begun;
      await cut();
      await leave(response);
    },
  },
};

/** What a peer holds besides spare channels. */
function heldBy(peers: readonly Peer[]): Record<string, unknown>[] {
  return peers.map((peer, i) => {
    const { channels, slots } = peer.session.usage;
    const far = peers[i ^ 1]!;
    const spares = poolOf(peer)!.unused + poolOf(far)!.unused;
    const ended = channels === 0;
    return {
      channels: ended ? 0 : channels - spares,
      slots: ended ? slots : slots - spares,
      callbacks: peer.callbackCount,
    };
  });
}

const NOTHING = { channels: 0, slots: 0, callbacks: 0 };

async function gone(
  peers: readonly Peer[],
  clock: FakeTime,
  what: string,
): Promise<void> {
  const nothing = peers.map(() => NOTHING);
  let held = heldBy(peers);
  for (let i = 0; i < 300 && !same(held, nothing); i++) {
    await turn();
    // What a target does not take is given up after a while.
    if (i % 30 === 29) clock.tick(11_000);
    held = heldBy(peers);
  }
  assertEquals(held, nothing, what);
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** Two peers, whose connection can be cut. */
function breakablePair(
  options: PeerOptions,
): { peers: [Peer, Peer]; cut: () => Promise<void> } {
  const [left, right] = memoryTransports();
  const onError = () => {};
  return {
    peers: [
      new Peer(qmux(left), { onError }),
      new Peer(qmux(right), { onError, ...options }),
    ],
    cut: async () => await left.close(),
  };
}

/** Runs one combination; returns the peers that it used, in pairs. */
async function play(
  clock: FakeTime,
  kind: Kind,
  { manner = "answers", options, end }: End,
  forwarded: boolean,
): Promise<Peer[]> {
  const began = Promise.withResolvers<void>();
  const handler = kind.handler(manner, began.resolve);
  const controller = new AbortController();
  const peers: Peer[] = [];
  let cut: () => Promise<void>;
  if (forwarded) {
    const [middle, backend] = breakablePair({}).peers;
    backend.handle("x", handler);
    const front = breakablePair({ handler: forward(middle) });
    cut = front.cut;
    peers.push(...front.peers, middle, backend);
  } else {
    const pair = breakablePair({});
    pair.peers[1].handle("x", handler);
    cut = pair.cut;
    peers.push(...pair.peers);
  }
  const [client, server] = peers as [Peer, Peer];
  const { response } = kind.call(client, options?.(controller) ?? {});
  response.catch(() => {});
  await end(
    { client, server, clock, cut, begun: began.promise },
    kind,
    response,
    controller,
  );
  return peers;
}

for (const forwarded of [false, true]) {
  for (const [kindName, kind] of Object.entries(KINDS)) {
    const how = forwarded ? "forwarded" : "direct";
    test(`slots: ${kindName}, ${how}, leaves nothing however it ends`, async (t) => {
      const clock = t.time();
      for (const [endName, end] of Object.entries(ENDS)) {
        const peers = await within(
          play(clock, kind, end, forwarded),
          `"${endName}"`,
        );
        await gone(peers, clock, endName);
        for (const peer of peers) await peer.close();
        await turn();
        // A handler that never settles may read on for a while.
        clock.tick(11_000);
      }
    });
  }
}

test("slots: functions in answers that were given up on their way are released", async (t) => {
  const answers = 20;
  const { peer, raw } = t.scriptedPeer({
    maxCallbacks: 5,
    handler: (_call, respond) => respond.return(() => 1),
  });
  for (let id = 0; id < answers; id++) {
    await raw.send(open(id));
    const { sender } = await raw.find("open-confirm");
    await raw.send(data(sender, values({ Selector: "x", Q: { v: 1 } }, null)));
    const answer = await raw.find("data");
    const [header] = parseValues(answer.payload);
    assertEquals((header as { Error: unknown }).Error, null);
    assertEquals(peer.callbackCount, 1);
    await raw.send(close(sender));
  }
  assertEquals(peer.callbackCount, 0);
  // A caller that took its answer says so by EOF.
  await raw.send(open(answers));
  const { sender } = await raw.find("open-confirm");
  await raw.send(data(sender, values({ Selector: "x", Q: { v: 1 } }, null)));
  await raw.find("data");
  await raw.send(eof(sender), close(sender));
  await turn();
  assertEquals(peer.callbackCount, 1);
  await raw.end();
});
