import "../../internal.ts"; // Keeps bundles in few chunks.
import { listenQuic, type Upgraded } from "../../quic/listen.ts";
import type { QuicConnLike } from "../../quic/types.ts";
import type { Transport } from "../../types.ts";
import { hostPort } from "../address_forms.ts";
import type {
  HandshakeLimit,
  SchemeListenTerms,
  TransportListener,
} from "../types.ts";
import {
  refusalOf,
  type RequestRules,
} from "../websocket/handshake/request_rules.ts";
import { OPENING, webTransportTransport } from "./transport.ts";
import type { UpgradeRuntime, WebTransportLike } from "./types.ts";

/** The ALPN name of HTTP/3, which WebTransport uses. */
const HTTP3 = "h3";
/** Streams of HTTP/3 and its extensions in each direction, and one for the transport. */
const MAX_STREAMS = 16;

/**
 * Listens for WebTransport sessions at one path, in Deno, on the connections of a
 * QUIC listener.
 *
 * @param url the address; port 0 chooses a free port
 * @param options the certificate, the hosts that are served, and the limits of
 * sessions
 * @param handshake limits the time of a handshake
 * @throws {QuicError} `unavailable` if there is no QUIC
 * @throws {TypeError} if an option is missing or not valid
 */
export function listenWebTransport(
  url: URL,
  options: SchemeListenTerms,
  handshake?: HandshakeLimit,
): TransportListener {
  const { hosts, tls, session } = options;
  const { hostname, pathname: path } = url;
  const place = {
    hostname: hostname.replace(/^\[(.*)\]$/, "$1"),
    port: Number(url.port || 443),
  };
  const source = listenQuic(place, { tls, session }, handshake, {
    scheme: "wt",
    protocols: [HTTP3],
    limits: {
      maxConcurrentBidirectionalStreams: MAX_STREAMS,
      maxConcurrentUnidirectionalStreams: MAX_STREAMS,
    },
    upgrade: (conn) => upgraded(conn, { path, hosts }),
  });
  const port = new URL(source.addr.replace("quic:", "http:")).port;
  return {
    addr: `wt://${hostname}:${port}${path}`,
    accept: () => source.accept(),
    close: () => source.close(),
  };
}

/**
 * Upgrades a connection to a WebTransport session with one stream.
 *
 * @throws {Error} if the request or the first byte is not right
 */
async function upgraded(
  conn: QuicConnLike,
  rules: RequestRules,
): Promise<Upgraded> {
  const { upgradeWebTransport } = (globalThis as unknown as {
    Deno: UpgradeRuntime;
  }).Deno;
  const session = await upgradeWebTransport(conn);
  session.closed.catch(() => {});
  const request = new Request(session.url);
  const { pathname, host } = new URL(request.url);
  const facts = {
    path: pathname,
    // The headers that the rules of WebSockets check.
    headers: new Headers({ host, upgrade: "websocket" }),
    remoteHost: conn.remoteAddr.hostname,
  };
  if (refusalOf(facts, rules) !== undefined) {
    throw new Error("the request is refused");
  }
  await session.ready;
  return {
    transport: await acceptStream(session),
    remoteAddr: hostPort("udp", conn.remoteAddr),
    request,
  };
}

/** The transport over the client's stream. */
async function acceptStream(session: WebTransportLike): Promise<Transport> {
  const streams = session.incomingBidirectionalStreams.getReader();
  const { value: stream } = await streams.read();
  streams.releaseLock();
  if (stream === undefined) throw new Error("the session has ended");
  const reader = stream.readable.getReader();
  const { value: bytes } = await reader.read();
  reader.releaseLock();
  if (bytes?.[0] !== OPENING) {
    throw new Error("the stream has another first byte");
  }
  return webTransportTransport(session, stream, bytes.subarray(1));
}
