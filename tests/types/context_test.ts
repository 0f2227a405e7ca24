// The types of `call.peer`: what `onPeer` returns is what handlers are given.

import {
  type Call,
  type CallingPeer,
  type Carried,
  type Handler,
  handlerFrom,
  json,
  listen,
  type Listener,
  type Peer,
  type PeerWith,
  withCall,
} from "@qtalk/qtalk";
import { type CarriedByCbor, cbor } from "@qtalk/qtalk/codec/cbor";
import { serveWebSocket, type WebSocketHandler } from "@qtalk/qtalk/websocket";
import { assertType, type Equal } from "./assert_type.ts";

interface User {
  name: string;
}
const user: User = { name: "Ann" };

/** Never called: the compiler is the test. */
function listening() {
  const typed = listen("tcp://127.0.0.1:0", {
    onPeer: (_peer, { remoteAddr }) => ({ ...user, remoteAddr }),
    handler: (call, respond) => respond.return(call.peer.context.remoteAddr),
  });
  assertType<
    Equal<
      typeof typed,
      Promise<Listener<PeerWith<Carried, { remoteAddr: string; name: string }>>>
    >
  >();

  const later = listen("tcp://127.0.0.1:0", {
    onPeer: () => Promise.resolve(user),
    handler: (call: Call<User>, respond) =>
      respond.return(call.peer.context.name),
  });
  assertType<Equal<typeof later, Promise<Listener<PeerWith<Carried, User>>>>>();
  (async () => {
    for await (const peer of await later) {
      assertType<Equal<typeof peer.context, User>>();
      peer satisfies Peer;
    }
  });

  // The codec's types and the context's are both inferred.
  const both = listen("tcp://127.0.0.1:0", {
    codec: cbor(),
    async onPeer(peer) {
      assertType<Equal<typeof peer, Peer<CarriedByCbor>>>();
      const day = await peer.remote<{ today: () => Date }>().today();
      return { ...user, day: day.getTime() };
    },
    handler: (call, respond) => respond.return(call.peer.context.day),
  });
  assertType<
    Equal<
      typeof both,
      Promise<Listener<PeerWith<CarriedByCbor, { day: number; name: string }>>>
    >
  >();
  const served = serveWebSocket({
    onPeer: (_peer: Peer) => user,
    codecs: [cbor(), json()],
    handler: (call, respond) => respond.return(call.peer.context.name),
  });
  assertType<
    Equal<
      typeof served,
      WebSocketHandler<CarriedByCbor, User>
    >
  >();
  serveWebSocket({
    onPeer(_peer, { request }) {
      assertType<Equal<typeof request, Request>>();
    },
  });
  const withCodec = listen("tcp://127.0.0.1:0", { codec: cbor() });
  assertType<Equal<typeof withCodec, Promise<Listener<Peer<CarriedByCbor>>>>>();
  const given = listen<CarriedByCbor, User>("tcp://127.0.0.1:0", {
    codec: cbor(),
    onPeer: () => user,
  });
  assertType<
    Equal<typeof given, Promise<Listener<PeerWith<CarriedByCbor, User>>>>
  >();

  // Without onPeer, nothing is known of the context.
  const plain = listen("tcp://127.0.0.1:0", {
    handler(call) {
      assertType<Equal<typeof call.peer.context, unknown>>();
    },
  });
  assertType<Equal<typeof plain, Promise<Listener<Peer>>>>();

  listen("tcp://127.0.0.1:0", {
    // @ts-expect-error a handler that expects a context needs an onPeer
    handler: (_call: Call<User>) => {},
  });
  listen("tcp://127.0.0.1:0", {
    onPeer: () => 17,
    // @ts-expect-error a context of another type
    handler: (_call: Call<User>) => {},
  });
  serveWebSocket({
    onPeer: () => 17,
    // @ts-expect-error a context of another type
    handler: (_call: Call<User>) => {},
  });

  // A handler that does not use the context fits everywhere.
  const handler: Handler = handlerFrom({ ping: () => "pong" });
  listen("tcp://127.0.0.1:0", { onPeer: () => user, handler });
  serveWebSocket({ onPeer: () => user, handler });
  // @ts-expect-error one that uses it does not fit everywhere
  const everywhere: Handler = (_call: Call<User>) => {};

  const service = {
    whoami: withCall((call: Call<User>, greeting: string) =>
      `${greeting} ${call.peer.context.name}`
    ),
  };
  assertType<Equal<typeof service.whoami, (greeting: string) => string>>();
  return { everywhere, handler: handlerFrom(service) };
}

Deno.test("call.peer: its context has the type of what onPeer returns", () => {
  assertType<Equal<Call["peer"], CallingPeer<unknown>>>();
  assertType<Equal<Call<User>["peer"]["context"], User>>();
  assertType<Equal<PeerWith<Carried, unknown>, Peer>>();
  assertType<Equal<typeof listening, typeof listening>>();
});
