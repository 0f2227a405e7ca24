import { hostPort } from "../transport/address_forms.ts";
import { Handshakes, MAX_HANDSHAKES } from "../transport/handshakes.ts";
import { PendingAccepts } from "../transport/pending_accepts.ts";
import { readPem } from "../transport/node/tls/tls_options.ts";
import type {
  Accepted,
  HandshakeLimit,
  SchemeListenTerms,
  TransportListener,
} from "../transport/types.ts";
import { wrongKind } from "../../check_option.ts";
import { timeLimit } from "../../time_limit.ts";
import { TlsError } from "../errors.ts";
import { QuicConnection } from "./connection.ts";
import { quicRuntime, transportOptions } from "./endpoint.ts";
import { handshakeError } from "./errors.ts";
import { CLOSE_CODE, PROTOCOLS } from "./protocol.ts";
import type {
  QuicConnLike,
  QuicEndpointLike,
  QuicIncomingLike,
  QuicListenerLike,
  QuicTransportTerms,
} from "./types.ts";

/** What a listener does beyond accepting sessions. */
export interface QuicListenRules {
  /** The scheme of addresses, for errors. Default: `"quic"`. */
  scheme?: string;
  /** The protocols to agree to. */
  protocols: readonly string[];
  /** Limits of connections in place of those for sessions. Default: none. */
  limits?: QuicTransportTerms;
  /**
   * Upgrades a new connection within the time of its handshake. If this rejects, or
   * the time passes, the connection is closed.
   */
  upgrade(conn: QuicConnLike): Promise<Upgraded | null>;
}

/**
 * What a connection becomes. Without `remoteAddr`, it has the address of the
 * connection.
 */
export type Upgraded = Omit<Accepted, "remoteAddr"> & Partial<Accepted>;

/**
 * Listens for connections.
 *
 * @param place the host and the port; undefined to listen on `options.endpoint`
 * @param options the certificate, the socket, and the limits of sessions
 * @param handshake limits the time of a handshake
 * @param rules for connections that do not become sessions at once. Default: they do
 * @throws {QuicError} `unavailable` if there is no QUIC
 * @throws {TypeError} if an option is missing or not valid
 */
export function listenQuic(
  place: { hostname: string; port: number } | undefined,
  options: SchemeListenTerms = {},
  handshake?: HandshakeLimit,
  rules?: QuicListenRules,
): TransportListener {
  const runtime = quicRuntime();
  const { tls, session = {}, endpoint, plainStreams = false } = options;
  if (typeof plainStreams !== "boolean") {
    throw wrongKind('option "plainStreams"', plainStreams, "a boolean");
  }
  if (tls?.cert === undefined || tls.key === undefined) {
    throw new TypeError('the options "tls.cert" and "tls.key" are missing');
  }
  if ((tls.clientCert ?? "none") !== "none") {
    throw new TypeError(
      `Cannot use option "tls.clientCert" with ${
        rules?.scheme ?? "quic"
      }: Deno cannot ask clients for certificates`,
    );
  }
  const terms = {
    ...transportOptions(session, plainStreams),
    ...rules?.limits,
    cert: readPem(tls.cert, "cert"),
    key: readPem(tls.key, "key"),
    alpnProtocols: [
      ...rules?.protocols ?? PROTOCOLS.slice(0, plainStreams ? 2 : 1),
    ],
  };
  const own = endpoint === undefined
    ? new runtime.QuicEndpoint(place)
    : undefined;
  const socket = endpoint ?? own!;
  try {
    return new QuicTransportListener(socket, socket.listen(terms), {
      isOwner: own !== undefined,
      session,
      handshake,
      upgrade: rules?.upgrade,
    });
  } catch (error) {
    own?.close();
    throw optionError(error);
  }
}

/** What else a listener is made of. */
interface ListenerTerms {
  /** Whether it closes its socket when its last connection has ended. */
  isOwner: boolean;
  session: SchemeListenTerms["session"];
  handshake: HandshakeLimit | undefined;
  upgrade: QuicListenRules["upgrade"] | undefined;
}

class QuicTransportListener implements TransportListener {
  readonly addr: string;
  readonly #endpoint: QuicEndpointLike;
  readonly #listener: QuicListenerLike;
  readonly #terms: ListenerTerms;
  readonly #handshakes = new Handshakes();
  readonly #pending = new PendingAccepts();
  /** Handshakes of QUIC, which Deno cannot abort. */
  #accepting = 0;
  /** Connections that have not ended. */
  #open = 0;
  #closed = false;

  constructor(
    endpoint: QuicEndpointLike,
    listener: QuicListenerLike,
    terms: ListenerTerms,
  ) {
    this.addr = hostPort("quic", endpoint.addr);
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
        if (this.#closed || this.#accepting >= MAX_HANDSHAKES) {
          incoming.refuse();
        } else void this.#shake(incoming);
      }
    } catch (error) {
      // Its end, or that of a socket that the program has closed.
      if ((error as Error).name === "BadResource") this.#pending.end();
      else this.#pending.push({ error });
    }
  }

  /** Makes a handshake, and passes the connection on. */
  async #shake(incoming: QuicIncomingLike): Promise<void> {
    const { handshake: limit } = this.#terms;
    let conn: QuicConnLike | undefined;
    const handshake = this.#handshakes.begin(() => close(conn));
    const cancel = limit && timeLimit(limit.timeout, () => {
      handshake.giveUp();
      limit.onTimeout("");
    });
    try {
      conn = await this.#accept(incoming);
      const accepted = this.#handshakes.has(handshake)
        ? await this.#upgrade(conn)
        : undefined;
      if (accepted === null) return;
      if (accepted !== undefined && handshake.finish()) {
        const remoteAddr = hostPort("quic", conn.remoteAddr);
        this.#pending.push({ accepted: { remoteAddr, ...accepted } });
      } else close(conn);
    } catch (error) {
      close(conn);
      const failure = handshakeError(error, false);
      // A client that goes away during its handshake is no error of this listener.
      if (handshake.finish() && failure instanceof TlsError) {
        limit?.onFailure?.(failure, "");
      }
    } finally {
      cancel?.();
      handshake.finish();
      this.#closeIfUnused();
    }
  }

  async #accept(incoming: QuicIncomingLike): Promise<QuicConnLike> {
    this.#accepting++;
    try {
      const conn = await incoming.accept();
      this.#watch(conn);
      return conn;
    } finally {
      this.#accepting--;
    }
  }

  async #upgrade(conn: QuicConnLike): Promise<Upgraded | null> {
    const { upgrade, session } = this.#terms;
    const upgraded = upgrade === undefined
      ? { transport: new QuicConnection(conn, session) }
      : await upgrade(conn);
    if (upgraded === null) return null;
    const tls = { alpnProtocol: conn.protocol ?? null, version: "TLSv1.3" };
    return { tls, ...upgraded };
  }

  #watch(conn: QuicConnLike): void {
    this.#open++;
    const ended = () => {
      this.#open--;
      this.#closeIfUnused();
    };
    conn.closed.then(ended, ended);
  }

  /** Closing the socket ends its connections, so it has to wait for them. */
  #closeIfUnused(): void {
    const { isOwner } = this.#terms;
    if (!isOwner || !this.#closed) return;
    if (this.#open === 0 && this.#accepting === 0) this.#endpoint.close();
  }
}

function close(conn: QuicConnLike | undefined): void {
  conn?.close({ closeCode: CLOSE_CODE, reason: "" });
}

function optionError(cause: unknown): unknown {
  const { message } = cause as Error;
  if (/KeyMismatch/.test(message)) {
    return new TypeError('option "tls.key" does not belong to "tls.cert"', {
      cause,
    });
  }
  return cause;
}
