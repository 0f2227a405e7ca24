/**
 * What `talk` uses of this layer. No entry point exports this module.
 *
 * @module
 */
export { DEFAULT_MAX_CALLBACKS } from "./callback/callback_table.ts";
export {
  deadlineExceeded,
  type TimeLimit,
  timeLimitOf,
} from "./client/call_limits.ts";
export { Client } from "./client/client.ts";
export {
  ChannelPool,
  DEFAULT_QUEUE_LIMITS,
  poolOf,
} from "./client/channel_pool.ts";
export { channelPool } from "./client/pool_key.ts";
export {
  type ForwardedCall,
  type ForwardTargets,
  forwardTargets,
} from "./forward/forward_targets.ts";
export {
  CallError,
  isRepeatable,
  markUnsent,
  RemoteError,
  RpcError,
} from "./errors.ts";
export { RpcResponse } from "./client/response.ts";
export { loadAnsweringIfNeeded } from "./handler/function_handler.ts";
export { handlerFrom } from "./handler/handler_from.ts";
export { checkHandler, invoke, notFound } from "./handler/invoke.ts";
export { type Middleware, MiddlewareList } from "./handler/middleware.ts";
export { Router } from "./handler/router.ts";
export { remoteOf } from "./remote/remote.ts";
export type { Remote } from "./remote/types.ts";
export { LazyServer, loadServer } from "./server/lazy_server.ts";
export type { Server, ServerOptions } from "./server/server.ts";
export { SessionState } from "./session_state.ts";
export { DEFAULT_MAX_META_SIZE, MAX_META_SIZE } from "./wire/metadata.ts";
export { checkSelector } from "./wire/selector.ts";
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
