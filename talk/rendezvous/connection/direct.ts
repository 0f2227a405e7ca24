/**
 * Direct connections between two peers: each uses a single socket, and both send,
 * so that the routers between them expect an answer.
 *
 * @module
 */
import {
  type AbortableTransport,
  type PeerWay,
  type SessionOptions,
  TlsError,
  type Transport,
} from "../../../mux/internal.ts";
import {
  BegunTransport,
  clientEndpoint,
  duplexTransport,
  hashOf,
  QUIC_CLOSE_CODE,
  QUIC_SESSION_PROTOCOL,
  QuicConnection,
  type QuicConnLike,
  type QuicEndpointLike,
  type QuicRuntime,
  quicRuntime,
  transportOptions,
} from "../../../mux/internal_deno.ts";
import { limitedSignal, orAborted, timeLimit } from "../../../time_limit.ts";
import { hasEffect } from "../../scheme_options.ts";
import { RendezvousError } from "../errors.ts";
import type { Identity } from "../identity.ts";
import { Messages, prove } from "./proof.ts";
import {
  localFrom,
  MAX_PLACES,
  MOVE_PROTOCOL,
  PEER_PROTOCOL,
  type Place,
  type Places,
  PUNCH_PROTOCOL,
} from "../wire.ts";

/**
 * When a dialing peer makes its attempts, in milliseconds after the first one: a
 * router may have dropped the first packet, and QUIC itself repeats it late.
 */
const ATTEMPTS = [0, 100, 250, 500, 900, 1_400] as const;
/** The same for the packets of a listening peer. */
const PUNCHES = [0, 75, 200, 450, 850, 1_350] as const;
/** Milliseconds after which QUIC gives up an attempt that only opens a way. */
const PUNCH_TIME = 500;

/** The part of Deno that lists the addresses of this machine. */
interface Interfaces {
  permissions?: {
    querySync(
      descriptor: { name: "sys"; kind: "networkInterfaces" },
    ): { readonly state: string };
  };
  networkInterfaces?(): { address: string; name: string }[];
}

/** The UDP socket of a peer; undefined where there is no QUIC. */
export function ownSocket(): QuicEndpointLike | undefined {
  try {
    return clientEndpoint(quicRuntime());
  } catch {
    // Without QUIC, the rendezvous relays.
    return undefined;
  }
}

/** The socket, if a rendezvous is dialed over it, too; else undefined. */
export function socketFor(
  rendezvous: string,
  socket: QuicEndpointLike | undefined,
): QuicEndpointLike | undefined {
  return hasEffect("dial", "endpoint", rendezvous) ? socket : undefined;
}

/** The addresses of a socket in this machine's own networks. */
export function localPlaces(socket: QuicEndpointLike | undefined): Place[] {
  const { Deno: deno } = globalThis as { Deno?: Interfaces };
  if (socket === undefined || deno?.networkInterfaces === undefined) return [];
  const allowed = deno.permissions?.querySync({
    name: "sys",
    kind: "networkInterfaces",
  }).state === "granted";
  if (!allowed) return [];
  const { port } = socket.addr;
  return localFrom(
    deno.networkInterfaces().map(({ address }) => ({
      hostname: address,
      port,
    })).filter(({ hostname }) => localFrom([{ hostname, port }]).length > 0),
  );
}

/** All places, without duplicates. */
function listOf({ seen, local }: Pick<Places, "seen" | "local">): Place[] {
  const all = seen === null ? local : [seen, ...local];
  const texts = new Set<string>();
  return all.filter(({ hostname, port }) => {
    const text = `${hostname} ${port}`;
    return !texts.has(text) && texts.add(text);
  }).slice(0, MAX_PLACES + 1);
}

/**
 * Sends packets to a peer that dials, so that the router of this side lets that
 * peer's packets in. They ask for a connection that nothing accepts: only the dialing
 * peer makes connections, so there are never two.
 */
export function punch(
  socket: QuicEndpointLike,
  places: Places,
  signal: AbortSignal,
): void {
  const runtime = quicRuntime();
  for (const place of listOf(places)) {
    repeat(PUNCHES, places.delay, signal, () => {
      connect(runtime, socket, place, {
        alpnProtocols: [PUNCH_PROTOCOL],
        maxIdleTimeout: PUNCH_TIME,
      }).then(closeConn, () => {});
    });
  }
}

/** Does something at several times after a delay, until a signal aborts. */
function repeat(
  times: readonly number[],
  delay: number,
  signal: AbortSignal,
  act: () => void,
): void {
  let cancel: (() => void) | undefined;
  let next = 0;
  const stop = () => cancel?.();
  const step = () => {
    if (signal.aborted) return;
    act();
    next++;
    if (next === times.length) {
      return signal.removeEventListener("abort", stop);
    }
    cancel = timeLimit(times[next]! - times[next - 1]!, step);
  };
  signal.addEventListener("abort", stop, { once: true });
  if (delay > 0) cancel = timeLimit(delay, step);
  else step();
}

/** Calls Deno, and reports what it throws as an error of the attempt. */
async function connect(
  runtime: QuicRuntime,
  endpoint: QuicEndpointLike,
  place: Place,
  options: Omit<
    Parameters<QuicRuntime["connectQuic"]>[0],
    "endpoint" | "hostname" | "port"
  >,
): Promise<QuicConnLike> {
  return await runtime.connectQuic({ ...options, ...place, endpoint });
}

function closeConn(conn: QuicConnLike): void {
  conn.close({ closeCode: QUIC_CLOSE_CODE, reason: "" });
}

/** What a dialing peer needs for a direct connection. */
export interface DirectOptions {
  /** The socket of this side. */
  readonly socket: QuicEndpointLike;
  /** Where the other peer may be. */
  readonly places: Places;
  /** The fingerprint of its certificate. */
  readonly fingerprint: string;
  /** The key of this side. */
  readonly identity: Identity;
  /** Milliseconds after which the attempt is given up, the proof included. */
  readonly timeout: number;
  /** The limits of the session. */
  readonly session: SessionOptions;
  /** Aborts the attempt. */
  readonly signal: AbortSignal;
}

/**
 * Dials a peer at all of its addresses, several times. The first connection on which
 * the peer has shown the certificate is used, and the others are closed.
 *
 * @throws {RendezvousError} `no-direct-way` if no connection is made in time, or its
 * proof fails
 * @throws {TlsError} `wrong-client-certificate` if the peer does not trust this one
 * @throws {unknown} the reason of the signal
 */
export async function dialDirectly(
  options: DirectOptions,
): Promise<PeerConnection> {
  return await dialWith(options, PEER_PROTOCOL, async (conn, { stream }) => {
    await stream.closeWrite();
    // Wait for the end of the other direction.
    await stream.read();
    return new PeerConnection(conn, options.session);
  });
}

/**
 * Dials a peer as {@linkcode dialDirectly} does, to continue a session.
 *
 * @returns the connection, as a byte stream
 * @throws {RendezvousError} `no-direct-way` if no connection is made in time, or its
 * proof fails
 * @throws {TlsError} `wrong-client-certificate` if the peer does not trust this one
 * @throws {unknown} the reason of the signal
 */
export async function dialToMove(
  options: DirectOptions,
): Promise<DirectStream> {
  return await dialWith(
    options,
    MOVE_PROTOCOL,
    (conn, { stream, rest }) => new DirectStream(conn, stream, rest),
  );
}

/** The first stream of a connection, after the proof. */
interface ProvedStream {
  readonly stream: AbortableTransport;
  /** What has arrived after the proof. */
  readonly rest: Uint8Array;
}

/** The error of an attempt after which the peers may meet on the relayed way. */
export function noDirectWay(
  why: string,
  options?: ErrorOptions,
): RendezvousError {
  return new RendezvousError("no-direct-way", why, options);
}

/** Makes a connection and the proof on it, all within the time of the attempt. */
async function dialWith<T>(
  options: DirectOptions,
  protocol: string,
  use: (conn: QuicConnLike, proved: ProvedStream) => T | Promise<T>,
): Promise<T> {
  const { socket, places, fingerprint, identity, timeout, session } = options;
  if (timeout === 0) {
    throw noDirectWay('option "rendezvous.directTimeout" is 0');
  }
  const all = listOf(places);
  if (all.length === 0) {
    throw noDirectWay("the rendezvous knows no address of the peer over UDP");
  }
  const runtime = quicRuntime();
  const won = Promise.withResolvers<QuicConnLike | undefined>();
  const over = new AbortController();
  const limited = limitedSignal({
    signal: options.signal,
    timeout,
    onTimeout: () => new DOMException("No direct way", "TimeoutError"),
  });
  let isOver = false;
  const giveUp = () => {
    // At once: a connection may come in the same turn, and nothing else closes it.
    isOver = true;
    won.resolve(undefined);
  };
  limited.signal.addEventListener("abort", giveUp, { once: true });
  if (limited.signal.aborted) giveUp();
  /** Why the latest attempt has failed. */
  let failure: ErrorOptions | undefined;
  try {
    for (const place of all) {
      repeat(ATTEMPTS, places.delay, over.signal, () => {
        connect(runtime, socket, place, {
          alpnProtocols: [protocol],
          serverCertificateHashes: [hashOf(fingerprint)],
          ...transportOptions(session),
        }).then((conn) => {
          if (isOver) return closeConn(conn);
          isOver = true;
          won.resolve(conn);
        }, (cause) => failure = { cause });
      });
    }
    const conn = await won.promise;
    if (conn === undefined) {
      options.signal.throwIfAborted();
      throw noDirectWay(
        `no direct connection to the peer was made within ${timeout} ms`,
        failure,
      );
    }
    try {
      limited.signal.throwIfAborted();
      const proving = proveOn(conn, identity, fingerprint, use);
      return await orAborted(proving, limited.signal);
    } catch (error) {
      // It also ends what still waits.
      closeConn(conn);
      options.signal.throwIfAborted();
      // Only the peer itself can refuse, and would do so on any other way. Whatever
      // else fails here must not keep the peers from meeting on the relayed way.
      if (error instanceof TlsError) throw error;
      throw limited.signal.aborted
        ? noDirectWay(
          `the proof on the direct connection to the peer was not complete within ${timeout} ms`,
        )
        : noDirectWay(
          `the proof on the direct connection to the peer failed: ${
            error instanceof Error ? error.message : error
          }`,
          { cause: error },
        );
    }
  } finally {
    isOver = true;
    over.abort();
    limited.signal.removeEventListener("abort", giveUp);
    limited[Symbol.dispose]();
  }
}

async function proveOn<T>(
  conn: QuicConnLike,
  identity: Identity,
  fingerprint: string,
  use: (conn: QuicConnLike, proved: ProvedStream) => T | Promise<T>,
): Promise<T> {
  const stream = duplexTransport(await conn.createBidirectionalStream());
  const messages = new Messages(stream);
  await prove(messages, identity, fingerprint);
  return await use(conn, { stream, rest: messages.rest });
}

/** The first stream of a connection, on which the dialing peer proves its key. */
export async function proofStream(
  conn: QuicConnLike,
): Promise<AbortableTransport> {
  const reader = conn.incomingBidirectionalStreams.getReader();
  try {
    const { value, done } = await reader.read();
    if (done) throw new Error("the connection has ended");
    return duplexTransport(value);
  } finally {
    reader.releaseLock();
  }
}

/** A direct connection of two peers, which continues a session on one stream. */
export class DirectStream extends BegunTransport {
  readonly #conn: QuicConnLike;

  /**
   * Takes a connection on which the proof has been made.
   *
   * @param conn the connection
   * @param stream its first stream
   * @param rest what has arrived after the proof
   */
  constructor(conn: QuicConnLike, stream: Transport, rest: Uint8Array) {
    super(stream, rest.length === 0 ? undefined : Promise.resolve(rest));
    this.#conn = conn;
  }

  override async close(): Promise<void> {
    try {
      await super.close();
    } finally {
      closeConn(this.#conn);
    }
  }

  override abort(): void {
    super.abort();
    closeConn(this.#conn);
  }
}

/** A direct connection of two peers, which becomes a session. */
export class PeerConnection extends QuicConnection {
  /** Which way it takes. */
  readonly way: PeerWay = "direct";
  /** Settles when the connection has ended. */
  readonly ended: Promise<unknown>;

  /** Takes a connection on which the proof has been made. */
  constructor(conn: QuicConnLike, options: SessionOptions) {
    super(withSessions(conn), options);
    this.ended = conn.closed.catch(() => {});
  }
}

/** A connection whose streams are those of a session from now on. */
function withSessions(conn: QuicConnLike): QuicConnLike {
  return {
    protocol: QUIC_SESSION_PROTOCOL,
    remoteAddr: conn.remoteAddr,
    closed: conn.closed,
    incomingBidirectionalStreams: conn.incomingBidirectionalStreams,
    incomingUnidirectionalStreams: conn.incomingUnidirectionalStreams,
    createBidirectionalStream: (options) =>
      conn.createBidirectionalStream(options),
    createUnidirectionalStream: (options) =>
      conn.createUnidirectionalStream(options),
    close: (info) => conn.close(info),
  };
}
