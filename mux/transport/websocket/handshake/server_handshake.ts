/**
 * The opening handshake of a WebSocket server (RFC 6455, section 4).
 *
 * @module
 */
import type { TlsError } from "../../../errors.ts";
import type { Transport } from "../../../types.ts";
import { describeBytes, tlsIn } from "../../../wire/foreign_bytes.ts";
import { acceptKey } from "./client_handshake.ts";
import {
  type Head,
  listOf,
  mayBeRequest,
  parseHeaders,
  readHead,
  REASON_PHRASES,
} from "./http_head.ts";
import { refusalOf, type RequestRules } from "./request_rules.ts";

/** Bytes of a refused request's body that are read before the connection closes. */
const MAX_BODY = 64 * 1024;

/** What a server knows of a connection before its request. */
export interface ServerHandshake {
  /** The IP address of the client, without brackets; empty if unknown. */
  remoteHost: string;
  /** Whether it is encrypted. Default: false. */
  isSecure?: boolean;
  /** Which requests are welcome. */
  rules: RequestRules;
  /** Called with a request that is welcome. */
  onRequest?: ((request: Request) => void) | undefined;
  /** Called if the client speaks TLS, which it should not. */
  onTls?: ((error: TlsError) => void) | undefined;
}

/** A refusal, with the headers that the status needs. */
interface Refusal {
  status: keyof typeof REASON_PHRASES;
  headers?: string[];
}

/**
 * Reads a request and answers it. A request that is refused ends the connection,
 * which still has to be closed.
 *
 * @returns the bytes that arrived after the request: the first frames; undefined
 * if there is no WebSocket
 */
export async function acceptHandshake(
  transport: Transport,
  { remoteHost, isSecure = false, rules, onRequest, onTls }: ServerHandshake,
): Promise<Uint8Array | undefined> {
  let isRequest = true;
  const head = await readHead(transport, (bytes) => {
    isRequest = mayBeRequest(bytes);
    if (isRequest) return;
    const message = `the client does not speak HTTP/1.1: ${
      describeBytes(bytes)
    }`;
    const tls = tlsIn(bytes, message);
    if (tls !== undefined) onTls?.(tls);
    throw new Error(message);
  }).catch((error) => {
    if (isRequest) throw error;
  });
  // A client of another protocol waits for an answer in it, and should not do so
  // until the time for the handshake is over.
  if (head === undefined) return await refuse(transport, { status: 400 });
  if (head === "ended") return undefined;
  if (head === "too-large") return await refuse(transport, { status: 431 });
  const headers = parseHeaders(head.lines);
  const refusal = headers === undefined
    ? { status: 400 } as const
    : refusalFor(head, headers, remoteHost, rules);
  if (refusal !== undefined) return await refuse(transport, refusal);
  onRequest?.(requestOf(head, headers!, isSecure));
  // The bytes after the head are valid until the next read only.
  const early = head.rest;
  await send(transport, [
    "HTTP/1.1 101 Switching Protocols",
    "upgrade: websocket",
    "connection: Upgrade",
    `sec-websocket-accept: ${await acceptKey(
      headers!.get("sec-websocket-key")!,
    )}`,
  ]);
  return early;
}

/** The parts of the first line of a request. */
function partsOf({ start }: Head): {
  method: string | undefined;
  url: URL | undefined;
  version: string | undefined;
} {
  const [, method, target = "", version] =
    /^([A-Z]+) (\S+) HTTP\/1\.([01])$/.exec(start) ?? [];
  // A proxy may send the whole URL.
  const text = target.startsWith("/") ? `http://host${target}` : target;
  const isUrl = /^https?:/.test(text) && URL.canParse(text);
  return { method, url: isUrl ? new URL(text) : undefined, version };
}

/** The request as an object, for the program. */
function requestOf(
  head: Head,
  headers: Headers,
  isSecure: boolean,
): Request {
  const { pathname, search } = partsOf(head).url!;
  // The name was checked with the rules, and that of the first line was not.
  const scheme = isSecure ? "https" : "http";
  const url = `${scheme}://${headers.get("host")}${pathname}${search}`;
  return new Request(url, { headers: [...headers] });
}

function refusalFor(
  head: Head,
  headers: Headers,
  remoteHost: string,
  rules: RequestRules,
): Refusal | undefined {
  const { method, url, version } = partsOf(head);
  if (url === undefined) return { status: 400 };
  const { pathname } = url;
  const status = refusalOf({ path: pathname, headers, remoteHost }, rules);
  if (status === 426) return upgradeRequired();
  if (status !== undefined) return { status };
  if (headers.get("sec-websocket-version") !== "13") return upgradeRequired();
  const hasBody = headers.has("transfer-encoding") ||
    (headers.get("content-length") ?? "0") !== "0";
  // The key is the base64 form of 16 bytes.
  const isHandshake = method === "GET" && version === "1" && !hasBody &&
    listOf(headers, "connection").includes("upgrade") &&
    /^[\w+/]{22}==$/.test(headers.get("sec-websocket-key") ?? "");
  return isHandshake ? undefined : { status: 400 };
}

function upgradeRequired(): Refusal {
  return {
    status: 426,
    headers: ["upgrade: websocket", "sec-websocket-version: 13"],
  };
}

/** Answers with a status, and reads what the client is still sending. */
async function refuse(
  transport: Transport,
  { status, headers = [] }: Refusal,
): Promise<undefined> {
  const reason = REASON_PHRASES[status];
  const body = `${reason}\n`;
  await send(transport, [
    `HTTP/1.1 ${status} ${reason}`,
    "content-type: text/plain;charset=UTF-8",
    `content-length: ${body.length}`,
    "connection: close",
    ...headers,
  ], body);
  await transport.closeWrite();
  // To close a socket with unread bytes resets it, and the client could lose the
  // answer.
  for (let read = 0; read < MAX_BODY;) {
    const chunk = await transport.read();
    if (chunk === null) break;
    read += chunk.length;
  }
}

function send(
  transport: Transport,
  lines: readonly string[],
  body = "",
): Promise<void> {
  const head = `${lines.join("\r\n")}\r\n\r\n`;
  return transport.write(new TextEncoder().encode(head + body));
}
