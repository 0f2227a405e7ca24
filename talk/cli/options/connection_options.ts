/**
 * The options of TLS, of WebSocket requests and of `peer:`, which every command that
 * dials or listens has.
 *
 * @module
 */
import type { OptionSpec } from "../command.ts";

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
export interface GivenRendezvousOptions {
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

function file(about: string) {
  return { type: "string", value: "FILE", about } as const;
}
