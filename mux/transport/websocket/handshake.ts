/**
 * The handshake with which a WebSocket client begins (RFC 6455, section 4).
 *
 * @module
 */
import type { Transport } from "../../types.ts";

/** What a client asks for. */
export interface HandshakeRequest {
  /** Where: scheme `ws:` or `wss:`. */
  url: URL;
  /** Further headers. */
  headers?: HeadersInit | undefined;
  /** Subprotocols, the best first. */
  protocols?: readonly string[] | undefined;
}

/** What the answer to every key is computed with. */
const KEY_SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/** Bytes that the head of an answer may have. */
const MAX_HEAD = 16 * 1024;
/** Headers that are the handshake's own. */
const RESERVED =
  /^(connection|upgrade|sec-websocket-.*|content-length|transfer-encoding)$/;

/**
 * Asks over a connection for a WebSocket.
 *
 * @returns what came behind the answer: the first bytes of frames
 * @throws {TypeError} if a header is not the program's to choose
 * @throws {Error} if the server does not agree
 */
export async function handshake(
  transport: Transport,
  { url, headers, protocols = [] }: HandshakeRequest,
): Promise<Uint8Array> {
  const key = toBase64(crypto.getRandomValues(new Uint8Array(16)));
  const all = new Headers(headers);
  for (const name of all.keys()) {
    if (RESERVED.test(name)) {
      throw new TypeError(`Cannot send header "${name}": WebSocket sets it`);
    }
  }
  // The reference's server answers 403 without one. Ours is the server's own,
  // as a page of it would send.
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

/** Reads up to the empty line. */
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
    // The border may lie in what came before.
    const from = Math.max(0, bytes.length - 3);
    bytes = grown;
    const end = findEnd(bytes, from);
    if (end >= 0) {
      const head = new TextDecoder("latin1").decode(bytes.subarray(0, end));
      return { head, rest: bytes.subarray(end + 4) };
    }
    if (bytes.length > MAX_HEAD) {
      throw new Error(`the server's answer has over ${MAX_HEAD} bytes of head`);
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
  if (status === undefined) throw new Error("the server speaks no HTTP/1.1");
  if (status !== "101") {
    throw new Error(`the server answered ${`${status} ${text}`.trim()}`);
  }
  const headers = new Headers();
  for (const line of lines) {
    const colon = line.indexOf(":");
    if (colon < 1) {
      throw new Error("the server's answer has a malformed header");
    }
    headers.append(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  const tokens = (name: string) =>
    (headers.get(name) ?? "").toLowerCase().split(/\s*,\s*/);
  const accepted = await crypto.subtle.digest(
    "SHA-1",
    new TextEncoder().encode(key + KEY_SUFFIX),
  );
  const chosen = headers.get("sec-websocket-protocol");
  if (
    !tokens("upgrade").includes("websocket") ||
    !tokens("connection").includes("upgrade") ||
    headers.get("sec-websocket-accept") !== toBase64(new Uint8Array(accepted))
  ) throw new Error("the server did not agree to WebSocket");
  if (headers.has("sec-websocket-extensions")) {
    throw new Error("the server wants an extension that was not offered");
  }
  if (chosen !== null && !protocols.includes(chosen)) {
    throw new Error(`the server chose protocol "${chosen}", not offered`);
  }
}

/** A URL's host as sockets want it: an IPv6 address without its brackets. */
export function unbracketed(hostname: string): string {
  return hostname.replace(/^\[(.*)\]$/, "$1");
}

function toBase64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}
