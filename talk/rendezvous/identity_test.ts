import { assertEquals } from "@std/assert";
import { makeAuthority } from "../../tests/support/certificates.ts";
import { checkProof, loadIdentity, readCertificate } from "./identity.ts";

const authority = await makeAuthority("authority");
/** Some authorities put names only into the extension that is made for them. */
const unnamed = await authority.issue("", { names: ["meet.example"] });

Deno.test("readCertificate(): a certificate may have no subject", () => {
  const { subject, names } = readCertificate(unnamed.cert);
  assertEquals([subject, names], ["", ["DNS:meet.example"]]);
});

Deno.test("checkProof(): a certificate may have no subject", () => {
  const identity = loadIdentity(unnamed);
  const statement = { purpose: "client", subject: "x", nonce: "00" } as const;
  const { certificate, fingerprint } = identity;
  const proved = checkProof(certificate, statement, identity.prove(statement));
  assertEquals([proved.subject, proved.fingerprint], ["", fingerprint]);
});
