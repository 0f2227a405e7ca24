/**
 * Peers that meet at a rendezvous, all on loopback.
 *
 * @module
 */
import { toHex } from "../../hex.ts";
import {
  type Caller,
  dial,
  type DialOptions,
  type Handler,
  handlerFrom,
  listen,
  type ListenOptions,
  memoryPair,
  type Peer,
  RemoteError,
  Router,
  TalkError,
  TlsError,
} from "@qtalk/qtalk";
import {
  RendezvousError,
  type RendezvousErrorCode,
  type RendezvousOptions,
  rendezvousService,
} from "@qtalk/qtalk/rendezvous";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import type { Harness } from "./harness.ts";
import { makeIdentity, type TestIdentity } from "./identities.ts";
import { loopbackCertificate } from "./quic.ts";
import { loadIdentity } from "../../talk/rendezvous/identity.ts";
import { Service } from "../../talk/rendezvous/service/service.ts";
import { type Place, SELECTORS } from "../../talk/rendezvous/wire.ts";

/** The peer that dials. */
export const ann = await makeIdentity("ann");
/** The peer that listens. */
export const bob = await makeIdentity("bob");
/** A peer that has no right to the name of Bob. */
export const mallory = await makeIdentity("mallory");
/** The certificate of the rendezvous. */
export const { cert, key, authority } = await loopbackCertificate();

/** How peers trust the rendezvous. */
export const trust = { tls: { ca: authority.cert } };

/** What Bob answers. */
export const math = handlerFrom({ add: (a: number, b: number) => a + b });

/** Starts a rendezvous; its address. */
export async function meet(
  t: Harness,
  handler: Handler = rendezvousService(),
): Promise<string> {
  const listener = await listen("quic://127.0.0.1:0", {
    tls: { cert, key },
    handler,
    onError() {},
  });
  t.defer(() => listener.close());
  return listener.addr;
}

/** Listens as a peer; the address to dial. */
export async function serve(
  t: Harness,
  rendezvous: string,
  { cert, key }: TestIdentity = bob,
  options: ListenOptions = {},
): Promise<string> {
  const listener = await listen(`peer:bob@${rendezvous}`, {
    tls: { cert, key },
    rendezvous: trust,
    handler: math,
    onError() {},
    ...options,
  });
  t.defer(() => listener.close());
  return listener.addr;
}

/** Dials as Ann. */
export function call(
  address: string,
  options: DialOptions = {},
  { cert, key }: TestIdentity = ann,
) {
  return dial(address, {
    tls: { cert, key },
    rendezvous: trust,
    onError() {},
    ...options,
  });
}

/** The options of a peer that only uses the relay. */
export const relayed = { ...trust, directTimeout: 0 };

/** The place of a socket on loopback. */
export function placeAt(port: number): Place {
  return { hostname: "127.0.0.1", port };
}

/**
 * A rendezvous that leads everyone to the peer that has registered last, whatever its
 * key is.
 *
 * @param place where it says that the peer is. Default: where it is
 */
export function deceiver(place?: Place): Router {
  const service = rendezvousService();
  let impostor: Caller | undefined;
  let seen = place;
  const router = new Router();
  router.handle(SELECTORS.challenge, service);
  router.handle(SELECTORS.register, (call, respond) => {
    impostor = call.caller;
    const [, port] = /:(\d+)$/.exec(call.peer.remoteAddr)!;
    seen ??= placeAt(Number(port));
    return service.respond(call, respond);
  });
  router.handle(SELECTORS.meet, async (call, respond) => {
    await call.receive();
    await respond.return({ seen, local: [] });
  });
  router.handle(SELECTORS.relay, async (call, respond) => {
    await call.receive();
    const far = await impostor!.request(SELECTORS.stream, []);
    const near = await respond.continue();
    await Promise.allSettled([
      near.readable.pipeTo(far.channel!.writable),
      far.channel!.readable.pipeTo(near.writable),
    ]);
  });
  return router;
}

/** The error of dialing or listening that the rendezvous has caused. */
export async function refused(
  attempt: Promise<unknown>,
  code: RendezvousErrorCode,
): Promise<RendezvousError> {
  const { cause } = await assertRejects(() => attempt, TalkError);
  assert(cause instanceof RendezvousError, String(cause));
  assertEquals(cause.code, code);
  return cause;
}

/** Asserts that TLS has refused the other side. */
export async function distrusted(
  attempt: Promise<unknown>,
  code: TlsError["code"],
  text: RegExp = /./,
): Promise<void> {
  const error = await assertRejects(() => attempt, TalkError);
  assertMatch(error.message, text);
  assert(error.cause instanceof TlsError, String(error.cause));
  assertEquals(error.cause.code, code);
}

/** Registers as a peer would, and says what the peer knows the rendezvous as. */
export async function register(
  peer: Peer,
  { cert, key }: TestIdentity,
  { name = "bob", rendezvous = "127.0.0.1", nonce }: {
    name?: string;
    rendezvous?: string;
    nonce?: string;
  } = {},
) {
  const { certificate, prove } = loadIdentity({ cert, key });
  const signature = prove({
    purpose: "register",
    subject: `${name}@${rendezvous}`,
    nonce: nonce ?? await peer.call(SELECTORS.challenge) as string,
  });
  return await peer.request(SELECTORS.register, [{
    name,
    rendezvous,
    certificate: toHex(certificate),
    signature: toHex(signature),
    local: [],
  }]);
}

/** The error of a call that the rendezvous has refused. */
export async function assertRefused(
  attempt: Promise<unknown>,
  code: string,
): Promise<RemoteError> {
  const error = await assertRejects(() => attempt, RemoteError);
  assertEquals(error.code, code);
  return error;
}

/** Registers Bob, whose relayed streams stay open; other peers can ask for them. */
export async function relaying(
  t: Harness,
  options: RendezvousOptions,
  front: (service: Service) => Handler = (service) => service,
) {
  const clock = { now: 0 };
  const service = new Service(options, () => clock.now);
  const connect = (handler: Handler = () => {}) => {
    const [client, server] = memoryPair({ handler }, {
      handler: front(service),
    });
    t.watch(server);
    return t.watch(client);
  };
  let punches = 0;
  const listening = new Router();
  listening.handle(SELECTORS.stream, async (call, respond) => {
    await call.receive();
    const channel = await respond.continue();
    await channel.readable.pipeTo(channel.writable).catch(() => {});
  });
  listening.handle(SELECTORS.punch, () => {
    punches++;
    return new Promise(() => {});
  });
  const listener = connect(listening);
  await register(listener, bob);
  const peer = connect();
  const ask = (selector: string) =>
    peer.request(selector, [{
      name: "bob",
      fingerprint: bob.fingerprint,
      local: [],
    }]);
  return { service, clock, ask, listener, punches: () => punches };
}
