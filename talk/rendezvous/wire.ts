/**
 * The calls that SPEC.md defines, and the checks of what others send.
 *
 * @module
 */
import { fromHex } from "../../hex.ts";
import { fingerprintOf } from "../../mux/internal_deno.ts";
import { CallError } from "../../rpc/internal.ts";
import { MAX_CERTIFICATE_SIZE, MAX_SIGNATURE_SIZE } from "./identity.ts";
import { isPeerName } from "./peer_address.ts";

/** The protocol (ALPN) of connections between peers. */
export const PEER_PROTOCOL = "qtalk-peer/1";
/** The protocol of connections that continue a session. */
export const MOVE_PROTOCOL = "qtalk-peer-move/1";
/** The protocol of attempts that only open a way. Nothing accepts them. */
export const PUNCH_PROTOCOL = "qtalk-punch";
/** The selectors of the calls. */
export const SELECTORS = {
  /** A peer asks the rendezvous for a nonce. */
  challenge: "rendezvous/challenge",
  /** A peer registers a name, for as long as the response continues. */
  register: "rendezvous/register",
  /** A dialing peer asks for the addresses of another one. */
  meet: "rendezvous/meet",
  /** A dialing peer asks for a byte stream to another one. */
  relay: "rendezvous/relay",
  /** The rendezvous lets a registered peer open a way to a dialing one. */
  punch: "rendezvous/punch",
  /** The rendezvous passes a byte stream on to a registered peer. */
  stream: "rendezvous/stream",
} as const;

/** What a rendezvous sends before it gives a name to another session with its key. */
export const TAKEN_OVER = "taken-over";

/** Milliseconds that a registered peer has for an answer to the rendezvous. */
export const ANSWER_TIME = 5_000;
/** The most characters of what a peer knows the rendezvous as. */
const MAX_KNOWN_AS = 2_048;
/** The most addresses that a peer may name. */
export const MAX_PLACES = 8;

/** An address of a UDP socket. */
export interface Place {
  readonly hostname: string;
  readonly port: number;
}

/** Where a peer may be reached. */
export interface Places {
  /** Where the rendezvous sees it; null if it does not. */
  readonly seen: Place | null;
  /** Its addresses in its own networks. */
  readonly local: readonly Place[];
  /** Milliseconds to wait, so that both peers send at the same time. */
  readonly delay: number;
}

/** What `register` takes. */
export interface RegisterRequest {
  readonly name: string;
  /** What the peer knows the rendezvous as. */
  readonly rendezvous: string;
  readonly certificate: Uint8Array;
  readonly signature: Uint8Array;
  /** The addresses of the peer in its own networks. */
  readonly local: readonly Place[];
}

/** What `meet` and `relay` take. */
export interface MeetRequest {
  readonly name: string;
  /** The fingerprint of the certificate that the peer has to have. */
  readonly fingerprint: string;
  /** The addresses of the dialing peer in its own networks. */
  readonly local: readonly Place[];
}

type Fields = Readonly<Record<string, unknown>>;

/** Checks what `register` was given. */
export function registerRequest(args: unknown): RegisterRequest {
  const { name, rendezvous, certificate, signature, local } = fieldsOf(args);
  return {
    name: nameFrom(name),
    rendezvous: knownAsFrom(rendezvous),
    certificate: bytesFrom(certificate, MAX_CERTIFICATE_SIZE),
    signature: bytesFrom(signature, MAX_SIGNATURE_SIZE),
    local: localFrom(local),
  };
}

/** Checks what `meet` or `relay` was given. */
export function meetRequest(args: unknown): MeetRequest {
  const { name, fingerprint, local } = fieldsOf(args);
  if (
    typeof fingerprint !== "string" ||
    fingerprintOf(fingerprint) !== fingerprint
  ) throw badArguments("the fingerprint is malformed");
  return { name: nameFrom(name), fingerprint, local: localFrom(local) };
}

/**
 * Reads the places in the argument of `punch` or the answer of `meet`; skips
 * malformed ones.
 */
export function placesFrom(value: unknown): Places {
  const { seen, local, delay } = fieldsOf([value]);
  return {
    seen: isPlace(seen) ? pick(seen) : null,
    local: localFrom(local),
    delay: typeof delay === "number" && delay > 0 ? Math.min(delay, 1_000) : 0,
  };
}

/** Private addresses among those that a peer has named. */
export function localFrom(value: unknown): Place[] {
  const places = Array.isArray(value) ? value.slice(0, MAX_PLACES) : [];
  return places.filter(isPlace).filter(isPrivate).map(pick);
}

/** The place in an address such as `quic://192.0.2.1:4433`. */
export function placeOf(address: string): Place | null {
  const match = /^quic:\/\/(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(address);
  if (match === null) return null;
  const hostname = (match[1] ?? match[2]!).replace(/^::ffff:(?=\d+\.)/, "");
  return { hostname, port: Number(match[3]) };
}

/**
 * Whether an address is private or link-local. Other addresses are not used, because
 * a peer could use them to make another peer send packets to a third party.
 */
function isPrivate({ hostname }: Place): boolean {
  return /^(?:10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|169\.254\.|f[cd][\da-f]{2}:)/i
    .test(hostname);
}

function isPlace(value: unknown): value is Place {
  const { hostname, port } = (value ?? {}) as Partial<Place>;
  return typeof hostname === "string" && isIpAddress(hostname) &&
    Number.isInteger(port) && port! > 0 && port! <= 65_535;
}

/**
 * Whether a text is an IP address in its usual form. The runtime looks up anything
 * else as a name, such as `10.cafe.de`, and its owner chooses the address.
 */
function isIpAddress(text: string): boolean {
  if (/^[\d.]{7,15}$/.test(text)) {
    return URL.parse(`http://${text}`)?.hostname === text;
  }
  return /^[\da-f.]*:[\da-f:.]{1,44}$/i.test(text) &&
    URL.canParse(`http://[${text}]`);
}

function pick({ hostname, port }: Place): Place {
  return { hostname, port };
}

function fieldsOf(args: unknown): Fields {
  const [fields] = Array.isArray(args) ? args : [];
  return typeof fields === "object" && fields !== null ? fields as Fields : {};
}

function nameFrom(name: unknown): string {
  if (isPeerName(name)) return name;
  throw badArguments(
    "a name has 1 to 64 letters, digits and characters of _.-",
  );
}

function knownAsFrom(text: unknown): string {
  if (typeof text === "string" && text.length <= MAX_KNOWN_AS) return text;
  throw badArguments(
    `what the rendezvous is known as has up to ${MAX_KNOWN_AS} characters`,
  );
}

function bytesFrom(text: unknown, limit: number): Uint8Array {
  if (
    typeof text === "string" && text.length <= 2 * limit &&
    /^(?:[\da-f]{2})+$/.test(text)
  ) return fromHex(text);
  throw badArguments(`expected up to ${limit} bytes in hexadecimal digits`);
}

function badArguments(text: string): CallError {
  return refusal("bad-arguments", text);
}

/** The error for a call that the rendezvous or a peer refuses. */
export function refusal(code: string, text: string): CallError {
  return new CallError(text, { code });
}
