/**
 * The options of TLS, of WebSocket requests and of `peer:`, which every command that
 * dials or listens has.
 *
 * @module
 */
import type {
  PeerMeetingOptions,
  TlsDialOptions,
  TlsListenOptions,
} from "../../../mux/internal.ts";
import { printableText, redactedAddress } from "../../../printable_text.ts";
import type { ConnectOptions } from "../../dial/dial.ts";
import { hasEffect, onlyFor } from "../../scheme_options.ts";
import type { OptionSpec } from "../command.ts";
import { UsageError } from "../exit_code.ts";
import type { Terminal } from "../terminal.ts";

const PIN = {
  type: "string",
  multiple: true,
  value: "FINGERPRINT",
  about: "trust the server with this certificate (SHA-256)",
} as const satisfies OptionSpec;

const HEADER = {
  type: "string",
  multiple: true,
  value: "NAME:VALUE",
  about: "a header of the request, for ws: and wss:",
} as const satisfies OptionSpec;

const CLIENT_CERT = {
  type: "string",
  value: "WHETHER",
  about: "none, optional or required (which --ca implies)",
} as const satisfies OptionSpec;

/** Whom to trust as the rendezvous of `peer:`. */
const RENDEZVOUS_OPTIONS = {
  "rendezvous-pin": {
    type: "string",
    multiple: true,
    value: "HASH",
    about: "trust the rendezvous with this certificate (peer:)",
  },
  "rendezvous-ca": file("the authority of the rendezvous (peer:)"),
} as const satisfies Record<string, OptionSpec>;

const PEER_PIN = {
  type: "string",
  multiple: true,
  value: "HASH",
  about: "accept only peers with this certificate (peer:)",
} as const satisfies OptionSpec;

/** The options of commands that dial. */
export const DIAL_OPTIONS = {
  ca: file("the authority that has issued the server's certificate"),
  cert: file("the certificate of this client"),
  key: file("the private key of --cert"),
  pin: PIN,
  header: HEADER,
  ...RENDEZVOUS_OPTIONS,
} as const;

/** The options of commands that listen. */
export const LISTEN_OPTIONS = {
  cert: file("the certificate of this server"),
  key: file("the private key of --cert"),
  ca: file("the authority that issues the certificates of clients"),
  "client-cert": CLIENT_CERT,
} as const;

/** The same with those of `peer:`. */
export const PEER_LISTEN_OPTIONS = {
  ...LISTEN_OPTIONS,
  "peer-pin": PEER_PIN,
  ...RENDEZVOUS_OPTIONS,
} as const;

/** The options of commands that either dial or listen. */
export const EITHER_OPTIONS = {
  ca: file("the authority that certifies the other side"),
  cert: file("the certificate of this side, for tls: and wss:"),
  key: file("the private key of --cert"),
  ...RENDEZVOUS_OPTIONS,
} as const;

/** Those of {@linkcode EITHER_OPTIONS} that only listen. */
export const ONLY_LISTEN_OPTIONS = {
  "client-cert": CLIENT_CERT,
  "peer-pin": PEER_PIN,
} as const;

/** Those of {@linkcode EITHER_OPTIONS} that only dial. */
export const ONLY_DIAL_OPTIONS = { pin: PIN, header: HEADER } as const;

/** The options of commands that listen at LISTEN and dial DIAL. */
export const LISTEN_AND_DIAL_OPTIONS = {
  ca: file("the authority of clients; of DIAL if LISTEN has no TLS"),
  cert: file("the certificate at LISTEN; at DIAL if LISTEN has no TLS"),
  key: file("the private key of --cert"),
  "client-cert": CLIENT_CERT,
  "dial-ca": file("the authority of DIAL, if LISTEN has TLS, too"),
  "dial-cert": file("the certificate at DIAL, if LISTEN has TLS, too"),
  "dial-key": file("the private key of --dial-cert"),
  pin: { ...PIN, about: "trust the server at DIAL with this certificate" },
  header: {
    ...HEADER,
    about: "a header of the request to DIAL, if it is ws(s):",
  },
  "peer-pin": PEER_PIN,
  ...RENDEZVOUS_OPTIONS,
} as const;

/** Whom to trust as the rendezvous, as it is given. */
interface GivenRendezvousOptions {
  readonly "rendezvous-pin"?: readonly string[] | undefined;
  readonly "rendezvous-ca"?: string | undefined;
}

/** The options of {@linkcode DIAL_OPTIONS}, as they are given. */
export interface GivenDialOptions extends GivenRendezvousOptions {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly pin?: readonly string[] | undefined;
  readonly header?: readonly string[] | undefined;
}

/** The options of {@linkcode PEER_LISTEN_OPTIONS}, as they are given. */
export interface GivenListenOptions extends GivenRendezvousOptions {
  readonly "peer-pin"?: readonly string[] | undefined;
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly "client-cert"?: string | undefined;
}

/** The options of {@linkcode LISTEN_AND_DIAL_OPTIONS}, as they are given. */
export interface GivenBothOptions extends GivenDialOptions, GivenListenOptions {
  readonly "dial-ca"?: string | undefined;
  readonly "dial-cert"?: string | undefined;
  readonly "dial-key"?: string | undefined;
}

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

const TLS_ONLY = onlyFor("dial", "tls");
const HTTP_ONLY = onlyFor("dial", "headers");
const CA_ONLY = "is for tls:, wss:, quic: and wt: only";
const CLIENT_CERT_ONLY = "is for tls: and wss: only";
const NO_CLIENT_CERT =
  `${CLIENT_CERT_ONLY}, because Deno cannot ask clients of QUIC for certificates`;
const PEER_ONLY = onlyFor("dial", "rendezvous");
const NOT_FOR_PEER = "is not for peer:, where fingerprints identify peers";

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

/** Refuses the options of `peer:` for another address. */
function refusePeerOptions(
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

function isPeer(address: string | undefined): boolean {
  return hasEffect("dial", "rendezvous", address ?? "");
}

/** The address of the rendezvous in one of `peer:`. */
function rendezvousOf(address: string): string {
  return address.slice(address.indexOf("@") + 1);
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

/** Whether both sides have a certificate, or one of them. */
function hasTls(address: string | undefined): boolean {
  return hasEffect("dial", "tls", address ?? "");
}

/** Whether TLS is that of QUIC, which has no certificates of clients. */
function isQuic(address: string | undefined): boolean {
  return /^(?:quic|wt):/i.test(address ?? "");
}

function hasRequest(address: string | undefined): boolean {
  return hasEffect("dial", "headers", address ?? "");
}

/** Refuses options that would have no effect: the user relies on one. */
function refuseGiven(
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

/** Parses `NAME:VALUE`. No error quotes the value, which may be a secret. */
function parseHeader(text: string): [name: string, value: string] {
  const colon = text.indexOf(":");
  if (colon < 0) {
    throw new UsageError("Cannot use --header: expected NAME:VALUE");
  }
  const name = text.slice(0, colon).trim();
  const value = text.slice(colon + 1).trim();
  if (!isHeader(name, "")) {
    // A secret with a colon may be in its place.
    throw new UsageError(
      "Cannot use --header: the text before the colon is not a valid header name",
    );
  }
  if (!isHeader(name, value)) {
    throw new UsageError(
      `Cannot use --header "${name}": its value has characters that HTTP does not allow`,
    );
  }
  return [name, value];
}

function isHeader(name: string, value: string): boolean {
  try {
    new Headers([[name, value]]);
    return true;
  } catch {
    return false;
  }
}

function checkPin(text: string, option = "pin"): void {
  const digits = text.replace(/^sha256:/i, "").replaceAll(":", "");
  if (/^[\da-f]{64}$/i.test(digits)) return;
  throw new UsageError(
    `Cannot use --${option}: "${
      printableText(text)
    }" is not the SHA-256 fingerprint of a certificate`,
  );
}

function isClientCert(text: string): text is "none" | "optional" | "required" {
  return ["none", "optional", "required"].includes(text);
}

/** What the file of an option has to contain. */
const CONTENTS: readonly (readonly [RegExp, RegExp, string])[] = [
  [/key$/, /^-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----/m, "unencrypted key"],
  [/^/, /^-----BEGIN (?:TRUSTED )?CERTIFICATE-----/m, "certificate"],
];

/** Makes sure that files can be read, without a word of what is in them. */
async function checkFiles(
  files: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  for (const [name, path] of Object.entries(files)) {
    if (path === undefined) continue;
    if (path.includes("-----BEGIN")) {
      throw new UsageError(
        `Cannot use --${name}: expected the path of a file, not its content`,
      );
    }
    const quoted = printableText(path);
    let text: string;
    try {
      text = await Deno.readTextFile(path);
    } catch (cause) {
      throw new UsageError(
        `Cannot read --${name} "${quoted}": ${(cause as Error).message}`,
        { cause },
      );
    }
    const [, pattern, what] = CONTENTS.find(([names]) => names.test(name))!;
    if (pattern.test(text)) continue;
    throw new UsageError(
      `Cannot use --${name} "${quoted}": it has no ${what} in PEM`,
    );
  }
}

function file(about: string) {
  return { type: "string", value: "FILE", about } as const;
}
