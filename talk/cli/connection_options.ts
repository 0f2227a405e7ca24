/**
 * The options of TLS and of WebSocket requests, which every command that dials or
 * listens has.
 *
 * @module
 */
import type { TlsDialOptions, TlsListenOptions } from "../../mux/internal.ts";
import { printableText, redactedAddress } from "../../printable_text.ts";
import type { ConnectOptions } from "../dial.ts";
import type { OptionSpec } from "./command.ts";
import { UsageError } from "./exit_code.ts";
import type { Terminal } from "./terminal.ts";

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

/** The options of commands that dial. */
export const DIAL_OPTIONS = {
  ca: file("the authority that has issued the server's certificate"),
  cert: file("the certificate of this client"),
  key: file("the private key of --cert"),
  pin: PIN,
  header: HEADER,
} as const;

/** The options of commands that listen. */
export const LISTEN_OPTIONS = {
  cert: file("the certificate of this server, for tls: and wss:"),
  key: file("the private key of --cert"),
  ca: file("the authority that issues the certificates of clients"),
  "client-cert": CLIENT_CERT,
} as const;

/** The options of commands that either dial or listen. */
export const EITHER_OPTIONS = {
  ca: file("the authority that certifies the other side"),
  cert: file("the certificate of this side, for tls: and wss:"),
  key: file("the private key of --cert"),
} as const;

/** Those of {@linkcode EITHER_OPTIONS} that only listen. */
export const ONLY_LISTEN_OPTIONS = { "client-cert": CLIENT_CERT } as const;

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
} as const;

/** The options of {@linkcode DIAL_OPTIONS}, as they are given. */
export interface GivenDialOptions {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly pin?: readonly string[] | undefined;
  readonly header?: readonly string[] | undefined;
}

/** The options of {@linkcode LISTEN_OPTIONS}, as they are given. */
export interface GivenListenOptions {
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
export type DialSecurity = Pick<ConnectOptions, "tls" | "headers">;

/** What `listen()` gets of them. */
export interface ListenSecurity {
  tls?: TlsListenOptions;
}

/**
 * What `dial()` gets. Files are read again for each connection, since certificates
 * expire; here, they are only checked.
 *
 * @param address what is dialed; undefined if it is no address but a program
 * @param given the options
 * @param terminal does not print the values of headers in errors
 * @throws {UsageError} if an option is not valid, or not for that address
 */
export async function dialSecurity(
  address: string | undefined,
  given: GivenDialOptions,
  terminal: Pick<Terminal, "conceal">,
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
  if (!hasTls(address)) {
    refuseGiven(address, { ca, cert, key, "client-cert": whether }, TLS_ONLY);
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
  terminal: Pick<Terminal, "conceal">,
): Promise<{ listening: ListenSecurity; dialing: DialSecurity }> {
  const { ca, cert, key, pin, header, "client-cert": whether } = given;
  const far = {
    ca: given["dial-ca"],
    cert: given["dial-cert"],
    key: given["dial-key"],
    pin,
    header,
  };
  if (hasTls(from) || !hasTls(to)) {
    const near = { ca, cert, key, "client-cert": whether };
    return {
      listening: await listenSecurity(from, near),
      dialing: await dialWith(to, far, terminal, "dial-"),
    };
  }
  refuseGiven(from, { "client-cert": whether }, TLS_ONLY);
  const { "dial-ca": a, "dial-cert": b, "dial-key": c } = given;
  const hasPrefix = [a, b, c].some((value) => value !== undefined);
  if (!hasPrefix) {
    return {
      listening: {},
      dialing: await dialWith(to, { ...far, ca, cert, key }, terminal, ""),
    };
  }
  refuseGiven(from, { ca, cert, key }, TLS_ONLY);
  return {
    listening: {},
    dialing: await dialWith(to, far, terminal, "dial-"),
  };
}

const TLS_ONLY = "is for tls:, wss:, quic: and wt: only";
const HTTP_ONLY = "is for ws: and wss: only";
const NO_CLIENT_CERT =
  "is for tls: and wss: only, as Deno asks no client of QUIC for a certificate";

async function dialWith(
  address: string | undefined,
  { ca, cert, key, pin = [], header = [] }: GivenDialOptions,
  terminal: Pick<Terminal, "conceal">,
  prefix: "" | "dial-",
): Promise<DialSecurity> {
  const headers = header.map(parseHeader);
  for (const [, value] of headers) terminal.conceal(value);
  const files = {
    [`${prefix}ca`]: ca,
    [`${prefix}cert`]: cert,
    [`${prefix}key`]: key,
  };
  const pins = pin.length === 0 ? undefined : pin;
  if (!hasTls(address)) {
    refuseGiven(address, { ...files, pin: pins }, TLS_ONLY);
  }
  if (isQuic(address)) {
    const { [`${prefix}ca`]: _, ...ofClient } = files;
    refuseGiven(address, ofClient, NO_CLIENT_CERT);
  }
  if (!hasRequest(address) && headers.length > 0) {
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
  return {
    ...(Object.keys(tls).length > 0 && { tls }),
    ...(headers.length > 0 && { headers }),
  };
}

function hasTls(address: string | undefined): boolean {
  return /^(?:tls|wss|quic|wt):/i.test(address ?? "");
}

/** Whether TLS is that of QUIC, which has no certificates of clients. */
function isQuic(address: string | undefined): boolean {
  return /^(?:quic|wt):/i.test(address ?? "");
}

function hasRequest(address: string | undefined): boolean {
  return /^wss?:/i.test(address ?? "");
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
      "Cannot use --header: what is before the colon is not a name of HTTP",
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

function checkPin(text: string): void {
  const digits = text.replace(/^sha256:/i, "").replaceAll(":", "");
  if (/^[\da-f]{64}$/i.test(digits)) return;
  throw new UsageError(
    `Cannot use --pin: "${
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
