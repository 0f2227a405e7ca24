/**
 * RPC over qmux channels. Every call has a channel to itself, so it can stream
 * values, call its caller back, or become a stream of bytes.
 *
 * Most programs use it through a `Peer` of `@qtalk/qtalk`. This module contains the
 * parts: handlers, routing, responses and errors.
 *
 * @example
 * ```ts
 * import { Router } from "@qtalk/qtalk/rpc";
 * import { memoryPair } from "@qtalk/qtalk";
 * import { assertEquals } from "@std/assert";
 *
 * const math = new Router();
 * math.handle("double", async (call, respond) => {
 *   const n = await call.receive() as number;
 *   await respond.return(2 * n);
 * });
 *
 * const [client, server] = memoryPair();
 * await using _ = client;
 * server.handle("math", math);
 * assertEquals(await client.call("math.double", 21), 42);
 * ```
 *
 * @module
 */
export { callback, type KeptCallback } from "./callback/kept_callback.ts";
export {
  CallError,
  type CallErrorInit,
  RemoteError,
  type RemoteErrorInit,
  RpcError,
  type RpcErrorCode,
} from "./errors.ts";
export {
  DEFAULT_MAX_FORWARDED_CALLS,
  forward,
  type ForwardOptions,
} from "./forward/forward.ts";
export { withCall, withStream } from "./handler/function_handler.ts";
export {
  catchAll,
  handlerFrom,
  type HandlerFromOptions,
} from "./handler/handler_from.ts";
export type { CallbackLife, ReceivedStream } from "./remote/callback_life.ts";
export type {
  ByteStream,
  RemoteBytes,
  RemoteContinuation,
  RemoteStream,
} from "./remote/streams.ts";
export type {
  Callback,
  Received,
  Remote,
  RemoteMethod,
  RemoteResult,
  Sent,
} from "./remote/types.ts";
export { RpcResponse } from "./client/response.ts";
export { type Middleware, withMiddleware } from "./handler/middleware.ts";
export { Router } from "./handler/router.ts";
export type { Metadata } from "./wire/metadata.ts";
export type {
  Call,
  Caller,
  CallingPeer,
  CallOptions,
  Handler,
  HandlerFunction,
  HandlerObject,
  Responder,
} from "./types.ts";
