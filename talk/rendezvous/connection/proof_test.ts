import { assertEquals, assertRejects } from "@std/assert";
import { TlsError } from "../../../mux/internal.ts";
import { duplexTransport } from "../../../mux/internal_deno.ts";
import { makeIdentity } from "../../../tests/support/identities.ts";
import { RendezvousError } from "../errors.ts";
import { loadIdentity } from "../identity.ts";
import { demandProof, Messages, prove } from "./proof.ts";

const ann = loadIdentity(await makeIdentity("ann"));
const bob = loadIdentity(await makeIdentity("bob"));
const mallory = loadIdentity(await makeIdentity("mallory"));

/** The two ends of a proof, and what the dialing one has written. */
function ends() {
  // Writes do not wait for reads, as those of connections do not.
  const room = { highWaterMark: 100 };
  const [out, back] = [1, 2].map(() =>
    new TransformStream<Uint8Array, Uint8Array>({}, room, room)
  );
  const near = duplexTransport({
    readable: back!.readable,
    writable: out!.writable,
  });
  const far = duplexTransport({
    readable: out!.readable,
    writable: back!.writable,
  });
  const written: Uint8Array[] = [];
  return {
    written,
    dialing: new Messages({
      read: () => near.read(),
      write(bytes) {
        written.push(bytes.slice());
        return near.write(bytes);
      },
    }),
    raw: near,
    listening: new Messages(far),
    async close() {
      await near.close();
      await far.close();
    },
  };
}

Deno.test("demandProof(): returns the certificate of the key that was proved", async () => {
  const { dialing, listening, close } = ends();
  const [, { fingerprint, subject }] = await Promise.all([
    prove(dialing, ann, bob.fingerprint),
    demandProof(listening, bob.fingerprint, [ann.fingerprint]),
  ]);
  assertEquals([fingerprint, subject], [ann.fingerprint, "CN=ann"]);
  await close();
});

Deno.test("demandProof(): a proof that was recorded is of no use again", async () => {
  const before = ends();
  await Promise.all([
    prove(before.dialing, ann, bob.fingerprint),
    demandProof(before.listening, bob.fingerprint, undefined),
  ]);
  await before.close();
  const { raw, listening, close } = ends();
  for (const bytes of before.written) await raw.write(bytes);
  const error = await assertRejects(
    () => demandProof(listening, bob.fingerprint, undefined),
    RendezvousError,
  );
  assertEquals(error.code, "bad-proof");
  await close();
});

Deno.test("demandProof(): a proof that was made for another peer cannot be passed on", async () => {
  const { dialing, listening, close } = ends();
  // Ann has dialed Mallory, who passes everything between her and Bob on.
  const proving = prove(dialing, ann, mallory.fingerprint).catch(() => {});
  const error = await assertRejects(
    () => demandProof(listening, bob.fingerprint, undefined),
    RendezvousError,
  );
  assertEquals(error.code, "bad-proof");
  await close();
  await proving;
});

Deno.test("demandProof(): the certificate of another peer is no proof", async () => {
  const { dialing, listening, close } = ends();
  const stolen = { ...mallory, certificate: ann.certificate };
  const proving = prove(dialing, stolen, bob.fingerprint).catch(() => {});
  const error = await assertRejects(
    () => demandProof(listening, bob.fingerprint, undefined),
    RendezvousError,
  );
  assertEquals(error.code, "bad-proof");
  await close();
  await proving;
});

Deno.test("demandProof(): a key that is not trusted is refused, and both sides learn it", async () => {
  const { dialing, listening, close } = ends();
  const [near, far] = await Promise.allSettled([
    prove(dialing, mallory, bob.fingerprint),
    demandProof(listening, bob.fingerprint, [ann.fingerprint]),
  ]);
  for (const { reason } of [near, far] as PromiseRejectedResult[]) {
    assertEquals(
      reason instanceof TlsError && reason.code,
      "wrong-client-certificate",
    );
  }
  await close();
});

Deno.test("demandProof(): what is malformed, too long or cut off is refused", async () => {
  const first = Uint8Array.of(0, 0, 0, 1, 1);
  const wrong = [
    [Uint8Array.of(0, 0, 0, 1, 9)],
    [Uint8Array.of(0, 0, 0, 0)],
    [Uint8Array.of(0xff, 0xff, 0xff, 0xff)],
    [Uint8Array.of(0, 0)],
    [first],
    [first, Uint8Array.of(0, 0, 0, 0)],
    [first, Uint8Array.of(0, 0, 0, 2, 0xff, 0xff)],
    [first, Uint8Array.of(0, 0, 0, 3, 0, 0, 1)],
    [first, Uint8Array.of(0, 0, 0, 4, 0, 1, 1, 1)],
  ];
  for (const messages of wrong) {
    const { raw, listening, close } = ends();
    const demanded = assertRejects(
      () => demandProof(listening, bob.fingerprint, undefined),
      RendezvousError,
    );
    for (const bytes of messages) await raw.write(bytes);
    await raw.closeWrite();
    assertEquals((await demanded).code, "bad-proof");
    await close();
  }
});
