/**
 * The opening handshake of a WebSocket client (RFC 6455, section 4).
 *
 * @module
 */
import type { Transport } from "../../types.ts";

/** The request of a client. */
export interface HandshakeRequest {
  /** The address, with the scheme `ws:` or `wss:`. */
  url: URL;
  /** Additional headers. */
  headers?: HeadersInit | undefined;
  /** Subprotocols to offer, in order of preference. */
  protocols?: readonly string[] | undefined;
}

/** Appended to the client's key to compute the server's (RFC 6455, section 1.3). */
const KEY_SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/** Bytes of the status line and headers of a response at most. */
const MAX_HEAD = 16 * 1024;
/** Headers that a program cannot set, because the handshake does. */
const RESERVED =
  /^(connection|upgrade|sec-websocket-.*|content-length|transfer-encoding)$/;

/**
 * Upgrades a connection to a WebSocket.
 *
 * @returns the bytes that arrived after the response: the first frames
 * @throws {TypeError} if the program sets a header of the handshake
 * @throws {Error} if the server refuses
 */
export async function handshake(
  transport: Transport,
  { url, headers, protocols = [] }: HandshakeRequest,
): Promise<Uint8Array> {
  const key = toBase64(crypto.getRandomValues(new Uint8Array(16)));
  const all = new Headers(headers);
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
  const { head, rest } = await readHead(transport);
  await check(head, key, protocols);
  return rest;
}

/** Reads until the empty line after the headers. */
async function readHead(
  transport: Transport,
): Promise<{ head: string; rest: Uint8Array }> {
  let bytes = new Uint8Array(0);
  for (;;) {
    const chunk = await transport.read();
    if (chunk === null) throw new Error("the server ended the connection");
    const grown = new Uint8Array(bytes.length + chunk.length);
    grown.set(bytes);
    grown.set(chunk, bytes.length);
    // The empty line may start in the previous chunk.
    const from = Math.max(0, bytes.length - 3);
    bytes = grown;
    const end = findEnd(bytes, from);
    if (end >= 0) {
      const head = new TextDecoder("latin1").decode(bytes.subarray(0, end));
      return { head, rest: bytes.subarray(end + 4) };
    }
    if (bytes.length > MAX_HEAD) {
      throw new Error(
        `the server's response has more than ${MAX_HEAD} bytes of headers`,
      );
    }
  }
}

function findEnd(bytes: Uint8Array, from: number): number {
  for (let i = bytes.indexOf(13, from); i >= 0; i = bytes.indexOf(13, i + 1)) {
    if (bytes[i + 1] === 10 && bytes[i + 2] === 13 && bytes[i + 3] === 10) {
      return i;
    }
  }
  return -1;
}

async function check(
  head: string,
  key: string,
  protocols: readonly string[],
): Promise<void> {
  const [first = "", ...lines] = head.split("\r\n");
  const [, status, text] = /^HTTP\/1\.1 (\d{3}) ?(.*)$/.exec(first) ?? [];
  if (status === undefined) {
    throw new Error("the server does not speak HTTP/1.1");
  }
  if (status !== "101") {
    throw new Error(`the server answered ${`${status} ${text}`.trim()}`);
  }
  const headers = new Headers();
  for (const line of lines) {
    const colon = line.indexOf(":");
    if (colon < 1) {
      throw new Error("the server's response has a malformed header");
    }
    headers.append(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  const tokens = (name: string) =>
    (headers.get(name) ?? "").toLowerCase().split(/\s*,\s*/);
  const accepted = await crypto.subtle.digest(
    "SHA-1",
    new TextEncoder().encode(key + KEY_SUFFIX),
  );
  const selected = headers.get("sec-websocket-protocol");
  if (
    !tokens("upgrade").includes("websocket") ||
    !tokens("connection").includes("upgrade") ||
    headers.get("sec-websocket-accept") !== toBase64(new Uint8Array(accepted))
  ) throw new Error("the server did not accept the WebSocket handshake");
  if (headers.has("sec-websocket-extensions")) {
    throw new Error("the server selected an extension that was not offered");
  }
  if (selected !== null && !protocols.includes(selected)) {
    throw new Error(
      `the server selected protocol "${selected}", which was not offered`,
    );
  }
}

/** The host of a URL for a socket: an IPv6 address without brackets. */
export function unbracketed(hostname: string): string {
  return hostname.replace(/^\[(.*)\]$/, "$1");
}

function toBase64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}
