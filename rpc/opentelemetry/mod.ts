/**
 * Spans and metrics of calls for OpenTelemetry, on both sides of a call. It needs
 * the package `@opentelemetry/api`, and records nothing unless a provider is
 * registered, as Deno does with `OTEL_DENO=true`.
 *
 * @example
 * ```ts
 * import { handlerFrom, memoryPair } from "@qtalk/qtalk";
 * import { intercept } from "@qtalk/qtalk/middleware";
 * import { traceCalls, traceHandlers } from "@qtalk/qtalk/opentelemetry";
 * import { assertEquals } from "@std/assert";
 *
 * const service = { add: (a: number, b: number) => a + b };
 * const [client, server] = memoryPair({}, { handler: handlerFrom(service) });
 * await using _ = client;
 * server.use(traceHandlers());
 *
 * const api = intercept(client, traceCalls()).remote<typeof service>();
 * assertEquals(await api.add(1, 2), 3);
 * ```
 *
 * @module
 */
export { traceCallbacks } from "./trace_callbacks.ts";
export { traceCalls } from "./trace_calls.ts";
export { traceHandlers } from "./trace_handlers.ts";
