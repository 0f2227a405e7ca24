import { poolOf } from "../client/channel_pool.ts";
import { withMiddleware } from "../handler/middleware.ts";
import type { Caller } from "../types.ts";
import { traceCalls } from "./trace_calls.ts";
import { traceHandlers } from "./trace_handlers.ts";

/**
 * Makes spans of calls of callbacks over the connection of a peer, and adds their
 * times to the histograms: as `traceCalls()` does for functions of the peer, and as
 * `traceHandlers()` does for those of this side. The spans are named `callback`.
 * The span of a function is a child of the span that calls it, if both sides trace
 * callbacks.
 *
 * Streams among arguments and results have no spans.
 *
 * @example
 * ```ts
 * import { type Callback, handlerFrom, memoryPair } from "@qtalk/qtalk";
 * import { traceCallbacks } from "@qtalk/qtalk/opentelemetry";
 * import { assertEquals } from "@std/assert";
 *
 * const service = {
 *   onOne: async (fn: Callback<(n: number) => number>) => await fn(1),
 * };
 * const [client, server] = memoryPair({}, { handler: handlerFrom(service) });
 * await using _ = client;
 * traceCallbacks(client);
 * traceCallbacks(server);
 *
 * const api = client.remote<typeof service>();
 * assertEquals(await api.onOne((n) => n + 1), 2);
 * ```
 *
 * @param peer a peer, of one connection
 * @throws {TypeError} if `peer` is not a peer of one connection: a reconnecting
 * peer or a pool has other connections later
 */
export function traceCallbacks(peer: Caller): void {
  const session = poolOf(peer)?.session;
  if (session === undefined) {
    throw new TypeError(
      "Cannot trace callbacks: expected a peer of one connection",
    );
  }
  const interceptor = traceCalls();
  const middleware = traceHandlers();
  session.around = {
    call: (selector, next) =>
      interceptor(
        { selector, args: undefined, options: {}, caller: peer },
        (changes) => next(changes?.options ?? {}),
      ),
    handler: (handler) => withMiddleware(handler, middleware),
  };
}
