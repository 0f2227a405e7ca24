import { fingerprintOf } from "../../mux/internal_deno.ts";

/** What an address such as `peer:ann@quic://example.com:4433#sha256:…` says. */
export interface PeerAddress {
  /** The name that the peer is registered under. */
  readonly name: string;
  /** The address of the rendezvous. */
  readonly rendezvous: string;
  /** The fingerprint of the peer's certificate, if the address has it. */
  readonly fingerprint: string | undefined;
}

/** Whether a value can be the name of a peer. */
export function isPeerName(name: unknown): name is string {
  return typeof name === "string" && /^[A-Za-z\d][\w.-]{0,63}$/.test(name);
}

/**
 * Splits the part of an address after `peer:`.
 *
 * @throws {SyntaxError} if it has another form
 */
export function parsePeerAddress(rest: string): PeerAddress {
  const [, name, rendezvous, digits] =
    /^([^@]*)@([^#]+)(?:#(.*))?$/s.exec(rest) ?? [];
  if (name === undefined || rendezvous === undefined) {
    throw new SyntaxError("expected peer:NAME@ADDRESS");
  }
  if (!isPeerName(name)) {
    throw new SyntaxError(
      "a name has 1 to 64 letters, digits and characters of _.-, the first of which is a letter or a digit",
    );
  }
  if (/^peer:/i.test(rendezvous)) {
    throw new SyntaxError(
      "the address of a rendezvous cannot be a peer: address",
    );
  }
  const fingerprint = digits === undefined ? undefined : fingerprintOf(digits);
  if (digits !== undefined && fingerprint === undefined) {
    throw new SyntaxError(
      'the text after "#" is not the SHA-256 fingerprint of a certificate',
    );
  }
  return { name, rendezvous, fingerprint };
}

/** The address to dial a peer by. */
export function peerAddress(
  { name, rendezvous, fingerprint }: PeerAddress,
): string {
  return `peer:${name}@${rendezvous}${
    fingerprint === undefined ? "" : `#${fingerprint}`
  }`;
}
