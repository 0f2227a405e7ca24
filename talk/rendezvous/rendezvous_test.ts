/** Peers that meet at a rendezvous, all on loopback. */
import { toHex } from "../../hex.ts";
import {
  type Caller,
  CallError,
  dial,
  type DialOptions,
  type Handler,
  handlerFrom,
  listen,
  type ListenOptions,
  memoryPair,
  Peer,
  RemoteError,
  type Responder,
  Router,
  type RpcResponse,
  TalkError,
  TlsError,
} from "@qtalk/qtalk";
import {
  RendezvousError,
  type RendezvousErrorCode,
  type RendezvousOptions,
  rendezvousService,
} from "@qtalk/qtalk/rendezvous";
import { serveWebSocket } from "@qtalk/qtalk/websocket";
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { type Harness, test } from "../../tests/support/harness.ts";
import {
  makeIdentity,
  type TestIdentity,
} from "../../tests/support/identities.ts";
import { loopbackCertificate, runtimeQuic } from "../../tests/support/quic.ts";
import { certificateFiles } from "../../tests/support/certificate_files.ts";
import { until } from "../../tests/support/within.ts";
import { type PeerTransport, sessionOver } from "../../mux/internal.ts";
import { hashOf, type QuicConnLike } from "../../mux/internal_deno.ts";
import type { QuicIncomingLike } from "../../mux/quic/types.ts";
import { proofStream } from "./connection/direct.ts";
import { loadIdentity, readCertificate } from "./identity.ts";
import { parsePeerAddress } from "./peer_address.ts";
import { dialPeer } from "./dial.ts";
import { demandProof, Messages } from "./connection/proof.ts";
import { Service } from "./service/service.ts";
import { MOVE_PROTOCOL, PEER_PROTOCOL, type Place, SELECTORS } from "./wire.ts";

const ann = await makeIdentity("ann");
const bob = await makeIdentity("bob");
const mallory = await makeIdentity("mallory");
const { cert, key, authority } = await loopbackCertificate();
/** How peers trust the rendezvous. */
const trust = { tls: { ca: authority.cert } };
const math = handlerFrom({ add: (a: number, b: number) => a + b });

/** Starts a rendezvous; its address. */
async function meet(
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
async function serve(
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
function call(
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

const relayed = { ...trust, directTimeout: 0 };

/** The place of a socket on loopback. */
function placeAt(port: number): Place {
  return { hostname: "127.0.0.1", port };
}

/**
 * A rendezvous that leads everyone to the peer that has registered last, whatever its
 * key is.
 *
 * @param place where it says that the peer is. Default: where it is
 */
function deceiver(place?: Place): Router {
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

/** A rendezvous that says of every peer that it is at a place. */
function misplacing(place: Place, service = rendezvousService()): Router {
  const router = new Router();
  router.handle("/", service);
  router.handle(SELECTORS.meet, async (call, respond) => {
    await call.receive();
    await respond.return({ seen: place, local: [] });
  });
  return router;
}

/** What something with the certificate of Bob can do wrong on a connection. */
const FAULTS: Record<string, (conn: QuicConnLike) => unknown> = {
  "it says nothing": () => {},
  "it closes the connection": async (conn) => {
    await proofStream(conn);
    conn.close();
  },
  "it sends what is no nonce": async (conn) => {
    const stream = await proofStream(conn);
    await stream.write(new Uint8Array(4).fill(0xff));
  },
  "it does not end the stream of the proof": async (conn) => {
    const messages = new Messages(await proofStream(conn));
    await demandProof(messages, bob.fingerprint, undefined);
  },
};

/** Listens with the certificate of Bob; where that is. */
function broken(t: Harness, fault: string): Place {
  const { QuicEndpoint } = runtimeQuic();
  const endpoint = new QuicEndpoint({ hostname: "127.0.0.1", port: 0 });
  const listener = endpoint.listen({
    cert: bob.cert,
    key: bob.key,
    alpnProtocols: [PEER_PROTOCOL, MOVE_PROTOCOL],
  });
  const meetOne = async (incoming: QuicIncomingLike) => {
    await FAULTS[fault]!(await incoming.accept());
  };
  const meetAll = async () => {
    for (;;) meetOne(await listener.incoming()).catch(() => {});
  };
  // It ends with its socket.
  meetAll().catch(() => {});
  t.defer(() => endpoint.close());
  return placeAt(endpoint.addr.port);
}

async function refused(
  attempt: Promise<unknown>,
  code: RendezvousErrorCode,
): Promise<RendezvousError> {
  const { cause } = await assertRejects(() => attempt, TalkError);
  assert(cause instanceof RendezvousError, String(cause));
  assertEquals(cause.code, code);
  return cause;
}

async function distrusted(
  attempt: Promise<unknown>,
  code: TlsError["code"],
  text: RegExp = /./,
): Promise<void> {
  const error = await assertRejects(() => attempt, TalkError);
  assertMatch(error.message, text);
  assert(error.cause instanceof TlsError, String(error.cause));
  assertEquals(error.cause.code, code);
}

test("peer: a rendezvous that is not trusted is an error that names the options for it", async (t) => {
  const meeting = await meet(t);
  const { cert, key } = bob;
  const options = { tls: { cert, key } };
  const opening = [
    () => dial(`peer:bob@${meeting}#${bob.fingerprint}`, options),
    () => listen(`peer:bob@${meeting}`, options),
  ];
  for (const open of opening) {
    const error = await assertRejects(open, TalkError);
    let named = 0;
    for (let one: unknown = error; one instanceof Error; one = one.cause) {
      if (!one.message.includes('tls.pin"')) continue;
      assertMatch(
        one.message,
        /option "rendezvous\.tls\.ca" adds it, or "rendezvous\.tls\.pin" trusts/,
      );
      named++;
    }
    // The address of the peer, that of the rendezvous, and what TLS says.
    assertEquals(named, 3);
  }
});

for (const way of ["direct", "relayed"] as const) {
  const rendezvous = way === "direct" ? trust : relayed;

  test(`peer: two peers meet by name, each with the key of the other (${way})`, async (t) => {
    const service = rendezvousService();
    const met: unknown[] = [];
    const address = await serve(t, await meet(t, service), bob, {
      onPeer(peer, { tls, way }) {
        const { fingerprint, subject } = tls!.peerCertificate!;
        met.push([fingerprint, subject, way, peer.way]);
      },
    });
    assert(address.endsWith(`#${bob.fingerprint}`), address);
    const peer = t.watch(await call(address, { rendezvous }));
    assertEquals(await peer.call("add", [1, 2]), 3);
    assertEquals(peer.way, way);
    assertEquals(met, [[ann.fingerprint, "CN=ann", way, way]]);
    const { names, meetings, relays, relayedBytes } = service.stats;
    assertEquals([names, meetings, relays], [1, 1, way === "direct" ? 0 : 1]);
    assertEquals(relayedBytes > 0, way === "relayed");
  });

  test(`peer: a listener with tls.pin refuses other keys, and says so (${way})`, async (t) => {
    const reported = Promise.withResolvers<unknown>();
    const address = await serve(t, await meet(t), bob, {
      tls: { cert: bob.cert, key: bob.key, pin: ann.fingerprint },
      onError: reported.resolve,
    });
    const peer = t.watch(await call(address, { rendezvous }));
    assertEquals(await peer.call("add", [1, 2]), 3);
    await distrusted(
      call(address, { rendezvous }, mallory),
      "wrong-client-certificate",
    );
    const error = await reported.promise;
    assertEquals((error as TalkError).code, "handshake-failed");
  });

  test(`peer: large values arrive, in both directions (${way})`, async (t) => {
    const address = await serve(t, await meet(t), bob, {
      handler: handlerFrom({ echo: (text: string) => text }),
    });
    const peer = t.watch(await call(address, { rendezvous }));
    const text = "x".repeat(900_000);
    const all = [1, 2, 3].map(() => peer.call("echo", [text]));
    for (const one of all) assertEquals(await one, text);
  });

  test(`peer: a rendezvous that answers with another peer is found out (${way})`, async (t) => {
    const calls: string[] = [];
    const address = await serve(t, await meet(t, deceiver()), mallory, {
      handler: (call, respond) => {
        calls.push(call.selector);
        return respond.return();
      },
    });
    const toBob = address.replace(/#.*/, `#${bob.fingerprint}`);
    // A direct attempt that meets an impostor is given up, and the other way is tried.
    await distrusted(
      call(toBob, {
        rendezvous: way === "direct"
          ? { ...trust, directTimeout: 300 }
          : relayed,
      }),
      "wrong-fingerprint",
      /that of the address or of option "tls\.pin": its fingerprint is "sha/,
    );
    assertEquals(calls, []);
  });
}

for (const fault of Object.keys(FAULTS)) {
  test(`peer: a direct connection that fails in its proof is given up for a relayed one (${fault})`, async (t) => {
    const stalls = /nothing|not end/.test(fault);
    const router = misplacing(broken(t, fault));
    const address = await serve(t, await meet(t, router));
    const peer = t.watch(
      await call(address, {
        // What fails at once does not take all of this time.
        rendezvous: { ...trust, directTimeout: stalls ? 500 : 3_600_000 },
      }),
    );
    assertEquals(await peer.call("add", [1, 2]), 3);
    assertEquals(peer.way, "relayed");
  });
}

test("peer: after a direct attempt has failed, the relay has to lead to the same key", async (t) => {
  const router = deceiver(broken(t, "it closes the connection"));
  const calls: string[] = [];
  const address = await serve(t, await meet(t, router), mallory, {
    handler: (call, respond) => {
      calls.push(call.selector);
      return respond.return();
    },
  });
  const toBob = address.replace(/#.*/, `#${bob.fingerprint}`);
  await distrusted(call(toBob), "wrong-fingerprint");
  assertEquals(calls, []);
});

test("peer: without a relay, a direct connection that fails in its proof is an error", async (t) => {
  const router = misplacing(broken(t, "it sends what is no nonce"));
  const address = await serve(t, await meet(t, router));
  const rendezvous = { ...trust, relay: false };
  const error = await refused(call(address, { rendezvous }), "no-direct-way");
  assertMatch(
    error.message,
    /^the proof on the direct connection failed: .+, and option "rendezvous.relay" is false$/,
  );
  assert(error.cause instanceof Error, String(error.cause));
});

test("peer: without a relay, a direct connection that stalls in its proof is an error that says so", async (t) => {
  const router = misplacing(broken(t, "it says nothing"));
  const address = await serve(t, await meet(t, router));
  const rendezvous = { ...trust, relay: false, directTimeout: 300 };
  const error = await refused(call(address, { rendezvous }), "no-direct-way");
  assertEquals(
    error.message,
    'the proof on the direct connection failed: it took longer than 300 ms, and option "rendezvous.relay" is false',
  );
});

test("peer: a direct connection that stalls in its proof does not stop a session from moving later", async (t) => {
  const service = rendezvousService();
  const place = broken(t, "it says nothing");
  let meetings = 0;
  const router = misplacing(place, service);
  const misleading = new Router();
  misleading.handle("/", router);
  misleading.handle(SELECTORS.meet, (call, respond) =>
    // The session begins on the relayed way, and its first move stalls.
    (++meetings > 2 ? service : router).respond(call, respond));
  const address = await serve(t, await meet(t, misleading));
  const transport = await dialPeer(
    address.slice("peer:".length),
    new AbortController().signal,
    { tls: ann, rendezvous: { ...trust, directTimeout: 1_000 } },
    new Array(20).fill(0),
  );
  const peer = t.watch(new Peer(sessionOver(transport), { onError() {} }));
  await until(() => (transport as PeerTransport).way === "direct");
  assertEquals(await peer.call("add", [1, 2]), 3);
  assert(meetings > 2, `${meetings} meetings`);
});

test("peer: a dialing peer that stalls in its proof is closed, and others are served", async (t) => {
  const runtime = runtimeQuic();
  const [endpoint, dialing] = [1, 2].map(() => {
    const socket = new runtime.QuicEndpoint({ hostname: "127.0.0.1", port: 0 });
    t.defer(() => socket.close());
    return socket;
  });
  const late = Promise.withResolvers<unknown>();
  const address = await serve(t, await meet(t), bob, {
    endpoint: endpoint!,
    handshakeTimeout: 1_000,
    onError: late.resolve,
  });
  for (const protocol of [PEER_PROTOCOL, MOVE_PROTOCOL]) {
    const conn = await runtime.connectQuic({
      ...placeAt(endpoint!.addr.port),
      endpoint: dialing!,
      serverCertificateHashes: [hashOf(bob.fingerprint)],
      alpnProtocols: [protocol],
    });
    const peer = t.watch(await call(address));
    assertEquals(await peer.call("add", [1, 2]), 3);
    await conn.closed;
  }
  const error = await late.promise;
  assertEquals((error as TalkError).code, "timeout");
});

test("peer: a stranger cannot register a name that is held, nor be taken for its owner", async (t) => {
  const rendezvous = await meet(t);
  const address = await serve(t, rendezvous);
  await refused(serve(t, rendezvous, mallory), "name-taken");
  assertEquals(await t.watch(await call(address)).call("add", [1, 2]), 3);
});

test("peer: a peer that has the name with another key is not dialed", async (t) => {
  const address = await serve(t, await meet(t), mallory);
  const toBob = address.replace(/#.*/, `#${bob.fingerprint}`);
  const error = await refused(call(toBob), "other-key");
  assertEquals(error.permanent, false);
});

test("peer: the same key takes its name over, and a name is free when its peer has left", async (t) => {
  const service = rendezvousService();
  const rendezvous = await meet(t, service);
  await serve(t, rendezvous);
  const listener = await listen(`peer:bob@${rendezvous}`, {
    tls: bob,
    rendezvous: trust,
    handler: handlerFrom({ second: () => true }),
  });
  assertEquals(service.stats.names, 1);
  const peer = t.watch(await call(listener.addr));
  assertEquals(await peer.call("second"), true);
  await peer.close();
  await listener.close();
});

/** Registers as a peer would, and says what the peer knows the rendezvous as. */
async function register(
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

async function registerRefused(
  attempt: Promise<unknown>,
  code: string,
): Promise<RemoteError> {
  const error = await assertRejects(() => attempt, RemoteError);
  assertEquals(error.code, code);
  return error;
}

test("peer: the name of a peer that was lost is kept for its key", async (t) => {
  let now = 0;
  const service = new Service({ nameGrace: 1_000 }, () => now);
  const connect = () => {
    const [client, server] = memoryPair({}, { handler: service });
    t.watch(server);
    return t.watch(client);
  };
  const first = connect();
  await register(first, bob);
  await first.close();
  await until(() => service.stats.names === 0);
  const other = connect();
  await registerRefused(register(other, mallory), "name-taken");
  now = 999;
  await registerRefused(register(other, mallory), "name-taken");
  // The time begins again when the peer is lost again.
  const second = connect();
  await register(second, bob);
  assertEquals(service.stats.names, 1);
  await second.close();
  await until(() => service.stats.names === 0);
  now = 1_998;
  await registerRefused(register(other, mallory), "name-taken");
  now = 1_999;
  await register(other, mallory);
  await registerRefused(register(connect(), bob), "name-taken");
});

test("peer: a name that its peer has given up is free at once", async (t) => {
  const service = new Service({}, () => 0);
  const [client, server] = memoryPair({}, { handler: service });
  t.watch(server);
  t.watch(client);
  const response = await register(client, bob);
  await response.close();
  await until(() => service.stats.names === 0);
  const again = await register(client, mallory);
  assertEquals(service.stats.names, 1);
  await again.close();

  const rendezvous = await meet(t);
  const listener = await listen(`peer:bob@${rendezvous}`, {
    tls: bob,
    rendezvous: trust,
  });
  await listener.close();
  await serve(t, rendezvous, mallory);
});

test("rendezvousService: of two keys that ask for a name at once, one gets it", async (t) => {
  const service = rendezvousService();
  const pairs = [bob, mallory].map(() =>
    memoryPair({}, { handler: service }).map((peer) => t.watch(peer))
  );
  const [one, two] = await Promise.allSettled([
    register(pairs[0]![0]!, bob),
    register(pairs[1]![0]!, mallory),
  ]);
  assertEquals([one.status, two.status].sort(), ["fulfilled", "rejected"]);
  assertEquals(service.stats.names, 1);
});

test("rendezvousService: kept names give way to registered ones", async (t) => {
  const service = new Service({ maxNames: 2 }, () => 0);
  const connect = () => {
    const [client, server] = memoryPair({}, { handler: service });
    t.watch(server);
    return t.watch(client);
  };
  for (const name of ["a", "b"]) {
    const lost = connect();
    await register(lost, bob, { name });
    await lost.close();
    await until(() => service.stats.names === 0);
  }
  const other = connect();
  await registerRefused(register(other, mallory, { name: "b" }), "name-taken");
  const taken = [await register(other, mallory, { name: "c" })];
  // The oldest one has given way, and the other one has not.
  await registerRefused(register(other, mallory, { name: "b" }), "name-taken");
  taken.push(await register(other, mallory, { name: "a" }));
  await registerRefused(
    register(other, mallory, { name: "d" }),
    "limit-exceeded",
  );
  for (const response of taken) await response.close();
});

test("peer: a registration cannot be passed on to another rendezvous", async (t) => {
  // Bob registers at Mallory's rendezvous, which passes everything on to another.
  const target = rendezvousService();
  const far = t.watch(
    await dial(await meet(t, target), { tls: { ca: authority.cert } }),
  );
  const seen = Promise.withResolvers<unknown>();
  const router = new Router();
  router.handle(
    SELECTORS.challenge,
    async (_, respond) => respond.return(await far.call(SELECTORS.challenge)),
  );
  router.handle(SELECTORS.register, async (call, respond) => {
    const [request] = await call.receive() as [{ rendezvous: string }];
    seen.resolve(request.rendezvous);
    try {
      await far.request(SELECTORS.register, [request]);
      await respond.continue();
    } catch (error) {
      const { text, code } = error as RemoteError;
      await respond.return(new CallError(text, { code: code! }));
    }
  });
  const away = await listen("quic://127.0.0.1:0", {
    tls: mallory,
    handler: router,
  });
  t.defer(() => away.close());
  const rendezvous = { tls: { pin: mallory.fingerprint } };
  const { message } = await refused(
    serve(t, away.addr, bob, { rendezvous }),
    "bad-proof",
  );
  assertMatch(message, /is for another rendezvous/);
  assertEquals(await seen.promise, mallory.fingerprint);
  assertEquals(target.stats.names, 0);
});

test("rendezvousService: a peer may know it by a name in its certificate, or by its fingerprint", async (t) => {
  const peer = t.watch(
    await dial(await meet(t), { tls: { ca: authority.cert } }),
  );
  const { fingerprint } = readCertificate(cert);
  for (
    const rendezvous of [
      "localhost",
      "127.0.0.1",
      fingerprint,
      `${bob.fingerprint},${fingerprint}`,
    ]
  ) {
    await (await register(peer, bob, { rendezvous })).close();
  }
  for (const rendezvous of ["", ",", "example.com", "::1", bob.fingerprint]) {
    const { text } = await registerRefused(
      register(peer, bob, { rendezvous }),
      "bad-proof",
    );
    assertMatch(text, /is for another rendezvous/);
  }
});

test("rendezvousService: peers know it by the certificate that its listener uses, also if files were replaced", async (t) => {
  await using made = await certificateFiles(ann);
  const { files, write } = made;
  let tls = files;
  const errors: unknown[] = [];
  const listener = await listen("tls://127.0.0.1:0", {
    tls: () => tls,
    handler: rendezvousService(),
    onError: (error) => errors.push(error),
  });
  t.defer(() => listener.close());
  const registerAt = async ({ fingerprint }: TestIdentity) => {
    const options = { tls: { pin: fingerprint } };
    const peer = t.watch(await dial(listener.addr, options));
    await (await register(peer, bob, { rendezvous: fingerprint })).close();
    await peer.close();
  };
  await registerAt(ann);
  await write(mallory);
  tls = { ...files };
  await registerAt(mallory);
  await write({ cert: "nothing", key: "nothing" });
  tls = { ...files };
  await registerAt(mallory);
  // The files that are no certificates.
  assertEquals(errors.length, 1);
});

test("rendezvousService: option identities says what peers may know it as", async (t) => {
  const service = rendezvousService({ identities: ["Meet.example"] });
  const [client, server] = memoryPair({}, { handler: service });
  t.watch(server);
  t.watch(client);
  const named = await register(client, bob, { rendezvous: "meet.example" });
  await named.close();
  await registerRefused(
    register(client, bob, { rendezvous: "localhost" }),
    "bad-proof",
  );
  for (const wrong of ["", "a b", "a,b", "quic://h:1"]) {
    assertThrows(() => rendezvousService({ identities: [wrong] }), TypeError);
  }
});

test("peer: a relayed session moves to a direct way without losing a byte", async (t) => {
  const service = rendezvousService();
  // At first, the dialing peer learns of no place of the other one.
  let meetings = 0;
  const moves = Promise.withResolvers<void>();
  const router = new Router();
  router.handle("/", service);
  router.handle(SELECTORS.meet, async (call, respond) => {
    if (++meetings > 2) {
      await moves.promise;
      return await service.respond(call, respond);
    }
    await call.receive();
    return await respond.return({ seen: null, local: [] });
  });
  const ends: Peer[] = [];
  const address = await serve(t, await meet(t, router), bob, {
    handler: handlerFrom({ echo: (text: string) => text }),
    onPeer: (peer) => void ends.push(peer),
  });
  const transport = await dialPeer(
    address.slice("peer:".length),
    new AbortController().signal,
    { tls: ann, rendezvous: { ...trust, directTimeout: 30_000 } },
    [0, 0],
  );
  const way = () => (transport as PeerTransport).way;
  const peer = t.watch(new Peer(sessionOver(transport), { onError() {} }));
  assertEquals(await peer.call("echo", ["x"]), "x");
  assertEquals([way(), ends[0]!.way], ["relayed", "relayed"]);
  assertEquals(service.stats.relays, 1);
  // Calls in both directions go on while it moves.
  const text = "0123456789".repeat(50_000);
  const calls: Promise<unknown>[] = [];
  let count = 0;
  const more = () => {
    while (calls.length < 4) {
      const mine = `${count++} ${text}`;
      const call = peer.call("echo", [mine]).then((value) => {
        assertEquals(value === mine, true, "the text is as it was");
        calls.splice(calls.indexOf(call), 1);
      });
      calls.push(call);
    }
  };
  more();
  moves.resolve();
  while (way() !== "direct" || ends[0]!.way !== "direct") {
    await Promise.race(calls);
    more();
  }
  await Promise.all(calls);
  // The relayed connection has ended, and new bytes do not pass the rendezvous.
  await until(() => service.stats.relays === 0);
  const { relayedBytes } = service.stats;
  assertEquals(await peer.call("echo", [text]), text);
  assertEquals(service.stats.relayedBytes, relayedBytes);
  assertEquals(meetings, 3);
});

test("peer: a name that nothing has registered is an error that may pass", async (t) => {
  const rendezvous = await meet(t);
  const address = `peer:bob@${rendezvous}#${bob.fingerprint}`;
  const error = await refused(call(address), "unknown-peer");
  assertEquals(error.permanent, false);
});

test("peer: without a direct way, option relay: false is an error", async (t) => {
  const address = await serve(t, await meet(t));
  const rendezvous = { ...relayed, relay: false };
  const error = await refused(call(address, { rendezvous }), "no-direct-way");
  assertEquals(
    error.message,
    'option "rendezvous.directTimeout" is 0, and option "rendezvous.relay" is false',
  );
});

test("peer: what a rendezvous relays cannot be read, and one changed byte ends it", async (t) => {
  const service = rendezvousService();
  const seen: Uint8Array[] = [];
  let changes = false;
  let listening: Caller | undefined;
  const tap = () =>
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        const copy = chunk.slice();
        seen.push(chunk.slice());
        if (changes) copy[copy.length - 1]! ^= 1;
        controller.enqueue(copy);
      },
    });
  const router = new Router();
  for (const selector of [SELECTORS.challenge, SELECTORS.meet]) {
    router.handle(selector, service);
  }
  router.handle(SELECTORS.register, (call, respond) => {
    listening = call.caller;
    return service.respond(call, respond);
  });
  router.handle(SELECTORS.relay, async (call, respond) => {
    await call.receive();
    const far = await listening!.request(SELECTORS.stream, []);
    const near = await respond.continue();
    await Promise.allSettled([
      near.readable.pipeThrough(tap()).pipeTo(far.channel!.writable),
      far.channel!.readable.pipeThrough(tap()).pipeTo(near.writable),
    ]);
  });
  const secret = "the secret of Ann and Bob";
  const address = await serve(t, await meet(t, router), bob, {
    handler: handlerFrom({ echo: (text: string) => text }),
  });
  const peer = await call(address, { rendezvous: relayed });
  assertEquals(await peer.call("echo", [secret]), secret);
  const text = seen.map((bytes) => new TextDecoder("latin1").decode(bytes))
    .join("");
  assert(text.length > 1_000, `${text.length} bytes were relayed`);
  for (const plain of [secret, "echo", "CN=ann"]) {
    assert(!text.includes(plain), `"${plain}" can be read`);
  }
  changes = true;
  await assertRejects(() => peer.call("echo", [secret]));
  await assertRejects(() => peer.closed);
  await peer.close();
});

test("peer: it registers again when its session with the rendezvous was lost", async (t) => {
  const sessions: Peer[] = [];
  const listener = await listen("quic://127.0.0.1:0", {
    tls: { cert, key },
    handler: rendezvousService(),
    onPeer: (peer) => void sessions.push(peer),
  });
  t.defer(() => listener.close());
  const address = await serve(t, listener.addr);
  await sessions[0]!.close();
  // Retried until the name is there again.
  const peer = await dial(address, {
    tls: { cert: ann.cert, key: ann.key },
    rendezvous: trust,
    reconnect: { minDelay: 10, maxDelay: 50 },
  });
  assertEquals(await peer.call("add", [1, 2]), 3);
  assertEquals((await peer.connected()).way, "direct");
  await peer.close();
});

test("peer: a listener learns once why its name is refused, and has it again when that has ended", async (t) => {
  const service = rendezvousService();
  let refusal: string | undefined;
  let attempts = 0;
  const router = new Router();
  router.handle("/", service);
  router.handle(SELECTORS.register, (call, respond) => {
    attempts++;
    return refusal === undefined
      ? service.respond(call, respond)
      : respond.return(new CallError("not now", { code: refusal }));
  });
  const sessions: Peer[] = [];
  const listener = await listen("quic://127.0.0.1:0", {
    tls: { cert, key },
    handler: router,
    onPeer: (peer) => void sessions.push(peer),
    onError() {},
  });
  t.defer(() => listener.close());
  const errors: TalkError[] = [];
  const address = await serve(t, listener.addr, bob, {
    onError: (error) => errors.push(error as TalkError),
  });
  const reported = () =>
    errors.map(({ code, cause, permanent }) => [
      code,
      (cause as RendezvousError).code,
      permanent,
    ]);
  refusal = "name-taken";
  await sessions[0]!.close();
  await until(() => attempts >= 3);
  const taken = ["listen-failed", "name-taken", false];
  assertEquals(reported(), [taken]);
  // Another reason is reported as well.
  refusal = "limit-exceeded";
  await until(() => errors.length === 2);
  assertEquals(reported()[1], ["listen-failed", "limit-exceeded", false]);
  refusal = undefined;
  await until(() => service.stats.names === 1);
  const peer = t.watch(await call(address));
  assertEquals(await peer.call("add", [1, 2]), 3);
  // It is news when the name is lost again.
  refusal = "name-taken";
  await peer.close();
  await Promise.all(sessions.map((session) => session.close()));
  await until(() => errors.length === 3);
  assertEquals(reported()[2], taken);
});

test("peer: a listener goes on trying when its rendezvous refuses the connection", async (t) => {
  const service = rendezvousService();
  let isAllowed = true;
  let refusals = 0;
  const sessions: Peer[] = [];
  const site = serveWebSocket({
    handler: service,
    onPeer: (peer) => void sessions.push(peer),
    authenticate: () => {
      if (!isAllowed) refusals++;
      return isAllowed;
    },
  });
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    site,
  );
  t.defer(async () => {
    await site.listener.close();
    await server.shutdown();
  });
  const errors: TalkError[] = [];
  await serve(t, `ws://127.0.0.1:${server.addr.port}`, bob, {
    rendezvous: {},
    onError: (error) => errors.push(error as TalkError),
  });
  isAllowed = false;
  await sessions[0]!.close();
  // Dialing gives up after such an error, which is permanent.
  await until(() => refusals >= 3);
  assertEquals(errors.length, 1);
  const [{ code, cause }] = errors as [TalkError];
  assertEquals([code, (cause as TalkError).permanent], ["listen-failed", true]);
  isAllowed = true;
  await until(() => service.stats.names === 1);
});

test("rendezvousService: names, relays and relayed bytes are limited", async (t) => {
  const names = await meet(t, rendezvousService({ maxNames: 1 }));
  const address = await serve(t, names);
  await refused(
    listen(`peer:carol@${names}`, { tls: bob, rendezvous: trust }),
    "limit-exceeded",
  );
  await t.watch(await call(address)).call("add", [1, 2]);

  const none = await serve(
    t,
    await meet(t, rendezvousService({ maxRelays: 0 })),
  );
  await refused(call(none, { rendezvous: relayed }), "limit-exceeded");

  const service = rendezvousService({ maxRelayedSize: 100_000 });
  const small = await serve(t, await meet(t, service), bob, {
    handler: handlerFrom({ echo: (text: string) => text }),
  });
  const peer = await call(small, { rendezvous: relayed });
  assertEquals(await peer.call("echo", ["x"]), "x");
  await assertRejects(() => peer.call("echo", ["x".repeat(200_000)]));
  await peer.close();
  assert(service.stats.relayedBytes < 400_000, "the relay has ended");
});

/** Registers Bob, whose relayed streams stay open; other peers can ask for them. */
async function relaying(
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
  await register(connect(listening), bob);
  const peer = connect();
  const ask = (selector: string) =>
    peer.request(selector, [{
      name: "bob",
      fingerprint: bob.fingerprint,
      local: [],
    }]);
  return { service, clock, ask, punches: () => punches };
}

for (const limit of ["maxRelays", "maxRelaysPerName"] as const) {
  test(`rendezvousService: beyond ${limit}, the relay that was silent for longest gives way`, async (t) => {
    const { service, clock, ask } = await relaying(t, { [limit]: 2 });
    const silent = (await ask(SELECTORS.relay)).channel!;
    const used = (await ask(SELECTORS.relay)).channel!;
    clock.now = 15_000;
    const writer = used.writable.getWriter();
    await writer.write(new Uint8Array(1));
    await until(() => service.stats.relayedBytes === 2);
    clock.now = 29_999;
    await registerRefused(ask(SELECTORS.relay), "limit-exceeded");
    clock.now = 30_000;
    const third = (await ask(SELECTORS.relay)).channel!;
    assertEquals(service.stats.relays, 2);
    await silent.closed;
    await registerRefused(ask(SELECTORS.relay), "limit-exceeded");
    await writer.write(new Uint8Array(1));
    await until(() => service.stats.relayedBytes === 4);
    await Promise.all([used.close(), third.close()]);
    await until(() => service.stats.relays === 0);
  });
}

test("rendezvousService: a relay whose answer the dialing peer does not take gives way, too", async (t) => {
  const asked = Promise.withResolvers<void>();
  const room = Promise.withResolvers<void>();
  let relays = 0;
  const { service, clock, ask } = await relaying(
    t,
    { maxRelays: 1 },
    (service) => {
      const router = new Router();
      router.handle("/", service);
      router.handle(SELECTORS.relay, (call, respond) => {
        if (relays++ > 0) return service.respond(call, respond);
        const waiting = {
          async continue() {
            asked.resolve();
            await room.promise;
            return await respond.continue();
          },
        };
        return service.respond(call, waiting as Responder);
      });
      return router;
    },
  );
  const first = ask(SELECTORS.relay);
  await asked.promise;
  clock.now = 29_999;
  await registerRefused(ask(SELECTORS.relay), "limit-exceeded");
  clock.now = 30_000;
  const second = (await ask(SELECTORS.relay)).channel!;
  assertEquals(service.stats.relays, 1);
  // The one that gave way leads nowhere.
  room.resolve();
  await (await first).channel!.closed;
  await second.close();
  await until(() => service.stats.relays === 0);
});

test("rendezvousService: a peer that does not answer does not keep others from meeting", async (t) => {
  const { service, ask, punches } = await relaying(t, {
    maxMeetings: 2,
    maxMeetingsPerName: 4,
  });
  for (let i = 1; i <= 6; i++) {
    await ask(SELECTORS.meet);
    await until(() => punches() === i);
  }
  assertEquals(service.stats.meetings, 6);

  const one = await relaying(t, { maxMeetingsPerName: 2 });
  for (let i = 0; i < 6; i++) await one.ask(SELECTORS.meet);
  await until(() => one.punches() === 2);
  assertEquals(one.service.stats.meetings, 6);
});

test("rendezvousService: one session has its share of meetings and relays", async (t) => {
  const service = rendezvousService({ maxRelays: 16, maxMeetings: 16 });
  const connect = (handler: Router) => {
    const [client, server] = memoryPair({ handler }, { handler: service });
    t.watch(server);
    return t.watch(client);
  };
  // A peer that listens under several names, and answers when it may.
  const router = new Router();
  let answers = Promise.withResolvers<void>();
  let answered = 0;
  router.handle(SELECTORS.punch, async (_, respond) => {
    await answers.promise;
    await respond.return();
    answered++;
  });
  router.handle(SELECTORS.stream, async (call, respond) => {
    await call.receive();
    await respond.continue();
  });
  const listening = connect(router);
  const names = ["a", "b", "c"];
  for (const name of names) await register(listening, bob, { name });
  const [greedy, other] = [connect(new Router()), connect(new Router())];
  const args = (name: string) => [
    { name, fingerprint: bob.fingerprint, local: [] },
  ];
  // What has ended counts no more, and is no credit either.
  for (const round of [1, 2]) {
    const responses: RpcResponse[] = [];
    for (const selector of [SELECTORS.meet, SELECTORS.relay]) {
      for (let i = 0; i < 8; i++) {
        responses.push(await greedy.request(selector, args(names[i % 3]!)));
      }
      for (const name of names) {
        await registerRefused(
          greedy.request(selector, args(name)),
          "limit-exceeded",
        );
      }
      responses.push(await other.request(selector, args("a")));
    }
    assertEquals(service.stats.relays, 9);
    answers.resolve();
    answers = Promise.withResolvers();
    await until(() => answered === 9 * round);
    // The service has got the answers when it answers this.
    await listening.call(SELECTORS.challenge);
    for (const response of responses) await response.close();
    await until(() => service.stats.relays === 0);
  }
  await other.close();
  await greedy.close();
  await listening.close();
});

test("rendezvousService: what is malformed is refused with bad-arguments", async (t) => {
  const rendezvous = await meet(t);
  const peer = t.watch(
    await dial(rendezvous, { tls: { ca: authority.cert } }),
  );
  const nonce = await peer.call(SELECTORS.challenge);
  assertEquals(String(nonce).length, 64);
  const wrong = [
    [SELECTORS.register, null, "bad-arguments"],
    [SELECTORS.register, [{ name: "a b" }], "bad-arguments"],
    [SELECTORS.register, [{
      name: "bob",
      rendezvous: "x".repeat(2_049),
    }], "bad-arguments"],
    [SELECTORS.register, [{
      name: "bob",
      rendezvous: "",
      certificate: "zz",
      signature: "00",
    }], "bad-arguments"],
    [SELECTORS.register, [{
      name: "bob",
      rendezvous: "",
      certificate: "00".repeat(8_193),
      signature: "00",
    }], "bad-arguments"],
    [SELECTORS.register, [{
      name: "bob",
      rendezvous: "",
      certificate: "0102",
      signature: "00",
    }], "bad-proof"],
    // The nonce has been used.
    [SELECTORS.register, [{
      name: "bob",
      rendezvous: "",
      certificate: "0102",
      signature: "00",
    }], "bad-proof"],
    [SELECTORS.meet, [{ name: "bob" }], "bad-arguments"],
    [SELECTORS.relay, "bob", "bad-arguments"],
  ] as const;
  for (const [selector, args, code] of wrong) {
    const error = await assertRejects(() => peer.call(selector, args));
    assertEquals((error as { code?: unknown }).code, code, selector);
  }
});

test("rendezvousService: a limit out of range is an error", () => {
  for (const name of ["maxNames", "maxMeetings", "maxRelays"] as const) {
    let error: unknown;
    try {
      rendezvousService({ [name]: -1 });
    } catch (thrown) {
      error = thrown;
    }
    assert(error instanceof RangeError, name);
  }
});

test("peer: addresses of another form, and a missing key or fingerprint, are errors", async () => {
  const wrong = [
    "",
    "bob",
    "@quic://h:1",
    "bob@",
    "b b@quic://h:1",
    `${"b".repeat(65)}@quic://h:1`,
    "bob@peer:ann@quic://h:1",
    "bob@quic://h:1#sha256:00",
  ];
  for (const rest of wrong) {
    const error = await assertRejects(() => dial(`peer:${rest}`), TalkError);
    assertEquals(error.code, "bad-address", rest);
  }
  const { name, rendezvous, fingerprint } = parsePeerAddress(
    `bob@tcp://[::1]:1#${bob.fingerprint}`,
  );
  assertEquals([name, rendezvous, fingerprint], [
    "bob",
    "tcp://[::1]:1",
    bob.fingerprint,
  ]);
  const address = "peer:bob@tcp://127.0.0.1:1";
  for (
    const [options, text] of [
      [{ tls: ann }, /fingerprint of the peer is missing/],
      [
        { tls: { pin: bob.fingerprint } },
        /"tls.cert" and "tls.key" are missing/,
      ],
      [
        { tls: { ...ann, pin: [ann.fingerprint, bob.fingerprint] } },
        /several fingerprints/,
      ],
      [
        { tls: { cert: ann.cert, key: bob.key, pin: bob.fingerprint } },
        /"tls.key" does not belong to "tls.cert"/,
      ],
    ] as const
  ) {
    const error = await assertRejects(() => dial(address, options), TalkError);
    assert(text.test(error.message), error.message);
    assertEquals(error.permanent, true);
    assert(error.message.includes("peer:bob@tcp://127.0.0.1:1"));
  }
});
