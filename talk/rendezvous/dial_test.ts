import { dial, handlerFrom, listen, TalkError } from "@qtalk/qtalk";
import { rendezvousService } from "@qtalk/qtalk/rendezvous";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { test } from "../../tests/support/harness.ts";
import { parsePeerAddress } from "./peer_address.ts";
import {
  ann,
  bob,
  call,
  deceiver,
  distrusted,
  mallory,
  meet,
  refused,
  relayed,
  serve,
  trust,
} from "../../tests/support/rendezvous.ts";

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

test("peer: a peer that has the name with another key is not dialed", async (t) => {
  const address = await serve(t, await meet(t), mallory);
  const toBob = address.replace(/#.*/, `#${bob.fingerprint}`);
  const error = await refused(call(toBob), "other-key");
  assertEquals(error.permanent, false);
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
