import { quicRuntime, transportOptions } from "../../quic/endpoint.ts";
import { handshakeError } from "../../quic/errors.ts";
import type {
  QuicConnLike,
  QuicEndpointLike,
  QuicIncomingLike,
  QuicListenerLike,
} from "../../quic/types.ts";
import { timeLimit } from "../../../time_limit.ts";
import { TlsError } from "../../errors.ts";
import type { Transport } from "../../types.ts";
import { hostPort } from "../address_forms.ts";
import { Handshakes } from "../handshakes.ts";
import { readPem } from "../node/tls_options.ts";
import { PendingAccepts } from "../pending_accepts.ts";
import type {
  Accepted,
  HandshakeLimit,
  SchemeListenOptions,
  SchemeListenTerms,
  TransportListener,
} from "../types.ts";
import { refusalOf } from "../websocket/request_rules.ts";
import { OPENING, webTransportTransport } from "./transport.ts";
import type { UpgradeRuntime, WebTransportLike } from "./types.ts";

/** What ALPN calls HTTP/3, on which WebTransport is. */
const HTTP3 = "h3";
/**
 * Streams that a client may open in each direction: those of HTTP/3 and of its
 * extensions, and one for this transport.
 */
const MAX_STREAMS = 16;

/**
 * Listens for WebTransport sessions at one path, in Deno.
 *
 * @param url the address; port 0 chooses a free port
 * @param options the certificate, which hosts are served, and limits of sessions
 * @param handshake limits the time of a handshake
 * @throws {QuicError} `unavailable` if there is no QUIC
 * @throws {TypeError} if an option is missing or not valid
 */
export function listenWebTransport(
  url: URL,
  options: SchemeListenTerms,
  handshake?: HandshakeLimit,
): TransportListener {
  const { tls, session, hosts, origins } = options;
  const runtime = quicRuntime();
  if (tls?.cert === undefined || tls.key === undefined) {
    throw new TypeError('the options "tls.cert" and "tls.key" are missing');
  }
  if ((tls.clientCert ?? "none") !== "none") {
    throw new TypeError(
      'Cannot use option "tls.clientCert" with wt: Deno asks no client for a certificate',
    );
  }
  if (origins !== undefined) {
    throw new TypeError(
      'Cannot use option "origins" with wt: Deno does not say which page connects',
    );
  }
  const endpoint = new runtime.QuicEndpoint({
    hostname: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: Number(url.port || 443),
  });
  try {
    const listener = endpoint.listen({
      ...transportOptions(session),
      maxConcurrentBidirectionalStreams: MAX_STREAMS,
      maxConcurrentUnidirectionalStreams: MAX_STREAMS,
      alpnProtocols: [HTTP3],
      cert: readPem(tls.cert, "cert"),
      key: readPem(tls.key, "key"),
    });
    return new WebTransportListener(endpoint, listener, {
      url,
      hosts,
      handshake,
    });
  } catch (error) {
    endpoint.close();
    throw error;
  }
}

/** What else a listener is made of. */
interface ListenerTerms {
  url: URL;
  hosts: SchemeListenOptions["hosts"];
  handshake: HandshakeLimit | undefined;
}

class WebTransportListener implements TransportListener {
  readonly addr: string;
  readonly #endpoint: QuicEndpointLike;
  readonly #listener: QuicListenerLike;
  readonly #terms: ListenerTerms;
  readonly #handshakes = new Handshakes();
  readonly #pending = new PendingAccepts();
  /** Connections that have not ended. */
  #open = 0;
  #closed = false;

  constructor(
    endpoint: QuicEndpointLike,
    listener: QuicListenerLike,
    terms: ListenerTerms,
  ) {
    const { hostname, pathname } = terms.url;
    this.addr = `wt://${hostname}:${endpoint.addr.port}${pathname}`;
    this.#endpoint = endpoint;
    this.#listener = listener;
    this.#terms = terms;
    void this.#run();
  }

  accept(): Promise<Accepted | null> {
    return this.#closed ? Promise.resolve(null) : this.#pending.next();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#listener.stop();
    this.#handshakes.giveUpAll();
    this.#pending.end();
    this.#pending.discard();
    this.#closeIfUnused();
  }

  async #run(): Promise<void> {
    try {
      while (!this.#closed) {
        const incoming = await this.#listener.incoming();
        if (this.#closed) incoming.refuse();
        else void this.#shake(incoming);
      }
    } catch (error) {
      if ((error as Error).name === "BadResource") this.#pending.end();
      else this.#pending.push({ error });
    }
  }

  /** Makes the handshakes of QUIC, HTTP/3 and ours, within their time. */
  async #shake(incoming: QuicIncomingLike): Promise<void> {
    const { handshake: limit } = this.#terms;
    let conn: QuicConnLike | undefined;
    const handshake = this.#handshakes.begin(() => close(conn));
    const cancel = limit && timeLimit(limit.timeout, () => {
      handshake.giveUp();
      limit.onTimeout("");
    });
    this.#open++;
    try {
      conn = await incoming.accept();
      // Deno cannot give up an attempt before.
      const accepted = this.#handshakes.has(handshake)
        ? await this.#welcome(conn)
        : undefined;
      if (accepted !== undefined && handshake.finish()) {
        this.#pending.push({ accepted });
      } else close(conn);
    } catch (error) {
      close(conn);
      const failure = handshakeError(error, false);
      if (handshake.finish() && failure instanceof TlsError) {
        limit?.onFailure?.(failure, "");
      }
    } finally {
      cancel?.();
      handshake.finish();
    }
    await conn?.closed.catch(() => {});
    this.#open--;
    this.#closeIfUnused();
  }

  /** The connection of a client, if its request and its first byte are right. */
  async #welcome(conn: QuicConnLike): Promise<Accepted | undefined> {
    const { upgradeWebTransport } = (globalThis as unknown as {
      Deno: UpgradeRuntime;
    }).Deno;
    const session = await upgradeWebTransport(conn);
    session.closed.catch(() => {});
    const request = new Request(session.url);
    const { pathname, host } = new URL(request.url);
    const facts = {
      path: pathname,
      // What the rules of WebSockets look at.
      headers: new Headers({ host, upgrade: "websocket" }),
      remoteHost: conn.remoteAddr.hostname,
    };
    const rules = { path: this.#terms.url.pathname, hosts: this.#terms.hosts };
    if (refusalOf(facts, rules) !== undefined) return undefined;
    await session.ready;
    const transport = await acceptStream(session);
    return transport && {
      transport,
      remoteAddr: hostPort("udp", conn.remoteAddr),
      request,
      tls: { alpnProtocol: conn.protocol ?? null, version: "TLSv1.3" },
    };
  }

  /** To close the socket ends its connections, so that it waits for them. */
  #closeIfUnused(): void {
    if (this.#closed && this.#open === 0) this.#endpoint.close();
  }
}

/** The transport over the client's stream; undefined if that begins otherwise. */
async function acceptStream(
  session: WebTransportLike,
): Promise<Transport | undefined> {
  const streams = session.incomingBidirectionalStreams.getReader();
  const { value: stream } = await streams.read();
  streams.releaseLock();
  if (stream === undefined) return undefined;
  const reader = stream.readable.getReader();
  const { value: bytes } = await reader.read();
  reader.releaseLock();
  if (bytes?.[0] !== OPENING) return undefined;
  return webTransportTransport(session, stream, bytes.subarray(1));
}

function close(conn: QuicConnLike | undefined): void {
  conn?.close({ closeCode: 0, reason: "" });
}
