/**
 * Code around calls: interceptors on the caller's side, retries, and a limit on the
 * rate of a peer's calls. It has its own subpath, so programs that do not use it do
 * not load it. `use()` and `withMiddleware()`, for code around handlers, are in the
 * core.
 *
 * @example Retries, at a server that limits the rate of calls
 * ```ts
 * import { handlerFrom, memoryPair } from "@qtalk/qtalk";
 * import { intercept, rateLimit, retry } from "@qtalk/qtalk/middleware";
 * import { assertEquals } from "@std/assert";
 *
 * const [client, server] = memoryPair();
 * await using _ = client;
 * server.handle("double", handlerFrom((n: number) => 2 * n));
 * server.use(rateLimit({ calls: 1, interval: 50 }));
 *
 * const patient = intercept(client, retry());
 * assertEquals(await patient.call("double", [1]), 2);
 * assertEquals(await patient.call("double", [2]), 4); // the server was busy once
 * ```
 *
 * @module
 */
export { intercept, type Interceptor, type OutgoingCall } from "./intercept.ts";
export {
  DEFAULT_RATE_LIMIT_OPTIONS,
  rateLimit,
  type RateLimitOptions,
} from "./rate_limit.ts";
export { DEFAULT_RETRY_OPTIONS, retry, type RetryOptions } from "./retry.ts";
export { isNotBegun } from "../errors.ts";
