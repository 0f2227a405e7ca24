import { Peer, Router, type TalkError } from "@qtalk/qtalk";
import { rendezvousService } from "@qtalk/qtalk/rendezvous";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { type Harness, test } from "../../../tests/support/harness.ts";
import { runtimeQuic } from "../../../tests/support/quic.ts";
import { until } from "../../../tests/support/within.ts";
import { type PeerTransport, sessionOver } from "../../../mux/internal.ts";
import { hashOf, type QuicConnLike } from "../../../mux/internal_deno.ts";
import type { QuicIncomingLike } from "../../../mux/quic/types.ts";
import { proofStream } from "./direct.ts";
import { dialPeer } from "../dial.ts";
import { demandProof, Messages } from "./proof.ts";
import {
  MOVE_PROTOCOL,
  PEER_PROTOCOL,
  type Place,
  SELECTORS,
} from "../wire.ts";
import {
  ann,
  bob,
  call,
  deceiver,
  distrusted,
  mallory,
  meet,
  placeAt,
  refused,
  serve,
  trust,
} from "../../../tests/support/rendezvous.ts";

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
