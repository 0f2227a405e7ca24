/**
 * Peers for `Deno.serve()`: a handler of requests that makes peers of those
 * that ask for a WebSocket, and passes on the others. It needs no unstable
 * flag, and so runs on Deno Deploy.
 *
 * @example Beside the pages of an application
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
  resolveOptions,
  type SessionOptions,
  type Transport,
  type TransportListener,
} from "../mux/internal.ts";
import {
  type RequestHandler,
  type UpgradeOptions,
  webSocketAcceptor,
} from "../mux/internal_deno.ts";
import { Listener } from "./listener.ts";
import { Peer, type PeerOptions } from "./peer.ts";

export type { RequestHandler, UpgradeOptions };

/** Choices for {@linkcode serveWebSocket}. */
export interface ServeWebSocketOptions extends PeerOptions, UpgradeOptions {
  /** Limits of each session. */
  session?: SessionOptions;
  /**
   * Told of every peer, before it hears its first call, and of the request that
   * it came by: the one that `authenticate` saw. A throw ends the peer.
   */
  onPeer?: (peer: Peer, request: Request) => void;
}

/** What {@linkcode serveWebSocket} gives: to `Deno.serve()`, or as `fetch`. */
export interface WebSocketHandler {
  /** Answers a request. */
  (request: Request, info?: Deno.ServeHandlerInfo): Promise<Response>;
  /**
   * The peers: iterate it for those that connect from then on, or close it to
   * close them all. Its `addr` has no host, which only the server knows. Once
   * it is closed, whoever asks for a WebSocket is answered 503.
   */
  readonly listener: Listener<Peer>;
}

/**
 * Makes a handler of requests. Those that ask for a WebSocket become peers that
 * answer calls; others are passed on.
 *
 * A request is refused with 403 if a browser sends it for a page of another
 * origin (see `origins`), with 401 or as you please by `authenticate`, with 404
 * or 426 if there is no `fallback`, and with 503 when the listener is closed.
 *
 * @param options how to talk, and whom to
 * @throws {RangeError} if a limit is out of range
 */
export function serveWebSocket(
  options: ServeWebSocketOptions = {},
): WebSocketHandler {
  resolveOptions(options.session);
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
  const listener = new Listener(source, (transport) => {
    const peer = new Peer(qmux(transport, options.session), options);
    introduce(peer, requests.get(transport)!, options);
    return peer;
  }, {});
  return Object.assign(acceptor.handle, { listener });
}

/** A hook that throws costs its peer, and no other. */
function introduce(
  peer: Peer,
  request: Request,
  { onPeer, onError }: ServeWebSocketOptions,
): void {
  try {
    onPeer?.(peer, request);
  } catch (error) {
    void peer.close();
    onError?.(error, { peer, selector: undefined });
  }
}
