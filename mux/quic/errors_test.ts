import { assertEquals } from "@std/assert";
import type { TlsError } from "../errors.ts";
import { handshakeError } from "./errors.ts";

const PEER = "aborted by peer: the cryptographic handshake failed: error ";
const OWN = "the cryptographic handshake failed: error 42: ";
const INVALID = "invalid peer certificate: ";

for (
  const [message, code, text] of [
    [
      `${OWN}${INVALID}BadSignature`,
      "bad-certificate",
      "the certificate is not valid: BadSignature",
    ],
    [
      `${PEER}42: ${INVALID}Revoked`,
      "bad-certificate",
      "the other side refuses this side's certificate: Revoked",
    ],
    [
      `${OWN}${INVALID}certificate not valid for name "a"`,
      "wrong-name",
      'certificate not valid for name "a"',
    ],
    [
      `${OWN}${INVALID}certificate expired: verification time 2, but 1`,
      "expired",
      "the certificate has expired",
    ],
    [
      `${OWN}${INVALID}certificate not valid yet: verification time 1, but 2`,
      "not-yet-valid",
      "the certificate is not valid yet",
    ],
    [
      `${OWN}${INVALID}UnknownIssuer`,
      "unknown-issuer",
      'the issuer of the certificate is unknown: option "tls.ca" adds it, or "tls.pin" trusts the certificate by its fingerprint',
    ],
    [`${OWN}no cipher`, "handshake-failed", `${OWN}no cipher`],
    ["timed out", "no-answer", undefined],
  ] as const
) {
  Deno.test(`handshakeError(): "${message}" is ${code}`, () => {
    const error = handshakeError(new Error(message), false) as TlsError;
    assertEquals(error.code, code);
    if (text !== undefined) assertEquals(error.message, text);
  });
}
