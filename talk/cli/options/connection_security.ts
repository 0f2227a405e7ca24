/**
 * What `dial()` and `listen()` get of the options of a connection.
 *
 * @module
 */
import type {
  PeerMeetingOptions,
  TlsDialOptions,
  TlsListenOptions,
} from "../../../mux/internal.ts";
import { redactedAddress } from "../../../printable_text.ts";
import type { ConnectOptions } from "../../dial/dial.ts";
import { UsageError } from "../exit_code.ts";
import type { Terminal } from "../terminal.ts";
import type {
  GivenBothOptions,
  GivenDialOptions,
  GivenListenOptions,
  GivenRendezvousOptions,
} from "./connection_options.ts";
import { checkFiles, checkPin, parseHeader } from "./connection_values.ts";
import {
  CA_ONLY,
  CLIENT_CERT_ONLY,
  hasRequest,
  hasTls,
  HTTP_ONLY,
  isPeer,
  isQuic,
  NO_CLIENT_CERT,
  NOT_FOR_PEER,
  PEER_ONLY,
  refuseGiven,
  refusePeerOptions,
  rendezvousOf,
  TLS_ONLY,
} from "./option_effects.ts";

/** What `dial()` gets of them. */
export type DialSecurity = Pick<
  ConnectOptions,
  "tls" | "headers" | "rendezvous"
>;

/** What {@linkcode dialSecurity} uses of a terminal. */
export type DialTerminal = Pick<Terminal, "conceal" | "dialPrefix">;

/** What `listen()` gets of them. */
export interface ListenSecurity {
  tls?: TlsListenOptions | undefined;
  rendezvous?: Pick<RendezvousTrust, "tls"> | undefined;
}

/** Whom to trust as the rendezvous, and the headers of a request to it. */
type RendezvousTrust = Pick<PeerMeetingOptions, "tls" | "headers">;

/**
 * What `dial()` gets. Files are read again for each connection, since certificates
 * expire; here, they are only checked.
 *
 * @param address what is dialed; undefined if it is no address but a program
 * @param given the options
 * @param terminal does not print the values of headers in errors, and names options
 * @throws {UsageError} if an option is not valid, or not for that address
 */
export async function dialSecurity(
  address: string | undefined,
  given: GivenDialOptions,
  terminal: DialTerminal,
): Promise<DialSecurity> {
  return await dialWith(address, given, terminal, "");
}

/**
 * What `listen()` gets.
 *
 * @throws {UsageError} if an option is missing, not valid, or not for that address
 */
export async function listenSecurity(
  address: string,
  given: GivenListenOptions,
): Promise<ListenSecurity> {
  const { ca, cert, key, "client-cert": whether } = given;
  if (isPeer(address)) return await listenAsPeer(address, given);
  refusePeerOptions(address, given);
  if (!hasTls(address)) {
    refuseGiven(address, { cert, key }, TLS_ONLY);
    refuseGiven(address, { ca, "client-cert": whether }, CLIENT_CERT_ONLY);
    return {};
  }
  if (cert === undefined || key === undefined) {
    throw new UsageError(
      `Cannot listen on "${
        redactedAddress(address)
      }" without --cert and --key: its clients check the certificate`,
    );
  }
  if (isQuic(address)) {
    const others = whether === "none" ? undefined : whether;
    refuseGiven(address, { ca, "client-cert": others }, NO_CLIENT_CERT);
  }
  const clientCert = whether ?? (ca === undefined ? "none" : "required");
  if (!isClientCert(clientCert)) {
    throw new UsageError(
      `Cannot use --client-cert: "${clientCert}" is not one of none, optional, required`,
    );
  }
  if (clientCert !== "none" && ca === undefined) {
    throw new UsageError(
      "Cannot use --client-cert without --ca: no client would be trusted",
    );
  }
  await checkFiles({ ca, cert, key });
  return { tls: { cert, key, clientCert, ...(ca !== undefined && { ca }) } };
}

/**
 * What `listen()` and `dial()` get in a command with both.
 *
 * @throws {UsageError} if an option is missing, not valid, or for neither address
 */
export async function bothSecurities(
  from: string,
  to: string,
  given: GivenBothOptions,
  terminal: DialTerminal,
): Promise<{ listening: ListenSecurity; dialing: DialSecurity }> {
  const { ca, cert, key, pin, header, "client-cert": whether } = given;
  // Whichever side is a peer, or both.
  const rendezvous = {
    "rendezvous-pin": given["rendezvous-pin"],
    "rendezvous-ca": given["rendezvous-ca"],
  };
  const far = {
    ca: given["dial-ca"],
    cert: given["dial-cert"],
    key: given["dial-key"],
    pin,
    header,
    ...isPeer(to) && rendezvous,
  };
  if (hasTls(from) || !hasTls(to)) {
    const near = {
      ca,
      cert,
      key,
      "client-cert": whether,
      "peer-pin": given["peer-pin"],
      ...(isPeer(from) || !isPeer(to)) && rendezvous,
    };
    return {
      listening: await listenSecurity(from, near),
      dialing: await dialWith(to, far, terminal, "dial-"),
    };
  }
  refuseGiven(from, { "client-cert": whether }, CLIENT_CERT_ONLY);
  refuseGiven(from, { "peer-pin": given["peer-pin"] }, PEER_ONLY);
  if (!isPeer(to)) refusePeerOptions(to, rendezvous);
  const { "dial-ca": a, "dial-cert": b, "dial-key": c } = given;
  const hasPrefix = [a, b, c].some((value) => value !== undefined);
  if (!hasPrefix) {
    return {
      listening: {},
      dialing: await dialWith(to, { ...far, ca, cert, key }, terminal, ""),
    };
  }
  refuseGiven(from, { ca }, CLIENT_CERT_ONLY);
  refuseGiven(from, { cert, key }, TLS_ONLY);
  return {
    listening: {},
    dialing: await dialWith(to, far, terminal, "dial-"),
  };
}

/** What `listen()` gets for `peer:`. */
async function listenAsPeer(
  address: string,
  given: GivenListenOptions,
): Promise<ListenSecurity> {
  const { ca, cert, key, "client-cert": whether } = given;
  const { "peer-pin": pins = [] } = given;
  refuseGiven(address, { ca, "client-cert": whether }, NOT_FOR_PEER);
  if (cert === undefined || key === undefined) {
    throw new UsageError(
      `Cannot listen on "${
        redactedAddress(address)
      }" without --cert and --key: a peer has a key, which \`qtalk cert peer\` makes`,
    );
  }
  for (const text of pins) checkPin(text, "peer-pin");
  await checkFiles({ cert, key });
  const rendezvous = await rendezvousTrust(address, given);
  return {
    tls: { cert, key, ...(pins.length > 0 && { pin: pins }) },
    ...rendezvous !== undefined && { rendezvous },
  };
}

/** Whom to trust as the rendezvous of an address of `peer:`. */
async function rendezvousTrust(
  address: string,
  given: GivenRendezvousOptions,
  headers: readonly [string, string][] = [],
): Promise<RendezvousTrust | undefined> {
  const { "rendezvous-ca": ca, "rendezvous-pin": pins } = given;
  const pin = pins?.length === 0 ? undefined : pins;
  if (!hasTls(rendezvousOf(address))) {
    const refused = { "rendezvous-pin": pin, "rendezvous-ca": ca };
    refuseGiven(address, refused, "is for a rendezvous with TLS");
  }
  for (const text of pin ?? []) checkPin(text, "rendezvous-pin");
  await checkFiles({ "rendezvous-ca": ca });
  const tls: TlsDialOptions = {
    ...(ca !== undefined && { ca }),
    ...(pin !== undefined && { pin }),
  };
  const trust = {
    ...(Object.keys(tls).length > 0 && { tls }),
    ...(headers.length > 0 && { headers: [...headers] }),
  };
  return Object.keys(trust).length > 0 ? trust : undefined;
}

async function dialWith(
  address: string | undefined,
  given: GivenDialOptions,
  terminal: DialTerminal,
  prefix: "" | "dial-",
): Promise<DialSecurity> {
  terminal.dialPrefix = prefix;
  const { ca, cert, key, pin = [], header = [] } = given;
  const headers = header.map(parseHeader);
  for (const [, value] of headers) terminal.conceal(value);
  const files = {
    [`${prefix}ca`]: ca,
    [`${prefix}cert`]: cert,
    [`${prefix}key`]: key,
  };
  const pins = pin.length === 0 ? undefined : pin;
  const isToPeer = isPeer(address);
  if (isToPeer) {
    refuseGiven(address, { [`${prefix}ca`]: ca }, NOT_FOR_PEER);
    if (cert === undefined && key === undefined) {
      throw new UsageError(
        `Cannot dial "${
          redactedAddress(address!)
        }" without --${prefix}cert and --${prefix}key: a peer has a key, which \`qtalk cert peer\` makes`,
      );
    }
    if (!address!.includes("#") && pins === undefined) {
      throw new UsageError(
        `Cannot dial "${
          redactedAddress(address!)
        }" without its fingerprint: add it after "#" to the address, or pass --pin`,
      );
    }
  } else {
    refusePeerOptions(address, given);
    if (!hasTls(address)) {
      const { [`${prefix}ca`]: authorities, ...own } = files;
      refuseGiven(address, { [`${prefix}ca`]: authorities }, CA_ONLY);
      refuseGiven(address, { ...own, pin: pins }, TLS_ONLY);
    }
  }
  if (isQuic(address)) {
    const { [`${prefix}ca`]: _, ...ofClient } = files;
    refuseGiven(address, ofClient, NO_CLIENT_CERT);
  }
  const requested = isToPeer ? rendezvousOf(address!) : address;
  if (!hasRequest(requested) && headers.length > 0) {
    refuseGiven(address, { header: headers }, HTTP_ONLY);
  }
  if ((cert === undefined) !== (key === undefined)) {
    const [one, other] = cert === undefined ? ["key", "cert"] : ["cert", "key"];
    throw new UsageError(
      `Cannot use --${prefix}${one} without --${prefix}${other}`,
    );
  }
  for (const text of pin) checkPin(text);
  await checkFiles(files);
  const tls: TlsDialOptions = {
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert, key }),
    ...(pins !== undefined && { pin: pins }),
  };
  if (isToPeer) {
    const rendezvous = await rendezvousTrust(address!, given, headers);
    return { tls, ...rendezvous !== undefined && { rendezvous } };
  }
  return {
    ...(Object.keys(tls).length > 0 && { tls }),
    ...(headers.length > 0 && { headers }),
  };
}

function isClientCert(text: string): text is "none" | "optional" | "required" {
  return ["none", "optional", "required"].includes(text);
}
