/**
 * Peers for `Deno.serve()`: a request handler that makes a peer of each
 * WebSocket request and passes all other requests on. It needs no unstable
 * flag, so it runs on Deno Deploy.
 *
 * @example An application that also serves pages
 * ```ts
 * import { dial, handlerFrom } from "@qtalk/qtalk";
 * import { serveWebSocket } from "@qtalk/qtalk/websocket";
 * import { assertEquals } from "@std/assert";
 *
 * const server = Deno.serve(
 *   { port: 0, onListen() {} },
 *   serveWebSocket({
 *     handler: handlerFrom({ add: (a: number, b: number) => a + b }),
 *     path: "/rpc",
 *     fallback: () => new Response("a page"),
 *   }),
 * );
 *
 * const host = `127.0.0.1:${server.addr.port}`;
 * const peer = await dial(`ws://${host}/rpc`);
 * assertEquals(await peer.call("add", [1, 2]), 3);
 * assertEquals(await (await fetch(`http://${host}/`)).text(), "a page");
 *
 * await peer.close();
 * await server.shutdown();
 * ```
 *
 * @example A module for `deno serve`
 * ```ts
 * import { handlerFrom } from "@qtalk/qtalk";
 * import { serveWebSocket } from "@qtalk/qtalk/websocket";
 *
 * export default {
 *   fetch: serveWebSocket({ handler: handlerFrom({ ping: () => "pong" }) }),
 * };
 * ```
 *
 * @module
 */
import { checkFunctions } from "../../check_option.ts";
import {
  type ConnectionInfo,
  type HandshakeLimit,
  keepAliveOf,
  type ListenResumeOptions,
  loadResume,
  type ResumeStore,
  type SessionOptions,
  type TransportListener,
} from "../../mux/internal.ts";
import {
  type RequestDecision,
  type RequestHandler,
  type RequestInfo,
  storeOf,
  type UpgradeOptions,
  webSocketAcceptor,
} from "../../mux/internal_deno.ts";
import { MAX_DELAY } from "../../time_limit.ts";
import {
  handshakeLimit,
  resolveSharedLimits,
  type SharedLimits,
} from "./limits.ts";
import { peerListener } from "./peer_listener.ts";
import type { Listener, PeerListenerOptions } from "./types.ts";
import type { Carried } from "../../codec/internal.ts";
import { checkPeerOptions, type PeerOptions, type PeerWith } from "../peer.ts";
import { observedSource, type ObserverOption } from "../observe/option.ts";

/** Milliseconds that are left to the answer of a call that is a ping. */
const IDLE_MARGIN = 1_000;

export type { RequestDecision, RequestHandler, RequestInfo, UpgradeOptions };

/** What is known about a connection of {@linkcode serveWebSocket}. */
export interface WebSocketConnectionInfo extends ConnectionInfo {
  /** The request that opened the WebSocket: the one that `authenticate` got. */
  request: Request;
}

/**
 * Options of {@linkcode serveWebSocket}.
 *
 * @typeParam C what its codec carries besides JSON's values
 * @typeParam Context what the program knows about a peer
 */
export interface ServeWebSocketOptions<
  C extends Carried = Carried,
  Context = unknown,
> extends
  PeerOptions<C, NoInfer<Context>>,
  PeerListenerOptions<C, Context, WebSocketConnectionInfo>,
  UpgradeOptions,
  SharedLimits,
  ObserverOption {
  /**
   * Lets the sessions of peers that dial with the option `resume` survive their
   * connections. `{}` for the defaults; a store of `resumeStore()` for sessions
   * that may continue at another listener of this process. Other peers are served
   * as without it. `authenticate` is called for every connection, including those
   * that continue a session. Default: every session ends with its connection.
   */
  resume?: ListenResumeOptions | ResumeStore | undefined;
}

/**
 * The handler that {@linkcode serveWebSocket} makes.
 *
 * @typeParam C what its codec carries besides JSON's values
 * @typeParam Context what the program knows about a peer
 */
export interface WebSocketHandler<
  C extends Carried = Carried,
  Context = unknown,
> {
  /** Answers a request: a handler for `Deno.serve()`, or a module's `fetch`. */
  (request: Request, info?: RequestInfo): Promise<Response>;
  /**
   * The peers: iterate over it to get those that connect from then on, or close it
   * to close all of them. Its `addr` has no host, because only the server knows
   * that. Once it is closed, WebSocket requests are answered with 503.
   */
  readonly listener: Listener<PeerWith<C, Context>>;
}

/**
 * Makes a request handler. WebSocket requests become peers that answer calls;
 * all other requests go to `fallback`.
 *
 * The runtime gathers the fragments of a WebSocket message without a limit: a
 * client can make the process hold 2 GiB within two seconds. For clients that you
 * do not trust, use `listen("ws://…")`, which gathers nothing, or put a proxy in
 * front that bounds messages.
 *
 * | status | refused requests |
 * | --- | --- |
 * | 401, or that of the response it returns | `authenticate` refused the request |
 * | 400 | its `Host` or its handshake is malformed |
 * | 403 | a browser sent it for a page of another origin, see `origins` |
 * | 403 | it names another host than the server's, see `hosts` |
 * | 404, 426 | not a WebSocket request, and there is no `fallback` |
 * | 500 | `authenticate` threw, or returned neither `true`, `false` nor a `Response` |
 * | 503 | the listener is closed |
 * | 503 | `authenticate` took longer than `handshakeTimeout` |
 * | 503 | twice `maxSessions` WebSockets are open, with those that this side has closed and whose clients do not answer |
 *
 * @typeParam C what its codec carries besides JSON's values
 * @typeParam Context what the program knows about a peer: what `onPeer` returns
 * @param options codec, handler, limits, and which requests to accept
 * @throws {RangeError} if an option is out of range
 * @throws {TypeError} if one of `hosts` is not a name or an address, if `path` is not
 * the path of a URL, or if `handler`,
 * `codec`, `codecs` or `observer` is of the wrong type
 */
export function serveWebSocket<C extends Carried = Carried, Context = unknown>(
  options: ServeWebSocketOptions<C, Context> = {},
): WebSocketHandler<C, Context> {
  const limits = resolveSharedLimits(options);
  checkPeerOptions(options);
  checkFunctions(options, "onPeer", "authenticate", "fallback");
  // Null is out of range, and no default.
  const idleTimeout = options.idleTimeout === undefined
    ? idleTimeoutOf(options.session)
    : options.idleTimeout;
  const upgrade = { ...options, idleTimeout };
  const { resume, onError } = options;
  const handshake = handshakeLimit(limits, onError);
  const acceptor = webSocketAcceptor(`ws:${options.path ?? "/"}`, upgrade, {
    maxSockets: 2 * limits.maxSessions,
    handshake,
  });
  const source = resume === undefined ? acceptor : resuming(acceptor, resume, {
    keepAlive: limits.session.keepAlive,
    handshake,
  });
  const listener = peerListener(
    observedSource(source, options),
    // Each of its connections has a request.
    options as
      & PeerOptions<C, NoInfer<Context>>
      & PeerListenerOptions<C, Context>,
    limits,
  );
  return Object.assign(acceptor.handle, { listener });
}

/** Makes a listener whose sessions survive their connections, once it is loaded. */
function resuming(
  source: TransportListener,
  resume: ListenResumeOptions | ResumeStore,
  terms: { keepAlive: SessionOptions["keepAlive"]; handshake: HandshakeLimit },
): TransportListener {
  const store = storeOf(resume);
  const loading = loadResume().then(({ ResumingListener }) =>
    new ResumingListener(source, { store, ...terms })
  );
  return {
    addr: source.addr,
    accept: async () => await (await loading).accept(),
    close() {
      source.close();
      // What cannot be loaded is an error of `accept()`.
      loading.then((listener) => listener.close(), () => {});
    },
  };
}

/**
 * The default of `idleTimeout`. Clients that are extended are pinged by calls, and
 * sooner. The runtime's pings are for the others, and allow them half of that time:
 * a call that they compute on began with a byte of theirs.
 */
function idleTimeoutOf(session: SessionOptions | undefined): number {
  const keepAlive = keepAliveOf(session?.keepAlive, true);
  if (typeof keepAlive !== "object") return 0;
  const { interval, timeout } = keepAlive;
  return Math.min(interval + timeout + IDLE_MARGIN, MAX_DELAY);
}
