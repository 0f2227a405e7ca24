/**
 * Which options of a connection have an effect on an address; others are refused.
 *
 * @module
 */
import { redactedAddress } from "../../../printable_text.ts";
import { hasEffect, onlyFor } from "../../scheme_options.ts";
import { UsageError } from "../exit_code.ts";
import type {
  GivenListenOptions,
  GivenRendezvousOptions,
} from "./connection_options.ts";

// Reasons for `refuseGiven()`.
/** Of options of TLS. */
export const TLS_ONLY = onlyFor("dial", "tls");
/** Of headers. */
export const HTTP_ONLY = onlyFor("dial", "headers");
/** Of authorities, which do not identify peers at `peer:`. */
export const CA_ONLY = "is for tls:, wss:, quic: and wt: only";
/** Of the certificates of clients. */
export const CLIENT_CERT_ONLY = "is for tls: and wss: only";
/** Of the same over QUIC. */
export const NO_CLIENT_CERT =
  `${CLIENT_CERT_ONLY}, because Deno cannot ask clients of QUIC for certificates`;
/** Of options of `peer:`. */
export const PEER_ONLY = onlyFor("dial", "rendezvous");
/** Of options that identify servers in another way. */
export const NOT_FOR_PEER =
  "is not for peer:, where fingerprints identify peers";

/** Refuses the options of `peer:` for another address. */
export function refusePeerOptions(
  address: string | undefined,
  given: GivenRendezvousOptions & Pick<GivenListenOptions, "peer-pin">,
): void {
  const options = {
    "peer-pin": given["peer-pin"],
    "rendezvous-pin": given["rendezvous-pin"],
    "rendezvous-ca": given["rendezvous-ca"],
  };
  refuseGiven(address, options, PEER_ONLY);
}

/** Whether an address is one of `peer:`. */
export function isPeer(address: string | undefined): boolean {
  return hasEffect("dial", "rendezvous", address ?? "");
}

/** The address of the rendezvous in one of `peer:`. */
export function rendezvousOf(address: string): string {
  return address.slice(address.indexOf("@") + 1);
}

/** Whether both sides have a certificate, or one of them. */
export function hasTls(address: string | undefined): boolean {
  return hasEffect("dial", "tls", address ?? "");
}

/** Whether TLS is that of QUIC, which has no certificates of clients. */
export function isQuic(address: string | undefined): boolean {
  return /^(?:quic|wt):/i.test(address ?? "");
}

/** Whether the connection begins with a request of HTTP. */
export function hasRequest(address: string | undefined): boolean {
  return hasEffect("dial", "headers", address ?? "");
}

/** Refuses options that would have no effect: the user relies on one. */
export function refuseGiven(
  address: string | undefined,
  given: Readonly<Record<string, unknown>>,
  why: string,
): void {
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue;
    throw new UsageError(
      `Cannot use --${name} for ${
        address === undefined ? "a program" : `"${redactedAddress(address)}"`
      }: it ${why}`,
    );
  }
}
