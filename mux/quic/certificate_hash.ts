import { fromHex } from "../../hex.ts";

/**
 * Converts a fingerprint of the option `tls.pin` to the form that QUIC and
 * WebTransport take.
 *
 * @param fingerprint in the form that `pinsOf()` returns
 */
export function hashOf(
  fingerprint: string,
): { algorithm: string; value: Uint8Array } {
  const digits = fingerprint.slice("sha256:".length);
  return { algorithm: "sha-256", value: fromHex(digits) };
}
