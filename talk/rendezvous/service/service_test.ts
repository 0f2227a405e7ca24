import { dial, listen, memoryPair } from "@qtalk/qtalk";
import { rendezvousService } from "@qtalk/qtalk/rendezvous";
import {
  assertEquals,
  assertMatch,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { test } from "../../../tests/support/harness.ts";
import type { TestIdentity } from "../../../tests/support/identities.ts";
import { certificateFiles } from "../../../tests/support/certificate_files.ts";
import { readCertificate } from "../identity.ts";
import { SELECTORS } from "../wire.ts";
import {
  ann,
  assertRefused,
  authority,
  bob,
  cert,
  mallory,
  meet,
  register,
} from "../../../tests/support/rendezvous.ts";

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
    const { text } = await assertRefused(
      register(peer, bob, { rendezvous }),
      "bad-proof",
    );
    assertMatch(text, /is for another rendezvous/);
  }
});

test("rendezvousService: peers know it by the certificate that its listener uses now, even after its files were replaced", async (t) => {
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
  await assertRefused(
    register(client, bob, { rendezvous: "localhost" }),
    "bad-proof",
  );
  for (const wrong of ["", "a b", "a,b", "quic://h:1"]) {
    assertThrows(() => rendezvousService({ identities: [wrong] }), TypeError);
  }
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
