import {
  qmux,
  resolveOptions,
  type SchemeOptions,
  type Session,
  type SessionOptions,
  type Transport,
} from "../mux/internal.ts";
import { timeLimit } from "../time_limit.ts";
import { TalkError } from "./errors.ts";
import { Peer, type PeerOptions } from "./peer.ts";
import { ReconnectingPeer } from "./reconnect/reconnecting_peer.ts";
import type { ReconnectOptions } from "./reconnect/options.ts";
import { addressError, resolveAddress } from "./address.ts";

/** Choices for connecting. */
export interface ConnectOptions extends SchemeOptions {
  /** Gives up connecting; rejects with the signal's reason. */
  signal?: AbortSignal;
  /**
   * Milliseconds that connecting may take; rejects with a `TalkError`, code
   * `timeout`. Default: 30,000.
   */
  timeout?: number;
  /** Limits of the session. */
  session?: SessionOptions;
}

/** Choices for {@linkcode dial}. */
export interface DialOptions extends PeerOptions, ConnectOptions {}

/** Choices for a {@linkcode dial} that connects again. */
export interface ReconnectingDialOptions extends DialOptions {
  /** How; `{}` will do. `timeout` is then that of each attempt. */
  reconnect: ReconnectOptions;
}

/** Default of {@linkcode ConnectOptions.timeout}. */
const DEFAULT_TIMEOUT = 30_000;

/**
 * Connects to an address, and again whenever the connection is lost. Also the
 * first connection is tried for again and again, until `signal` aborts.
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
 *     // Registers at every new connection what the server forgot.
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
 * @param address where to connect to
 * @param options how to talk, and how to try
 * @throws {TalkError} `bad-address`, `unknown-scheme`; of the last attempt if
 * `maxAttempts` have failed
 * @throws {RangeError} if an option is out of range
 * @throws {unknown} `signal.reason`
 */
export function dial(
  address: string,
  options: ReconnectingDialOptions,
): Promise<ReconnectingPeer>;
/**
 * Connects to an address and gives the peer for it.
 *
 * | address | permission |
 * | --- | --- |
 * | `tcp://host:port` | `--allow-net=host:port` |
 * | `unix:/path` | `--allow-net --allow-read --allow-write` |
 * | `ws://host:port/path`, `wss:` | `--allow-net=host:port` |
 * | `stdio:`, this process's own | none |
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
 * With the option `reconnect` it connects again when the connection is lost.
 *
 * @param address where to connect to
 * @param options how to talk, and how long to try
 * @throws {TalkError} `bad-address`, `unknown-scheme`, `dial-failed`, `timeout`
 * @throws {RangeError} if a session option is out of range
 * @throws {unknown} `signal.reason`
 */
export function dial(address: string, options?: DialOptions): Promise<Peer>;
export function dial(
  address: string,
  options: DialOptions | ReconnectingDialOptions = {},
): Promise<Peer | ReconnectingPeer> {
  return "reconnect" in options && options.reconnect !== undefined
    ? dialAgain(address, options)
    : dialOnce(address, options);
}

async function dialOnce(address: string, options: DialOptions): Promise<Peer> {
  const session = await dialSession(address, options);
  try {
    return new Peer(session, options);
  } catch (error) {
    await session.close();
    throw error;
  }
}

async function dialAgain(
  address: string,
  { reconnect, handler, signal, ...options }: ReconnectingDialOptions,
): Promise<ReconnectingPeer> {
  signal?.throwIfAborted();
  const peer = new ReconnectingPeer(reconnect, handler, {
    connect: (handler, signal) =>
      dialOnce(address, { ...options, handler, signal }),
    wait,
    now: () => performance.now(),
    random: Math.random,
  });
  try {
    await peer.connected(signal);
    return peer;
  } catch (error) {
    await peer.close();
    throw error;
  }
}

/** Waits, at most until the signal aborts. */
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
 * As {@linkcode dial}, without RPC: the bare session.
 *
 * @param address where to connect to
 * @param options limits, and how long to try
 * @throws {TalkError} `bad-address`, `unknown-scheme`, `dial-failed`, `timeout`
 * @throws {RangeError} if a session option is out of range
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
  const { signal, timeout = DEFAULT_TIMEOUT, session } = options;
  signal?.throwIfAborted();
  // Before there is a connection that a mistake would have to close.
  resolveOptions(session);
  const { scheme, rest } = await resolveAddress(address);
  const giveUp = new AbortController();
  const onAbort = () => giveUp.abort(signal!.reason);
  signal?.addEventListener("abort", onAbort, { once: true });
  const expire = () =>
    giveUp.abort(
      new TalkError(
        "timeout",
        `Cannot dial "${address}": no connection within ${timeout} ms`,
      ),
    );
  const inTime = timeLimit(timeout, expire);
  try {
    return await scheme.connect(rest, giveUp.signal, options);
  } catch (error) {
    if (giveUp.signal.aborted) throw giveUp.signal.reason;
    throw addressError("dial", address, error);
  } finally {
    inTime();
    signal?.removeEventListener("abort", onAbort);
  }
}
