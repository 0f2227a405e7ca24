/**
 * A peer of ours and one of the npm package `@progrium/duplex`, connected, with
 * the same handlers at both ends.
 *
 * @module
 */
import {
  CallError,
  type Handler,
  listen,
  Peer,
  type PeerOptions,
} from "@qtalk/qtalk";
import { type Codec, json } from "@qtalk/qtalk/codec";
import { cbor } from "@qtalk/qtalk/codec/cbor";
import { qmux } from "../../mux/session.ts";
import { memoryTransports } from "../../mux/transport/memory.ts";
import { tcp } from "../../mux/transport/deno/conn.ts";
import type { Transport } from "../../mux/types.ts";
import { test } from "../support/harness.ts";
import { within } from "../support/within.ts";
import {
  DuplexConn,
  type DuplexModule,
  type DuplexPeer,
  loadDuplex,
} from "./duplex.ts";

const loaded = await loadDuplex();
const { missing } = loaded;
/** The package; the tests that use it run only if it is there. */
export const duplex: DuplexModule = loaded.duplex!;

if (missing !== undefined) {
  const text = `interop: the tests with duplex are skipped: ${missing}\n`;
  Deno.stderr.writeSync(new TextEncoder().encode(text));
}

/** Two peers, connected. */
export interface Pair {
  /** Ours. */
  ours: Peer;
  /** The package's. */
  theirs: DuplexPeer;
  /** What both speak. */
  codec: Codec;
}

type Connect = (
  options: PeerOptions,
) => Promise<[ours: Peer, other: Transport, listener?: AsyncDisposable]>;

const PIPES: Record<string, Connect> = {
  memory: (options) => {
    const [left, right] = memoryTransports();
    return Promise.resolve([
      new Peer(qmux(left), options),
      right,
    ]);
  },
  tcp: async (options) => {
    const listener = await listen("tcp://127.0.0.1:0", options);
    const accepted = listener[Symbol.asyncIterator]().next();
    const other = await tcp.connect(
      listener.addr.slice("tcp:".length),
      new AbortController().signal,
    );
    const { value: ours } = await accepted;
    return [ours!, other, listener];
  },
};

const CODECS: [Codec, "JSONCodec" | "CBORCodec"][] = [
  [json(), "JSONCodec"],
  [cbor(), "CBORCodec"],
];

/** Handlers of ours, by selector. */
function serve(ours: Peer): void {
  const handlers: Record<string, Handler> = {
    echo: async (call, respond) => respond.return(await call.receive()),
    fail: () => {
      throw new CallError("no, not that");
    },
    back: async (call, respond) => {
      const value = await call.receive();
      await respond.return(await call.caller.call("echo", value));
    },
    stream: async (call, respond) => {
      const channel = await respond.continue(await call.receive());
      for await (const value of call) await respond.send(value);
      await channel.close();
    },
    bytes: async (call, respond) => {
      await call.receive();
      const { readable, writable } = await respond.continue(null);
      await readable.pipeTo(writable);
    },
  };
  for (const [name, handler] of Object.entries(handlers)) {
    ours.handle(name, handler);
  }
}

/** The same there. */
function serveThere(theirs: DuplexPeer, { HandlerFunc }: DuplexModule): void {
  theirs.handle(
    "echo",
    HandlerFunc(async (respond, call) => respond.return(await call.receive())),
  );
  theirs.handle(
    "fail",
    HandlerFunc(async (respond, call) => {
      await call.receive();
      await respond.return(new TypeError("no, not that"));
    }),
  );
  theirs.handle(
    "back",
    HandlerFunc(async (respond, call) => {
      const { value } = await call.caller.call("echo", await call.receive());
      await respond.return(value);
    }),
  );
  theirs.handle(
    "stream",
    HandlerFunc(async (respond, call) => {
      const channel = await respond.continue(await call.receive());
      for (;;) {
        const value = await call.receive();
        if (value === null) break;
        await respond.send(value);
      }
      await channel.close();
    }),
  );
  theirs.handle(
    "bytes",
    HandlerFunc(async (respond, call) => {
      await call.receive();
      const channel = await respond.continue(null);
      const buffer = new Uint8Array(10_000);
      for (;;) {
        const length = await channel.read(buffer);
        if (length === null) break;
        await channel.write(buffer.slice(0, length));
      }
      await channel.closeWrite();
    }),
  );
}

/** Registers a test for each pipe and codec. */
export function testPair(
  behaviour: string,
  body: (pair: Pair) => Promise<void>,
): void {
  for (const [pipe, connect] of Object.entries(PIPES)) {
    for (const [codec, theirCodec] of CODECS) {
      const name = `${behaviour} (${pipe}, ${codec.name})`;
      const ignore = missing !== undefined;
      test(name, { ignore }, async (t) => {
        const { promise: broken, reject } = Promise.withResolvers<never>();
        // Each knows the caller's codec by itself.
        const codecs = [codec, ...CODECS.map(([other]) => other)];
        const [ours, transport, listener] = await connect({
          codecs,
          onError: reject,
        });
        t.defer(() => listener?.[Symbol.asyncDispose]());
        t.watch(ours);
        serve(ours);
        const theirs = duplex.open(
          new DuplexConn(transport),
          new duplex[theirCodec](),
          {},
        );
        serveThere(theirs, duplex);
        t.defer(() => within(theirs.session.done, "the other end to end"));
        const run = body({ ours, theirs, codec });
        await within(Promise.race([run, broken]), behaviour);
      });
    }
  }
}
