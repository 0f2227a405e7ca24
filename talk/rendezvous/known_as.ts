/**
 * How a peer identifies its rendezvous. The proof with which the peer registers
 * contains this identity, so that a rendezvous cannot pass that proof on to another
 * one: SPEC.md, "Keys".
 *
 * @module
 */
import type { PeerCertificate, TlsDialOptions } from "../../mux/internal.ts";
import { fingerprintOf, pinsOf } from "../../mux/internal_deno.ts";

/** The schemes of addresses with a host. */
const WITH_HOST = /^(?:quic|wt|tls|tcp|wss?):(?=\/\/)/i;

/**
 * How the peer that dials a rendezvous identifies it: by the certificates that it
 * has pinned, or else by the host.
 *
 * @param address the address of the rendezvous
 * @param tls which rendezvous the peer trusts
 * @returns several fingerprints are separated by commas; empty if there is no host
 */
export function knownAs(
  address: string,
  tls: TlsDialOptions | undefined,
): string {
  const pins = pinsOf(tls?.pin) ?? [];
  if (pins.length > 0) return pins.join(",");
  const host = tls?.serverName ??
    (WITH_HOST.test(address) ? hostIn(address.replace(WITH_HOST, "")) : "");
  return normal(host);
}

/** How peers may identify the listener with a certificate. */
export function identitiesIn(
  { fingerprint, names }: PeerCertificate,
): readonly string[] {
  const hosts = names.filter((name) => /^(?:DNS|IP):/.test(name));
  return [
    fingerprint,
    ...hosts.map((name) => normal(name.slice(name.indexOf(":") + 1))),
  ];
}

/**
 * The option `identities` of a rendezvous, in one form.
 *
 * @throws {TypeError} if one of them is neither a host nor a fingerprint
 */
export function checkIdentities(
  given: readonly string[] | undefined,
): readonly string[] | undefined {
  return given?.map((text) => {
    const identity = typeof text === "string" ? normal(text) : "";
    if (identity !== "") return identity;
    throw new TypeError(
      `Cannot use option "identities": ${
        JSON.stringify(text)
      } is neither a host nor the SHA-256 fingerprint of a certificate`,
    );
  });
}

/** Whether a peer means one of these identities. */
export function isKnownAs(
  text: string,
  identities: readonly string[],
): boolean {
  return text.split(",").some((part) =>
    part !== "" && identities.some((identity) => covers(identity, part))
  );
}

/** A certificate for `*.example.com` is for every name with one more label. */
function covers(identity: string, part: string): boolean {
  return identity === part ||
    identity.startsWith("*.") &&
      part.slice(part.indexOf(".")) === identity.slice(1) &&
      !part.startsWith(".");
}

/** The host of `//host:port/path`. */
function hostIn(rest: string): string {
  return URL.parse(`https:${rest}`)?.hostname ?? "";
}

/** A fingerprint, a name or an IP address in one form; empty if it is none. */
function normal(text: string): string {
  const fingerprint = fingerprintOf(text);
  if (fingerprint !== undefined) return fingerprint;
  const wildcard = text.startsWith("*.") ? "*." : "";
  const name = text.slice(wildcard.length);
  const isIpv6 = name.includes(":") && !name.startsWith("[");
  // Whatever is not a host alone would be lost in parsing.
  if (!/^[^/?#@\s,]+$/.test(name)) return "";
  const host = URL.parse(`https://${isIpv6 ? `[${name}]` : name}`)?.hostname;
  return host === undefined ? "" : wildcard + host.replace(/\.$/, "");
}
