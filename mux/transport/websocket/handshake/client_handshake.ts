/**
 * The opening handshake of a WebSocket client (RFC 6455, section 4).
 *
 * @module
 */
import "../../../internal.ts"; // Keeps bundles in few chunks.
import { printableText } from "../../../../printable_text.ts";
import { describeBytes, tlsIn } from "../../../wire/foreign_bytes.ts";
import type { Transport } from "../../../types.ts";
import type { SchemeOptions } from "../../types.ts";
import {
  type Head,
  listOf,
  MAX_HEAD_SIZE,
  mayBeResponse,
  parseHeaders,
  readHead,
} from "./http_head.ts";

/** What ALPN calls HTTP/1.1, on which WebSockets are. */
export const HTTP = "http/1.1";

/** The request of a client. */
export interface HandshakeRequest {
  /** The address, with the scheme `ws:` or `wss:`. */
  url: URL;
  /** Additional headers. */
  headers?: SchemeOptions["headers"];
  /** Subprotocols to offer, in order of preference. */
  protocols?: readonly string[] | undefined;
}

/** The error of a server that answered a handshake with another status than 101. */
export class RefusalError extends Error {
  /** The status code of the answer. */
  readonly status: number;

  /**
   * Makes the error for an answer.
   *
   * @param status its status code
   * @param reason its reason phrase
   */
  constructor(status: number, reason: string) {
    super(`the server answered ${`${status} ${reason}`.trim()}`);
    this.status = status;
  }
}

/** The error of a server that does not speak this protocol. */
export class HandshakeError extends Error {
  /** Another attempt would end in the same way. */
  readonly permanent = true;
}

/** Appended to the client's key to compute the server's (RFC 6455, section 1.3). */
const KEY_SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/** Headers that a program cannot set, because the handshake does. */
const RESERVED =
  /^(connection|upgrade|sec-websocket-.*|content-length|transfer-encoding)$/;

/**
 * Upgrades a connection to a WebSocket.
 *
 * @returns the bytes that arrived after the response: the first frames
 * @throws {TypeError} if the program sets a header of the handshake, or one that
 * is not valid
 * @throws {RefusalError} if the server refuses
 * @throws {Error} if the server does not speak HTTP, or not this handshake
 */
export async function handshake(
  transport: Transport,
  { url, headers, protocols = [] }: HandshakeRequest,
): Promise<Uint8Array> {
  const key = toBase64(crypto.getRandomValues(new Uint8Array(16)));
  const all = checkedHeaders(headers);
  for (const name of all.keys()) {
    if (RESERVED.test(name)) {
      throw new TypeError(
        `Cannot send header "${name}": the WebSocket handshake sets it`,
      );
    }
  }
  // qtalk-go's server answers 403 without an origin. This one is the server's
  // own, as a page from there would send it.
  if (!all.has("origin")) {
    all.set(
      "origin",
      `${url.protocol === "wss:" ? "https" : "http"}://${url.host}`,
    );
  }
  if (!all.has("host")) all.set("host", url.host);
  if (protocols.length > 0) {
    all.set("sec-websocket-protocol", protocols.join(", "));
  }
  const lines = [
    `GET ${url.pathname}${url.search} HTTP/1.1`,
    "connection: Upgrade",
    "upgrade: websocket",
    "sec-websocket-version: 13",
    `sec-websocket-key: ${key}`,
    ...[...all].map(([name, value]) => `${name}: ${value}`),
  ];
  await transport.write(
    new TextEncoder().encode(lines.join("\r\n") + "\r\n\r\n"),
  );
  const head = await readHead(transport, (bytes) => {
    if (mayBeResponse(bytes)) return;
    const message = `the server does not speak HTTP/1.1: ${
      describeBytes(bytes)
    }`;
    throw tlsIn(bytes, message) ?? new HandshakeError(message);
  });
  if (head === "ended") {
    throw new Error(
      "the server ended the connection without an answer, so it may not speak HTTP",
    );
  }
  if (head === "too-large") {
    throw new HandshakeError(
      `the server's response has more than ${MAX_HEAD_SIZE} bytes of headers`,
    );
  }
  await check(head, key, protocols);
  return head.rest;
}

/**
 * Makes headers. The runtime's own error would quote the value, which may be a
 * secret.
 *
 * @throws {TypeError} if a name or a value is not valid
 */
export function checkedHeaders(
  init: NonNullable<SchemeOptions["headers"]> = {},
): Headers {
  try {
    // The types of the DOM have arrays only, and no other iterables.
    return new Headers(init as HeadersInit);
  } catch {
    // Found again below, one by one.
  }
  const entries = Symbol.iterator in init ? [...init] : Object.entries(init);
  for (const [name, value] of entries) {
    try {
      new Headers([[name!, value!]]);
    } catch {
      throw new TypeError(
        `Cannot send header "${
          printableText(`${name}`)
        }": its name or its value is not valid in HTTP`,
      );
    }
  }
  throw new TypeError("Cannot send headers: they are not names and values");
}

/** What a server answers to a client's key. */
export async function acceptKey(key: string): Promise<string> {
  const digest = await crypto.subtle.digest(
    "SHA-1",
    new TextEncoder().encode(key + KEY_SUFFIX),
  );
  return toBase64(new Uint8Array(digest));
}

async function check(
  { start, lines }: Head,
  key: string,
  protocols: readonly string[],
): Promise<void> {
  const [, minor, status, text = ""] =
    /^HTTP\/1\.([01]) (\d{3}) ?(.*)$/.exec(start) ?? [];
  if (status !== undefined && status !== "101") {
    throw new RefusalError(Number(status), printableText(text));
  }
  if (minor !== "1") {
    throw new HandshakeError(
      `the server does not speak HTTP/1.1: it answered "${
        printableText(start)
      }"`,
    );
  }
  const headers = parseHeaders(lines);
  if (headers === undefined) {
    throw new HandshakeError("the server's response has a malformed header");
  }
  const selected = headers.get("sec-websocket-protocol");
  if (
    !listOf(headers, "upgrade").includes("websocket") ||
    !listOf(headers, "connection").includes("upgrade") ||
    headers.get("sec-websocket-accept") !== await acceptKey(key)
  ) {
    throw new HandshakeError(
      "the server did not accept the WebSocket handshake",
    );
  }
  if (headers.has("sec-websocket-extensions")) {
    throw new HandshakeError(
      "the server selected an extension that was not offered",
    );
  }
  if (selected !== null && !protocols.includes(selected)) {
    throw new HandshakeError(
      `the server selected protocol "${selected}", which was not offered`,
    );
  }
}

/** The port that the scheme of a URL implies. */
export function defaultPort({ protocol }: URL): number {
  return protocol === "wss:" ? 443 : 80;
}

/** The host of a URL for a socket: an IPv6 address without brackets. */
export function unbracketed(hostname: string): string {
  return hostname.replace(/^\[(.*)\]$/, "$1");
}

function toBase64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}
