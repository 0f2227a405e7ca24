import type { SchemeOptions, Transport } from "../../mux/internal.ts";
import { pinsOf, type QuicEndpointLike } from "../../mux/internal_deno.ts";
import { dial } from "../dial/dial.ts";
import { wait } from "../reconnect/backoff.ts";
import type { Peer } from "../peer.ts";
import {
  dialDirectly,
  dialToMove,
  type DirectOptions,
  localPlaces,
  noDirectWay,
  ownSocket,
  socketFor,
} from "./connection/direct.ts";
import { meetingError, RendezvousError, throwOfRendezvous } from "./errors.ts";
import { type Identity, loadIdentity } from "./identity.ts";
import {
  beginMoving,
  type MovingOptions,
  PAUSES,
} from "./connection/moving.ts";
import { parsePeerAddress, type PeerAddress } from "./peer_address.ts";
import {
  channelTransport,
  dialOver,
  type RelayedTransport,
} from "./connection/relayed.ts";
import { placesFrom, SELECTORS } from "./wire.ts";

/** The default of `PeerMeetingOptions.directTimeout`, in milliseconds. */
export const DEFAULT_DIRECT_TIMEOUT = 2_000;

/** What an attempt to dial a peer needs. */
interface Meeting {
  readonly name: string;
  readonly fingerprint: string;
  readonly identity: Identity;
  readonly options: SchemeOptions;
  readonly signal: AbortSignal;
  /** The session with the rendezvous. */
  readonly rendezvous: Peer;
  /** The socket of this side, if there can be one. */
  readonly socket: QuicEndpointLike | undefined;
}

/**
 * Connects to a peer: directly if a way opens in time, and through the rendezvous
 * otherwise.
 *
 * @param rest the address, after `peer:`
 * @param signal aborts the attempt
 * @param options the key of this side, and the fingerprint of the other
 * @param pauses before the attempts to move a relayed session to a direct way
 * @throws {SyntaxError} if the address has another form
 * @throws {TypeError} if an option is missing or not valid
 * @throws {RendezvousError} if the peers do not meet
 * @throws {TlsError} if the other peer is not who it should be, or does not trust
 * this one
 */
export async function dialPeer(
  rest: string,
  signal: AbortSignal,
  options: SchemeOptions = {},
  pauses: readonly number[] = PAUSES,
): Promise<Transport> {
  const address = parsePeerAddress(rest);
  const { tls, endpoint, rendezvous: how = {} } = options;
  const fingerprint = fingerprintFrom(address, tls?.pin);
  const identity = loadIdentity(tls);
  const { directTimeout = DEFAULT_DIRECT_TIMEOUT } = how;
  const own = endpoint === undefined ? ownSocket() : undefined;
  const socket = endpoint ?? own;
  let session: Peer | undefined;
  // Everything of this attempt; a connection that is used outlives it.
  const release = () => {
    void session?.close().finally(() => own?.close());
    if (session === undefined) own?.close();
  };
  try {
    session = await dial(address.rendezvous, {
      tls: how.tls,
      headers: how.headers,
      endpoint: socketFor(address.rendezvous, socket),
      signal,
      timeout: Infinity,
      onError() {},
    }).catch(throwOfRendezvous);
    const meeting: Meeting = {
      name: address.name,
      fingerprint,
      identity,
      options,
      signal,
      rendezvous: session,
      socket,
    };
    const direct = await meetDirectly(
      meeting,
      directTimeout,
      dialDirectly,
    ).catch((error) => mayRelay(error, how.relay));
    if (direct !== undefined) {
      const met = session;
      void direct.ended.then(() => own?.close());
      // Its frames are of no use to this connection, which has its own way now.
      void met.close();
      return direct;
    }
    const relayed = await meetThrough(meeting);
    const met = session;
    // The session closes the connection if it does not begin.
    return await untilBegun(relayed, signal, {
      pauses: socket === undefined || directTimeout === 0 ? [] : pauses,
      keepAlive: options.session?.keepAlive,
      wait,
      connect: (signal) =>
        meetDirectly({ ...meeting, signal }, directTimeout, dialToMove),
      onMoved: () => void met.close(),
      onClosed: release,
    });
  } catch (error) {
    release();
    if (signal.aborted) throw signal.reason;
    throw meetingError(error);
  }
}

/** Begins a session, or closes its connection. */
async function untilBegun(
  relayed: RelayedTransport,
  signal: AbortSignal,
  options: MovingOptions,
): Promise<Transport> {
  const onAbort = () => relayed.abort();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    signal.throwIfAborted();
    return await beginMoving(relayed, options);
  } catch (error) {
    relayed.abort();
    await relayed.close();
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/**
 * Returns if the peers may be relayed after a direct connection has failed.
 *
 * @param error why it has failed
 * @throws {unknown} that, if they may not
 */
function mayRelay(error: unknown, relay: boolean | undefined): undefined {
  const isNoWay = error instanceof RendezvousError &&
    error.code === "no-direct-way";
  if (!isNoWay) throw error;
  if (relay !== false) return;
  const { message, cause } = error;
  throw noDirectWay(
    `${message}, and option "rendezvous.relay" is false`,
    { cause },
  );
}

async function meetDirectly<T>(
  { name, fingerprint, identity, options, signal, rendezvous, socket }: Meeting,
  timeout: number,
  dial: (options: DirectOptions) => Promise<T>,
): Promise<T> {
  const answer = await rendezvous.call(
    SELECTORS.meet,
    [{ name, fingerprint, local: localPlaces(socket) }],
    { signal },
  );
  if (socket === undefined) {
    throw noDirectWay("this runtime has no QUIC");
  }
  return await dial({
    socket,
    places: placesFrom(answer),
    fingerprint,
    identity,
    timeout,
    session: options.session ?? {},
    signal,
  });
}

async function meetThrough(
  { name, fingerprint, identity, signal, rendezvous }: Meeting,
): Promise<RelayedTransport> {
  const response = await rendezvous.request(
    SELECTORS.relay,
    [{ name, fingerprint, local: [] }],
    { signal },
  );
  if (response.channel === undefined) {
    throw new RendezvousError(
      "not-reached",
      "the rendezvous did not relay the connection",
    );
  }
  const stream = channelTransport(response.channel);
  return await dialOver(stream, fingerprint, identity, signal);
}

/** The fingerprint of the only certificate that the other peer may have. */
function fingerprintFrom(
  { fingerprint }: PeerAddress,
  pin: string | readonly string[] | undefined,
): string {
  if (fingerprint !== undefined) return fingerprint;
  const [first, ...others] = pinsOf(pin) ?? [];
  if (first === undefined) {
    throw new TypeError(
      'the fingerprint of the peer is missing: add it after "#" to the address, or pass option "tls.pin"',
    );
  }
  if (others.length > 0) {
    throw new TypeError(
      'Cannot use several fingerprints in option "tls.pin" with peer: a name belongs to one peer',
    );
  }
  return first;
}
