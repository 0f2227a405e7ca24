import {
  loadResume,
  type PeerMeetingOptions,
  type PeerTransport,
  type QuicEndpointLike,
  resolveOptions,
  type ResumeLimits,
  type ResumeState,
  type Session,
  type SessionOptions,
  sessionOver,
  type TlsDialOptions,
  type Transport,
} from "../../mux/internal.ts";
import {
  checkNotAborted,
  checkObject,
  checkTime,
  rejectedBy,
} from "../../check_option.ts";
import { redactedAddress } from "../../printable_text.ts";
import { limitedSignal, loadedInTime, orAborted } from "../../time_limit.ts";
import { addressError, loaded, resolveAddress } from "../address.ts";
import { TalkError } from "../errors.ts";
import {
  checkObserver,
  type CodecSource,
  observed,
  type ObserverOption,
} from "../observe/option.ts";
import type { Carried } from "../../codec/internal.ts";
import { checkPeerOptions, Peer, type PeerOptions } from "../peer.ts";
import { dialed, loadedServer, type LoadedServerOption } from "../peer_keys.ts";
import { loadServer } from "../../rpc/internal.ts";
import type { Connected } from "./race.ts";
import { checkSchemeOptions } from "../scheme_options.ts";
import type {
  BackoffOptions,
  ReconnectingPeer,
  ReconnectOptions,
} from "../reconnect/types.ts";

/** The default of {@linkcode ConnectOptions.timeout}, in milliseconds. */
export const DEFAULT_CONNECT_TIMEOUT = 30_000;

/**
 * A value, or a function that returns it and is called before each attempt to
 * connect: for addresses that change and credentials that expire. If it throws, the
 * attempt fails with that error.
 */
export type Provided<T> = T | (() => T | Promise<T>);

/**
 * An address, or several of one service in order of preference: the first one to
 * which a connection can be made is used.
 */
export type DialAddress = string | readonly string[];

/** The default of {@linkcode ConnectOptions.headStart}, in milliseconds. */
export const DEFAULT_HEAD_START = 250;

/** The defaults of {@linkcode ReconnectOptions}. */
export const DEFAULT_RECONNECT_OPTIONS: Readonly<
  Record<
    keyof BackoffOptions | "maxAttempts" | "maxWaitingCalls",
    number
  >
> = Object.freeze({
  minDelay: 100,
  maxDelay: 30_000,
  jitter: 0.5,
  maxAttempts: Infinity,
  maxWaitingCalls: 1_024,
});

/** Options for connecting. */
export interface ConnectOptions extends ObserverOption {
  /**
   * Headers of the HTTP request for `ws:` and `wss:`, or a function that returns
   * them and is called before each attempt. Browsers cannot send any. Default: an
   * `Origin` with the server's own origin, which qtalk-go's server requires.
   */
  headers?:
    | Provided<Headers | Iterable<string[]> | Record<string, string>>
    | undefined;
  /**
   * WebSocket subprotocols to offer, in order of preference, or a function that
   * returns them and is called before each attempt. If the server accepts none of
   * them, the connection is made anyway, except in browsers, where it fails.
   * Default: none.
   */
  protocols?: Provided<string | readonly string[]> | undefined;
  /**
   * Which servers a client of `tls:`, `wss:`, `quic:` and `wt:` trusts, and its own
   * certificate (for `tls:`, `wss:` and `peer:`), or a function that returns these
   * options and is called before each attempt. Default: the authorities that the
   * runtime trusts, and no certificate.
   */
  tls?: Provided<TlsDialOptions> | undefined;
  /**
   * The UDP socket for `quic:` and `peer:`: a `Deno.QuicEndpoint`, which may also
   * listen. The program owns it and closes it. Default: a new socket for this
   * connection.
   */
  endpoint?: QuicEndpointLike | undefined;
  /**
   * How `peer:` meets the other peer. `tls.pin` or the address has the fingerprint
   * of that peer's certificate; `tls.cert` and `tls.key` are those of this peer.
   * Default: `{}`.
   */
  rendezvous?: PeerMeetingOptions | undefined;
  /**
   * Aborts connecting: `dial()` rejects with the signal's reason. Default: no
   * signal.
   */
  signal?: AbortSignal | undefined;
  /**
   * How long connecting may take, in milliseconds; `dial()` then rejects with a
   * `TalkError` whose code is `timeout`. A number of at least 0; `Infinity` is
   * no limit. Default: 30,000.
   */
  timeout?: number | undefined;
  /**
   * Milliseconds that each of several addresses has before the next one is tried as
   * well. A number of at least 0; above 2^31 - 1, the next one is tried when the
   * one before has failed. Default: 250.
   */
  headStart?: number | undefined;
  /** Limits of the session. Default: those of `qmux()`. */
  session?: SessionOptions | undefined;
  /**
   * Lets the session survive its connection: when that is lost, another one is
   * made, and calls, streams and bytes go on as if nothing had happened. `{}` for
   * the defaults. The listener needs the option, too: connecting to one without it
   * fails. Default: the session ends with its connection.
   */
  resume?: ResumeOptions | undefined;
}

/** Options of {@linkcode dial} for a session that survives its connection. */
export interface ResumeOptions extends ResumeLimits {
  /**
   * The addresses to try, one after the other, to continue the session, or a
   * function that returns them and is called before each attempt. They may have
   * different schemes, and must lead to the same listener or to one with the same
   * `resumeStore()`. Default: the address that was dialed.
   */
  addresses?: Provided<string | readonly string[]> | undefined;
  /**
   * Called with every new state: `connected`, `detached` when the connection is
   * lost, `connected` when the session continues, and finally `closed`. Default:
   * none.
   */
  onState?: ((state: ResumeState) => void) | undefined;
}

/** Options of {@linkcode dial}. */
export interface DialOptions<C extends Carried = Carried>
  extends PeerOptions<C>, ConnectOptions {
  /** Not set: see {@linkcode ReconnectingDialOptions}. */
  reconnect?: undefined;
}

/** Options of {@linkcode dial} for a peer that reconnects. */
export interface ReconnectingDialOptions<C extends Carried = Carried>
  extends PeerOptions<C>, ConnectOptions {
  /**
   * How to reconnect; `{}` for the defaults. `timeout` then limits each attempt to
   * connect, including the functions that return its address and options, and
   * `signal` ends only the wait for the first connection.
   */
  reconnect: ReconnectOptions<C>;
}

/**
 * Connects to an address, and connects again with exponential backoff whenever the
 * connection is lost. It resolves when the first connection is made. It stops
 * trying when `signal` aborts, when `maxAttempts` is reached, or when an attempt
 * fails with a permanent error (`TalkError.permanent`): a permission is missing, a
 * certificate is not valid, the server answers 401, 403 or 404, the address is
 * malformed or not supported by this runtime, or an option has no effect there. If
 * the server at the address is not a peer but, for example, an HTTP server, `closed`
 * and the calls reject with the `MuxError` of the first connection, whose code is
 * `protocol-error`.
 *
 * @example A peer that connects again
 * ```ts
 * import { dial, listen } from "@qtalk/qtalk";
 * import { assertEquals } from "@std/assert";
 *
 * await using listener = await listen("tcp://127.0.0.1:0", {
 *   handler: (call, respond) => respond.return(call.selector),
 * });
 * const states: string[] = [];
 * await using peer = await dial(listener.addr, {
 *   reconnect: {
 *     // Restores what the server lost with the previous connection.
 *     async onConnect(peer) {
 *       await peer.call("join", ["Ann"]);
 *     },
 *     onState: ({ name }) => states.push(name),
 *   },
 * });
 * assertEquals(await peer.call("any.thing"), "/any/thing");
 * assertEquals(states, ["connecting", "connected"]);
 * ```
 *
 * @param address the address to connect to, or several, or a function that returns
 * them and is called before each attempt
 * @param options codec, handler, limits, and how to reconnect
 * @throws {TalkError} `bad-address`, `unknown-scheme`, or `dial-failed` if that is
 * permanent; the error of the last attempt if `maxAttempts` have failed
 * @throws {RangeError} if an option is out of range
 * @throws {TypeError} if `handler`, `codec`, `codecs`, `observer`, `session.memoryPool`
 * or `signal` is of the wrong type
 * @throws {unknown} `signal.reason`
 */
export function dial<C extends Carried = Carried>(
  address: Provided<DialAddress>,
  options: ReconnectingDialOptions<C>,
): Promise<ReconnectingPeer<C>>;
/**
 * Connects to an address and makes a peer of the connection.
 *
 * | address | permissions |
 * | --- | --- |
 * | `tcp://host:port` | `--allow-net=host:port` |
 * | `tls://host:port` | `--allow-net=host:port` |
 * | `unix:/path` | `--allow-net=unix:/path --allow-read=/path --allow-write=/path` |
 * | `ws://host:port/path`, `wss:` | `--allow-net=host:port` |
 * | `quic://host:port`, with `--unstable-net` | `--allow-net=host:port` |
 * | `wt://host:port/path` | `--allow-net=host:port` |
 * | `stdio:`, stdin and stdout of this process | none |
 *
 * `peer:NAME@ADDRESS` is a peer that is registered at the rendezvous at ADDRESS. It
 * needs `--allow-net`, for all addresses; a direct connection also needs Deno with
 * `--unstable-net`.
 *
 * A list of addresses is for one service that can be reached in several ways, in
 * order of preference. Each address has a head start of 250 ms (option `headStart`)
 * before the next one is tried as well. The first connection is used, and
 * `Peer.addr` is its address. (`dialPool()` is for several servers, which share the
 * calls.)
 *
 * @example
 * ```ts
 * import { dial, listen } from "@qtalk/qtalk";
 * import { assertEquals } from "@std/assert";
 *
 * await using listener = await listen("tcp://127.0.0.1:0", {
 *   handler: (call, respond) => respond.return(call.selector),
 * });
 * await using peer = await dial(listener.addr);
 * assertEquals(await peer.call("any.thing"), "/any/thing");
 * ```
 *
 * @param address the address to connect to, or several of one service, or a function
 * that returns them
 * @param options codec, handler, limits, and how long to wait
 * @throws {TalkError} `bad-address`, `unknown-scheme`, `dial-failed`, `timeout`
 * @throws {RangeError} if an option is out of range
 * @throws {TypeError} if `handler`, `codec`, `codecs`, `observer`, `session.memoryPool`
 * or `signal` is of the wrong type
 * @throws {unknown} `signal.reason`
 */
export function dial<C extends Carried = Carried>(
  address: Provided<DialAddress>,
  options?: DialOptions<C>,
): Promise<Peer<C>>;
export function dial<C extends Carried>(
  address: Provided<DialAddress>,
  options: DialOptions<C> | ReconnectingDialOptions<C> = {},
): Promise<Peer<C> | ReconnectingPeer<C>> {
  return options?.reconnect === undefined
    ? dialOnce(address, options)
    : dialReconnecting(address, options);
}

/** Makes one connection, and a peer of it. */
export async function dialOnce<C extends Carried>(
  address: Provided<DialAddress>,
  options: DialOptions<C> & FallbackOption & LoadedServerOption,
): Promise<Peer<C>> {
  checkPeerOptions(options);
  let server = options[loadedServer];
  if (options.handler !== undefined && server !== null) {
    // While connecting, so that the first call does not wait for it. If it fails,
    // the peer tries again.
    loadServer().then((loaded) => server = loaded, () => {});
  }
  const { transport, address: addr } = await connectTo(address, options);
  const session = sessionOver(transport, options.session);
  try {
    const all: PeerOptions<C> & LoadedServerOption = {
      ...options,
      [loadedServer]: server,
    };
    const peer = new Peer(session, all);
    peer[dialed](addr, transport);
    return peer;
  } catch (error) {
    await session.close();
    throw error;
  }
}

/** Loads what reconnects, on first use: most programs do not. */
async function dialReconnecting<C extends Carried>(
  address: Provided<DialAddress>,
  options: ReconnectingDialOptions<C>,
): Promise<ReconnectingPeer<C>> {
  const { signal } = options;
  checkNotAborted(signal);
  const { reconnecting } = await ask(
    () => loaded("dial", loadedInTime(import("../reconnect/reconnecting.ts"))),
    signal,
  );
  return await reconnecting(address, options);
}

/**
 * Like {@linkcode dial}, but without RPC: it resolves to a session.
 *
 * @param address the address to connect to, or several of one service, or a function
 * that returns them
 * @param options limits, and how long to wait
 * @throws {TalkError} `bad-address`, `unknown-scheme`, `dial-failed`, `timeout`
 * @throws {RangeError} if an option is out of range
 * @throws {TypeError} if `observer`, `session.memoryPool` or `signal` is of the wrong
 * type
 * @throws {unknown} `signal.reason`
 */
export async function dialSession(
  address: Provided<DialAddress>,
  options: ConnectOptions = {},
): Promise<Session> {
  checkObject("options", options);
  checkObserver(options);
  return sessionOver(await connect(address, options), options.session);
}

/**
 * Checks the limits of connecting and of the session, so that nothing is dialed, once
 * or again and again, with options that no attempt can use.
 *
 * @throws {RangeError} if one is out of range
 * @throws {TypeError} if `session.memoryPool` is of the wrong type
 */
export function checkConnectOptions(
  { timeout, headStart, rendezvous, session }: ConnectOptions,
): void {
  checkTime("timeout", timeout);
  checkTime("headStart", headStart);
  checkTime("rendezvous.directTimeout", rendezvous?.directTimeout);
  resolveOptions(session);
}

/** What reports to the state of a peer that reconnects. */
interface FallbackOption {
  /** Called when a connection of another kind is tried because of `error`. */
  onFallback?: (error: unknown) => void;
}

/** Connects, and leaves it to the caller what the connection becomes. */
export async function connect(
  place: Provided<DialAddress>,
  options: ConnectOptions & CodecSource & FallbackOption,
): Promise<Transport> {
  return (await connectTo(place, options)).transport;
}

/** As {@linkcode connect}, and says to which address. */
async function connectTo(
  place: Provided<DialAddress>,
  options: ConnectOptions & CodecSource & FallbackOption,
): Promise<Connected> {
  checkNotAborted(options.signal);
  // Checked first: a connection that was made would have to be closed.
  checkConnectOptions(options);
  const { transport, address } = await connectOnce(place, options);
  // Redacting takes a fiftieth of the start of a program: only for an observer.
  const shown = options.observer === undefined
    ? transport
    : observed(transport, redactedAddress(address), options);
  const { way } = transport as PeerTransport;
  return {
    transport: way === undefined || shown === transport
      ? shown
      : Object.defineProperty(shown, "way", {
        get: () => (transport as PeerTransport).way,
      }),
    address,
  };
}

/**
 * Loads what makes sessions that survive their connection, and begins one. Loaded on
 * first use: most sessions end with their connection.
 */
async function beginResuming(
  place: Provided<DialAddress>,
  resume: ResumeOptions,
  options: ConnectOptions & FallbackOption,
  signal: AbortSignal,
): Promise<Begin> {
  const parts = () => Promise.all([import("./dial_resuming.ts"), loadResume()]);
  const [{ resuming }, module] = await ask(
    () => loaded("dial", parts()),
    signal,
  );
  return resuming(module, place, resume, options);
}

/** What a connection becomes, within the time for connecting. */
export type Begin = (
  transport: Transport,
  signal: AbortSignal,
) => Promise<Transport>;

/**
 * Makes one connection: of several addresses, to the first that answers.
 *
 * @param isContinued whether it continues a session, whose options were checked for
 * all its addresses. Default: it does not
 */
export async function connectOnce(
  place: Provided<DialAddress>,
  options: ConnectOptions & FallbackOption,
  isContinued = false,
): Promise<Connected> {
  const {
    signal,
    timeout = DEFAULT_CONNECT_TIMEOUT,
    headStart = DEFAULT_HEAD_START,
    resume,
  } = options;
  let address: DialAddress | undefined;
  // Without `using`, whose syntax not every browser knows.
  const limited = limitedSignal({
    signal,
    timeout,
    onTimeout: () =>
      new TalkError(
        "timeout",
        `Cannot dial${
          [address ?? []].flat().map((one) =>
            ` "${redactedAddress(String(one))}"`
          )
        }: no connection within ${timeout} ms (option "timeout")`,
      ),
  });
  const check = (one: string) => {
    if (isContinued) return;
    const { addresses = [] } = resume ?? {};
    // A session may continue at an address that is not known yet.
    if (typeof addresses === "function") return;
    checkSchemeOptions("dial", one, options, {
      all: [address!, addresses].flat(2),
      // The next address of a function may be another one.
      permanent: typeof place !== "function",
    });
  };
  try {
    // First, so that the error of a time limit can name it.
    address = await ask(place, limited.signal);
    const begin = resume === undefined || isContinued
      ? undefined
      : await beginResuming(place, resume, options, limited.signal);
    const connectWith = (one: string, signal: AbortSignal) =>
      connectAt(one, options, signal, begin, check);
    if (!Array.isArray(address)) {
      const one = address as string;
      const transport = await connectWith(one, limited.signal);
      return { transport, address: one };
    }
    // Loaded on first use: most programs have one address.
    const { race } = await ask(
      () => loaded("dial", import("./race.ts")),
      limited.signal,
    );
    return await race(address, {
      attempt: connectWith,
      headStart,
      signal: limited.signal,
    });
  } catch (error) {
    throw limited.signal.aborted ? limited.signal.reason : error;
  } finally {
    limited[Symbol.dispose]();
  }
}

/** Connects to one address, whose options `check` checks. */
async function connectAt(
  address: string,
  options: ConnectOptions & FallbackOption,
  signal: AbortSignal,
  begin: Begin | undefined,
  check: (address: string) => void,
): Promise<Transport> {
  const { scheme, rest } = await ask(() => resolveAddress(address), signal);
  check(address);
  const headers = await ask(options.headers, signal);
  const protocols = await ask(options.protocols, signal);
  const tls = await ask(options.tls, signal);
  const { endpoint, session, rendezvous, onFallback } = options;
  const terms = {
    headers,
    protocols,
    tls,
    endpoint,
    session,
    rendezvous,
    onFallback,
  };
  const connecting = scheme.connect(rest, signal, terms);
  return await attempt(
    address,
    connecting.then((transport) => begin?.(transport, signal) ?? transport),
  );
}

/** The value of an option that may be a function, unless `signal` aborts first. */
export function ask<T>(
  provided: Provided<T>,
  signal: AbortSignal | undefined,
): T | Promise<T> {
  if (typeof provided !== "function") return provided;
  const call = async () => await (provided as () => T | Promise<T>)();
  return rejectedBy(signal) ?? orAborted(call(), signal);
}

/** Names the address in the error of a connection that could not be made. */
async function attempt(
  address: string,
  connecting: Promise<Transport>,
): Promise<Transport> {
  try {
    return await connecting;
  } catch (error) {
    throw addressError("dial", address, error);
  }
}
