import type { qmux } from "@qtalk/qtalk";
import type {
  Call,
  Caller,
  Channel,
  Codec,
  CommandPeer,
  dial,
  dialCommand,
  ErrorContext,
  json,
  listen,
  Listener,
  listenSession,
  memoryPair,
  Peer,
  PeerOptions,
  ReconnectingPeer,
  Responder,
  RpcResponse,
  Session,
} from "@qtalk/qtalk";
import type { dialPool, PeerPool } from "@qtalk/qtalk/pool";
import type { Closable } from "@qtalk/qtalk/signals";
import { assert, assertEquals } from "@std/assert";
import type { CarriedByCbor } from "@qtalk/qtalk/codec/cbor";
import { type CarriedByMsgpack, msgpack } from "@qtalk/qtalk/codec/msgpack";
import { decode as stdDecode, encode as stdEncode } from "@std/msgpack";
import { decode, encode } from "npm:@msgpack/msgpack@^3";
import { test } from "../support/harness.ts";
import {
  assertNotType,
  assertType,
  type Assignable,
  type Equal,
  type IsAny,
} from "./assert_type.ts";

Deno.test("public types: what the peer sends is unknown, never any", () => {
  assertType<Equal<Awaited<ReturnType<Peer["call"]>>, unknown>>();
  assertType<Equal<Awaited<ReturnType<Caller["call"]>>, unknown>>();
  assertType<Equal<Awaited<ReturnType<Call["receive"]>>, unknown>>();
  assertType<Equal<Awaited<ReturnType<RpcResponse["receive"]>>, unknown>>();
  assertType<Equal<RpcResponse["value"], unknown>>();
  assertType<Equal<RpcResponse["values"], readonly unknown[]>>();
  assertType<Equal<ReturnType<Codec["decode"]>, unknown>>();
  const iterate = async (call: Call, response: RpcResponse) => {
    for await (const value of call) assertNotType<IsAny<typeof value>>();
    for await (const value of response) assertNotType<IsAny<typeof value>>();
  };
  void iterate;
});

Deno.test("public types: what goes to the peer is unknown, too", () => {
  assertType<Equal<Parameters<Peer["call"]>[1], unknown>>();
  assertType<Equal<Parameters<Responder["return"]>, unknown[]>>();
  assertType<Equal<Parameters<Responder["continue"]>, unknown[]>>();
  assertType<Equal<Parameters<Responder["send"]>[0], unknown>>();
  assertType<Equal<Parameters<Codec["encode"]>[0], unknown>>();
});

Deno.test("closeOnSignals(): it takes whatever of this package can be closed", () => {
  assertType<Assignable<Listener<Peer>, Closable>>();
  assertType<Assignable<Listener<Session>, Closable>>();
  assertType<Assignable<Peer, Closable>>();
  assertType<Assignable<CommandPeer, Closable>>();
  assertType<Assignable<ReconnectingPeer, Closable>>();
  assertType<Assignable<PeerPool, Closable>>();
  assertType<Assignable<Session, Closable>>();
  assertNotType<Assignable<Channel["readable"], Closable>>();
});

Deno.test("dialPool(): its result is a caller that knows what its codec carries", () => {
  assertType<Equal<Awaited<ReturnType<typeof dialPool>>, PeerPool>>();
  assertType<
    Equal<
      Awaited<ReturnType<typeof dialPool<CarriedByCbor>>>,
      PeerPool<CarriedByCbor>
    >
  >();
  assertType<Assignable<PeerPool<CarriedByCbor>, Caller<CarriedByCbor>>>();
  assertType<Assignable<PeerPool<CarriedByCbor>, PeerPool>>();
});

Deno.test("dial(): the type of its result follows from the options", () => {
  assertType<Equal<Awaited<ReturnType<typeof dial>>, Peer>>();
  assertType<Equal<ReturnType<typeof dialCommand>, CommandPeer>>();
  assertType<Equal<ReturnType<typeof memoryPair>, [Peer, Peer]>>();
  assertType<Equal<Awaited<ReturnType<typeof listen>>, Listener<Peer>>>();
  assertType<
    Equal<Awaited<ReturnType<typeof listenSession>>, Listener<Session>>
  >();
  const iterate = async (listener: Listener<Peer>) => {
    for await (const peer of listener) assertType<Equal<typeof peer, Peer>>();
  };
  void iterate;
});

Deno.test("qmux(): takes a pair of web streams as its transport", () => {
  type Given = Parameters<typeof qmux>[0];
  assertType<
    Assignable<{
      readable: ReadableStream<Uint8Array>;
      writable: WritableStream<Uint8Array>;
    }, Given>
  >();
  assertType<Assignable<Channel, Given>>();
  assertNotType<
    Assignable<{ readable: ReadableStream<Uint8Array> }, Given>
  >();
});

Deno.test("Channel: is a pair of web streams", () => {
  assertType<
    Assignable<Channel, ReadableWritablePair<Uint8Array, Uint8Array>>
  >();
});

test("options: take undefined as absent", async (t) => {
  const signal = undefined as AbortSignal | undefined;
  const timeout = undefined as number | undefined;
  const [client, server] = t.pair();
  server.handle("one", (_call, respond) => respond.return(1));
  assertEquals(await client.call("one", [], { signal, timeout }), 1);
});

Deno.test("onError: takes an unknown error and its context", () => {
  type OnError = NonNullable<PeerOptions["onError"]>;
  assertType<Equal<Parameters<OnError>, [unknown, ErrorContext]>>();
  assertType<
    Equal<
      ErrorContext,
      { peer: Peer | undefined; selector: string | undefined }
    >
  >();
});

Deno.test("codecs: each is a Codec, and MessagePack takes either library as it is", () => {
  assertType<Equal<ReturnType<typeof json>, Codec>>();
  assertType<Equal<ReturnType<typeof msgpack>, Codec<CarriedByMsgpack>>>();
  assertType<Assignable<Codec<CarriedByCbor>, Codec>>();
  msgpack({ encode, decode });
  msgpack({ encode: stdEncode, decode: stdDecode });
});

/** What `deno doc --json` says of types, as far as it matters here. */
interface DocNode {
  kind?: string;
  keyword?: string;
  name?: string;
  [member: string]: unknown;
}

/** Where `any` stands in a tree of documentation. */
function findAny(node: unknown, path: string, found: string[]): void {
  if (typeof node !== "object" || node === null) return;
  const { kind, keyword, name } = node as DocNode;
  if (kind === "keyword" && keyword === "any") found.push(path);
  const here = typeof name === "string" ? `${path} ${name}` : path;
  for (const [key, member] of Object.entries(node)) {
    if (key !== "location" && key !== "jsDoc") findAny(member, here, found);
  }
}

Deno.test("public types: no signature says any", async () => {
  const root = new URL("../../", import.meta.url);
  const config = JSON.parse(
    await Deno.readTextFile(new URL("deno.json", root)),
  );
  const modules = Object.values<string>(config.exports);
  const { stdout, success } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--json", ...modules],
    cwd: root,
    stderr: "inherit",
  }).output();
  assert(success, "deno doc failed");
  const found: string[] = [];
  findAny(JSON.parse(new TextDecoder().decode(stdout)), "", found);
  assertEquals(found, []);
});
