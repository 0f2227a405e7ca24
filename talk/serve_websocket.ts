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
import {
  qmux,
  type Transport,
  type TransportListener,
} from "../mux/internal.ts";
import {
  type RequestDecision,
  type RequestHandler,
  type RequestInfo,
  type UpgradeOptions,
  webSocketAcceptor,
} from "../mux/internal_deno.ts";
import {
  ConnectionListener,
  type Listener,
  resolveSharedLimits,
  type SharedLimits,
} from "./listener.ts";
import type { Carried } from "../codec/internal.ts";
import { Peer, type PeerOptions, resolveLimits } from "./peer.ts";

export type { RequestDecision, RequestHandler, RequestInfo, UpgradeOptions };

/** Options of {@linkcode serveWebSocket}. */
export interface ServeWebSocketOptions<C extends Carried = Carried>
  extends PeerOptions<C>, UpgradeOptions, SharedLimits {
  /**
   * Called with every new peer, before its first call is handled, and with the
   * request that opened its WebSocket (the one that `authenticate` got). If it
   * throws, the peer is closed and the error goes to `onError`. Default: none.
   */
  onPeer?: ((peer: Peer<C>, request: Request) => void) | undefined;
}

/** The handler that {@linkcode serveWebSocket} makes. */
export interface WebSocketHandler<C extends Carried = Carried> {
  /** Answers a request: a handler for `Deno.serve()`, or a module's `fetch`. */
  (request: Request, info?: RequestInfo): Promise<Response>;
  /**
   * The peers: iterate it for those that connect from then on, or close it to
   * close all of them. Its `addr` has no host, as only the server knows it.
   * Once it is closed, WebSocket requests are answered with 503.
   */
  readonly listener: Listener<Peer<C>>;
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
 * | 400 | its `Host` is malformed, or its handshake is |
 * | 403 | a browser sent it for a page of another origin, see `origins` |
 * | 403 | it names another host than the server's, see `hosts` |
 * | 404, 426 | not a WebSocket request, and there is no `fallback` |
 * | 503 | the listener is closed |
 *
 * @param options codec, handler, limits, and which requests to accept
 * @throws {RangeError} if an option is out of range
 * @throws {TypeError} if one of `hosts` is not a name or an address
 */
export function serveWebSocket<C extends Carried = Carried>(
  options: ServeWebSocketOptions<C> = {},
): WebSocketHandler<C> {
  const limits = resolveSharedLimits(options);
  resolveLimits(options);
  const acceptor = webSocketAcceptor(`ws:${options.path ?? "/"}`, options);
  const requests = new WeakMap<Transport, Request>();
  const source: TransportListener = {
    addr: acceptor.addr,
    async accept() {
      const upgraded = await acceptor.accept();
      if (upgraded) requests.set(upgraded.transport, upgraded.request);
      return upgraded;
    },
    close: () => acceptor.close(),
  };
  const { onError } = options;
  const listener = new ConnectionListener(
    source,
    (transport) => {
      const peer = new Peer(qmux(transport, limits.session), options);
      announce(peer, requests.get(transport)!, options);
      return peer;
    },
    { onError },
    limits,
  );
  return Object.assign(acceptor.handle, { listener });
}

/** Calls the hook; if it throws, only this peer is closed. */
function announce<C extends Carried>(
  peer: Peer<C>,
  request: Request,
  { onPeer, onError }: ServeWebSocketOptions<C>,
): void {
  try {
    onPeer?.(peer, request);
  } catch (error) {
    void peer.close();
    onError?.(error, { peer, selector: undefined });
  }
}
