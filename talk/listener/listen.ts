import {
  type ListenResumeOptions,
  rawSession,
  type ResumeStore,
  type SchemeListenOptions,
  type Session,
  sessionOver,
  type Transport,
} from "../../mux/internal.ts";
import type { ResolvedSharedLimits, SharedLimits } from "./limits.ts";
import type {
  AcceptRules,
  Closable,
  Listener,
  ListenerOptions,
  PeerListenerOptions,
} from "./types.ts";
import type { Carried } from "../../codec/internal.ts";
import { loadAnsweringIfNeeded } from "../../rpc/internal.ts";
import { loaded, resolveAddress } from "../address.ts";
import { checkPeerOptions, type PeerOptions, type PeerWith } from "../peer.ts";
import type { ObserverOption } from "../observe/option.ts";

/** Options of {@linkcode listenSession}. */
export interface ListenSessionOptions
  extends ListenerOptions, SchemeListenOptions, SharedLimits, ObserverOption {
  /**
   * Lets the sessions of peers that dial with the option `resume` survive their
   * connections. `{}` for the defaults; a store of `resumeStore()` for sessions that
   * may continue at another listener. Other peers are served as without it, at the
   * same address. Default: every session ends with its connection.
   */
  resume?: ListenResumeOptions | ResumeStore | undefined;
}

/**
 * Options of {@linkcode listen}.
 *
 * @typeParam C what its codec carries besides JSON's values
 * @typeParam Context what the program knows about a peer
 */
export interface ListenOptions<
  C extends Carried = Carried,
  Context = unknown,
> extends
  PeerOptions<C, NoInfer<Context>>,
  PeerListenerOptions<C, Context>,
  ListenSessionOptions {}

/**
 * Listens on an address. Every connection becomes a peer that answers calls,
 * whether or not the listener is iterated.
 *
 * The addresses are those of {@linkcode dial}; `tls:`, `wss:`, `quic:`, `wt:` and
 * `peer:` need the option `tls`. Port 0, as in `tcp://127.0.0.1:0`, chooses a free
 * port.
 *
 * @example
 * ```ts
 * import { dial, handlerFrom, listen } from "@qtalk/qtalk";
 * import { assertEquals } from "@std/assert";
 *
 * await using listener = await listen("tcp://127.0.0.1:0", {
 *   handler: handlerFrom({ add: (a: number, b: number) => a + b }),
 * });
 * await using peer = await dial(listener.addr);
 * assertEquals(await peer.call("add", [1, 2]), 3);
 * ```
 *
 * @example Handlers that know who is calling
 * ```ts
 * import { dial, listen } from "@qtalk/qtalk";
 * import { assertEquals } from "@std/assert";
 *
 * await using listener = await listen("tcp://127.0.0.1:0", {
 *   async onPeer(peer, { remoteAddr }) {
 *     if (!remoteAddr.startsWith("tcp://127.")) throw new Error("not from here");
 *     const name = await peer.call("login") as string;
 *     return { name, since: Date.now() };
 *   },
 *   handler: (call, respond) => respond.return(call.peer.context.name),
 * });
 * await using peer = await dial(listener.addr, {
 *   handler: (_call, respond) => respond.return("Ann"),
 * });
 * assertEquals(await peer.call("whoami"), "Ann");
 * ```
 *
 * @typeParam C what its codec carries besides JSON's values
 * @typeParam Context what the program knows about a peer: what `onPeer` returns
 * @param address the address to listen on
 * @param options codec, handler, limits, and which connections to accept
 * @throws {TalkError} `bad-address`, `unknown-scheme`, `listen-failed`
 * @throws {RangeError} if an option is out of range
 * @throws {TypeError} if `handler`, `codec`, `codecs`, `observer` or `memoryPool` is of
 * the wrong type
 */
export async function listen<C extends Carried = Carried, Context = unknown>(
  address: string,
  options: ListenOptions<C, Context> = {},
): Promise<Listener<PeerWith<C, Context>>> {
  checkPeerOptions(options);
  const { listenForPeers } = await load(address);
  return await listenForPeers(address, options);
}

/**
 * Like {@linkcode listen}, but without RPC: every connection becomes a session.
 *
 * @param address the address to listen on
 * @param options limits, and which connections to accept
 * @throws {TalkError} `bad-address`, `unknown-scheme`, `listen-failed`
 * @throws {RangeError} if an option is out of range
 * @throws {TypeError} if `observer` or `memoryPool` is of the wrong type
 */
export function listenSession(
  address: string,
  options: ListenSessionOptions = {},
): Promise<Listener<Session>> {
  return listenWith(address, options, (session) => session, {
    needsLoop: true,
    uses: usesOf,
  });
}

/** How many channels a session has had; `Infinity` while there is one. */
function usesOf(session: Session): number {
  return session.usage.slots > 0
    ? Infinity
    : rawSession(session).channels.opened;
}

/**
 * Listens on an address; every session becomes what `make` returns.
 *
 * @throws {TalkError} `bad-address`, `unknown-scheme`, `listen-failed`
 * @throws {RangeError} if an option is out of range
 */
export function listenWith<T extends Closable>(
  address: string,
  options: ListenSessionOptions,
  make: (session: Session) => T,
  rules: AcceptRules<T>,
): Promise<Listener<T>> {
  return listenRaw(
    address,
    options,
    (transport, limits) => make(sessionOver(transport, limits.session)),
    rules,
  );
}

/**
 * Listens on an address; every connection becomes what `make` returns.
 *
 * @throws {TalkError} `bad-address`, `unknown-scheme`, `listen-failed`
 * @throws {RangeError} if an option is out of range
 */
export async function listenRaw<T extends Closable>(
  address: string,
  options: ListenSessionOptions,
  make: (transport: Transport, limits: ResolvedSharedLimits) => T,
  rules: AcceptRules<T>,
): Promise<Listener<T>> {
  const { listenForTransports } = await load(address);
  return await listenForTransports(address, options, make, rules);
}

/** A program that only dials needs no listener. */
async function load(
  address: string,
): Promise<typeof import("./start.ts")> {
  // Meanwhile, the scheme is loaded as well; what is wrong is reported later.
  resolveAddress(address).catch(() => {});
  const parts = Promise.all([import("./start.ts"), loadAnsweringIfNeeded()]);
  const [start] = await loaded("listen", parts);
  return start;
}
