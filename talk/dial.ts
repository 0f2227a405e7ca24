import {
  qmux,
  resolveOptions,
  type SchemeOptions,
  type Session,
  type SessionOptions,
  type Transport,
} from "../mux/internal.ts";
import { checkTimeout } from "../check_option.ts";
import { withoutSecrets } from "../printable_text.ts";
import { limitedSignal } from "../time_limit.ts";
import { addressError, resolveAddress } from "./address.ts";
import { errorPrinter } from "./error_printer.ts";
import { TalkError } from "./errors.ts";
import { checkPeerOptions, Peer, type PeerOptions } from "./peer.ts";
import type { ReconnectingPeer, ReconnectOptions } from "./reconnect/types.ts";

/** The default of {@linkcode ConnectOptions.timeout}, in milliseconds. */
export const DEFAULT_CONNECT_TIMEOUT = 30_000;

/** Options for connecting. */
export interface ConnectOptions extends SchemeOptions {
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
export interface DialOptions extends PeerOptions, ConnectOptions {
  /** Not set: see {@linkcode ReconnectingDialOptions}. */
  reconnect?: undefined;
}

/** Options of {@linkcode dial} for a peer that reconnects. */
export interface ReconnectingDialOptions extends PeerOptions, ConnectOptions {
  /**
   * How to reconnect; `{}` for the defaults. `timeout` then limits each attempt
   * to connect, and `signal` ends only the wait for the first connection.
   */
  reconnect: ReconnectOptions;
}

/**
 * Connects to an address, and connects again with exponential backoff whenever
 * the connection is lost. It resolves when the first connection is made, which
 * is attempted until `signal` aborts or `maxAttempts` is reached.
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
 * @param address the address to connect to
 * @param options codec, handler, limits, and how to reconnect
 * @throws {TalkError} `bad-address`, `unknown-scheme`; the error of the last
 * attempt if `maxAttempts` have failed
 * @throws {RangeError} if an option is out of range
 * @throws {unknown} `signal.reason`
 */
export function dial(
  address: string,
  options: ReconnectingDialOptions,
): Promise<ReconnectingPeer>;
/**
 * Connects to an address and makes a peer of the connection.
 *
 * | address | permissions |
 * | --- | --- |
 * | `tcp://host:port` | `--allow-net=host:port` |
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
 * @param address the address to connect to
 * @param options codec, handler, limits, and how long to wait
 * @throws {TalkError} `bad-address`, `unknown-scheme`, `dial-failed`, `timeout`
 * @throws {RangeError} if an option is out of range
 * @throws {unknown} `signal.reason`
 */
export function dial(address: string, options?: DialOptions): Promise<Peer>;
export function dial(
  address: string,
  options: DialOptions | ReconnectingDialOptions = {},
): Promise<Peer | ReconnectingPeer> {
  return options.reconnect === undefined
    ? dialOnce(address, options)
    : dialReconnecting(address, options);
}

async function dialOnce(address: string, options: DialOptions): Promise<Peer> {
  checkPeerOptions(options);
  const session = await dialSession(address, options);
  try {
    return new Peer(session, options);
  } catch (error) {
    await session.close();
    throw error;
  }
}

async function dialReconnecting(
  address: string,
  { reconnect, handler, signal, ...rest }: ReconnectingDialOptions,
): Promise<ReconnectingPeer> {
  checkPeerOptions({ ...rest, handler });
  // One for all connections: it prints at a limited rate.
  const options = { ...rest, onError: rest.onError ?? errorPrinter() };
  signal?.throwIfAborted();
  // Loaded on first use: most programs do not reconnect.
  const { Reconnector } = await import("./reconnect/reconnector.ts");
  const peer = new Reconnector(reconnect, handler, {
    connect: (handler, signal) =>
      dialOnce(address, { ...options, handler, signal }),
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
function wait(ms: number, signal: AbortSignal): Promise<void> {
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
 * @param address the address to connect to
 * @param options limits, and how long to wait
 * @throws {TalkError} `bad-address`, `unknown-scheme`, `dial-failed`, `timeout`
 * @throws {RangeError} if an option is out of range
 * @throws {unknown} `signal.reason`
 */
export async function dialSession(
  address: string,
  options: ConnectOptions = {},
): Promise<Session> {
  return qmux(await connect(address, options), options.session);
}

async function connect(
  address: string,
  options: ConnectOptions,
): Promise<Transport> {
  const { signal, timeout = DEFAULT_CONNECT_TIMEOUT, session } = options;
  signal?.throwIfAborted();
  // Checked first: a connection that was made would have to be closed.
  checkTimeout(timeout);
  resolveOptions(session);
  const { scheme, rest } = await resolveAddress(address);
  // Without `using`, whose syntax not every browser knows.
  const limited = limitedSignal({
    signal,
    timeout,
    onTimeout: () =>
      new TalkError(
        "timeout",
        `Cannot dial "${
          withoutSecrets(address)
        }": no connection within ${timeout} ms`,
      ),
  });
  try {
    return await scheme.connect(rest, limited.signal, options);
  } catch (error) {
    if (limited.signal.aborted) throw limited.signal.reason;
    throw addressError("dial", address, error);
  } finally {
    limited[Symbol.dispose]();
  }
}
