import {
  qmux,
  resolveOptions,
  type Session,
  type SessionOptions,
  type TlsDialOptions,
  type Transport,
} from "../mux/internal.ts";
import { checkTimeout } from "../check_option.ts";
import { redactedAddress } from "../printable_text.ts";
import { limitedSignal } from "../time_limit.ts";
import { addressError, resolveAddress } from "./address.ts";
import { errorPrinter } from "./error_printer.ts";
import { TalkError } from "./errors.ts";
import {
  type CodecSource,
  observed,
  type ObserverOption,
} from "./observe/option.ts";
import type { Carried } from "../codec/internal.ts";
import { checkPeerOptions, Peer, type PeerOptions } from "./peer.ts";
import type { ReconnectingPeer, ReconnectOptions } from "./reconnect/types.ts";

/** The default of {@linkcode ConnectOptions.timeout}, in milliseconds. */
export const DEFAULT_CONNECT_TIMEOUT = 30_000;

/**
 * A value, or a function that is asked for it before each attempt to connect: for
 * addresses that change and credentials that expire. If it throws, the attempt
 * fails with that error.
 */
export type Provided<T> = T | (() => T | Promise<T>);

/** Options for connecting. */
export interface ConnectOptions extends ObserverOption {
  /**
   * Headers of the HTTP request for `ws:` and `wss:`, or a function that is asked
   * for them before each attempt. Browsers cannot send any. Default: an `Origin` with
   * the server's own origin, which qtalk-go's server requires.
   */
  headers?:
    | Provided<Headers | Iterable<string[]> | Record<string, string>>
    | undefined;
  /**
   * WebSocket subprotocols to offer, in order of preference, or a function that
   * is asked for them before each attempt. If the server agrees to none of them,
   * the connection is made anyway, while browsers fail. Default: none.
   */
  protocols?: Provided<string | readonly string[]> | undefined;
  /**
   * Whom `tls:` and `wss:` trust, and this client's certificate; or a function that
   * is asked for it before each attempt. Default: what the runtime trusts, and no
   * certificate.
   */
  tls?: Provided<TlsDialOptions> | undefined;
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
  /** Limits of the session. Default: those of `qmux()`. */
  session?: SessionOptions | undefined;
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
   * How to reconnect; `{}` for the defaults. `timeout` then limits each attempt
   * to connect, with the functions that it asks, and `signal` ends only the wait
   * for the first connection.
   */
  reconnect: ReconnectOptions<C>;
}

/**
 * Connects to an address, and connects again with exponential backoff whenever
 * the connection is lost. It resolves when the first connection is made, which
 * is attempted until `signal` aborts, `maxAttempts` is reached, or an attempt
 * fails as every other would: without a permission, with a certificate that is
 * not valid, at a server that answers 401, 403 or 404, or with an address that is
 * malformed or not for this runtime (`TalkError.permanent`). If what answers at the
 * address is no peer, such as an HTTP server, `closed` and the calls reject with the
 * `MuxError` of the first connection, whose code is `protocol-error`.
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
 * @param address the address to connect to, or a function that is asked for it
 * before each attempt
 * @param options codec, handler, limits, and how to reconnect
 * @throws {TalkError} `bad-address`, `unknown-scheme`, or `dial-failed` if that is
 * permanent; the error of the last attempt if `maxAttempts` have failed
 * @throws {RangeError} if an option is out of range
 * @throws {unknown} `signal.reason`
 */
export function dial<C extends Carried = Carried>(
  address: Provided<string>,
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
 * | `stdio:`, stdin and stdout of this process | none |
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
 * @param address the address to connect to, or a function that returns it
 * @param options codec, handler, limits, and how long to wait
 * @throws {TalkError} `bad-address`, `unknown-scheme`, `dial-failed`, `timeout`
 * @throws {RangeError} if an option is out of range
 * @throws {unknown} `signal.reason`
 */
export function dial<C extends Carried = Carried>(
  address: Provided<string>,
  options?: DialOptions<C>,
): Promise<Peer<C>>;
export function dial<C extends Carried>(
  address: Provided<string>,
  options: DialOptions<C> | ReconnectingDialOptions<C> = {},
): Promise<Peer<C> | ReconnectingPeer<C>> {
  return options.reconnect === undefined
    ? dialOnce(address, options)
    : dialReconnecting(address, options);
}

async function dialOnce<C extends Carried>(
  address: Provided<string>,
  options: DialOptions<C> & FallbackOption,
): Promise<Peer<C>> {
  checkPeerOptions(options);
  const session = await dialSession(address, options);
  try {
    return new Peer(session, options);
  } catch (error) {
    await session.close();
    throw error;
  }
}

async function dialReconnecting<C extends Carried>(
  address: Provided<string>,
  { reconnect, handler, signal, ...rest }: ReconnectingDialOptions<C>,
): Promise<ReconnectingPeer<C>> {
  checkPeerOptions({ ...rest, handler });
  // One for all connections: it prints at a limited rate.
  const options = { ...rest, onError: rest.onError ?? errorPrinter() };
  signal?.throwIfAborted();
  // Loaded on first use: most programs do not reconnect.
  const { Reconnector } = await import("./reconnect/reconnector.ts");
  const peer = new Reconnector(reconnect, handler, {
    connect: (handler, signal, onFallback) =>
      dialOnce(address, { ...options, handler, signal, onFallback }),
    wait,
    now: () => performance.now(),
    random: Math.random,
  });
  try {
    await peer.connected({ signal });
    return peer;
  } catch (error) {
    await peer.close();
    throw error;
  }
}

/** Resolves after `ms` milliseconds, or earlier when the signal aborts. */
export function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
  });
}

/**
 * Like {@linkcode dial}, but without RPC: it resolves to a session.
 *
 * @param address the address to connect to, or a function that returns it
 * @param options limits, and how long to wait
 * @throws {TalkError} `bad-address`, `unknown-scheme`, `dial-failed`, `timeout`
 * @throws {RangeError} if an option is out of range
 * @throws {unknown} `signal.reason`
 */
export async function dialSession(
  address: Provided<string>,
  options: ConnectOptions = {},
): Promise<Session> {
  return qmux(await connect(address, options), options.session);
}

/** What reports to the state of a peer that reconnects. */
interface FallbackOption {
  /** Called when a connection of another kind is tried because of `error`. */
  onFallback?: (error: unknown) => void;
}

/** Connects, and leaves it to the caller what the connection becomes. */
export async function connect(
  place: Provided<string>,
  options: ConnectOptions & CodecSource & FallbackOption,
): Promise<Transport> {
  const { signal, timeout = DEFAULT_CONNECT_TIMEOUT, session } = options;
  const { onFallback } = options;
  signal?.throwIfAborted();
  // Checked first: a connection that was made would have to be closed.
  checkTimeout(timeout);
  resolveOptions(session);
  let address: string | undefined;
  // Without `using`, whose syntax not every browser knows.
  const limited = limitedSignal({
    signal,
    timeout,
    onTimeout: () =>
      new TalkError(
        "timeout",
        `Cannot dial${
          address === undefined ? "" : ` "${redactedAddress(address)}"`
        }: no connection within ${timeout} ms (option "timeout")`,
      ),
  });
  try {
    address = await ask(place, limited.signal);
    const { scheme, rest } = await resolveAddress(address);
    const headers = await ask(options.headers, limited.signal);
    const protocols = await ask(options.protocols, limited.signal);
    const tls = await ask(options.tls, limited.signal);
    const transport = await attempt(
      address,
      scheme.connect(rest, limited.signal, {
        headers,
        protocols,
        tls,
        onFallback,
      }),
    );
    return observed(transport, redactedAddress(address), options);
  } catch (error) {
    if (limited.signal.aborted) throw limited.signal.reason;
    throw error;
  } finally {
    limited[Symbol.dispose]();
  }
}

/** The value of an option that may be a function, unless `signal` aborts first. */
function ask<T>(provided: Provided<T>, signal: AbortSignal): T | Promise<T> {
  if (typeof provided !== "function") return provided;
  return new Promise<T>((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    (async () => await (provided as () => T | Promise<T>)())()
      .then(resolve, reject)
      .finally(() => signal.removeEventListener("abort", onAbort));
  });
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
