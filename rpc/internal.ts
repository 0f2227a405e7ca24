/**
 * What `talk` uses of this layer, beyond its public face: no entry point exports
 * it.
 *
 * @module
 */
export { DEFAULT_MAX_CALLBACKS } from "./callback/callback_table.ts";
export { Link } from "./callback/link.ts";
export { ChannelPool, lendChannels } from "./client/channel_pool.ts";
export { Client } from "./client/client.ts";
export type { RpcResponse } from "./client/response.ts";
export { RemoteError, RpcError } from "./errors.ts";
export { handlerFrom } from "./handler/handler_from.ts";
export { invoke, notFound, Router } from "./handler/router.ts";
export { remoteOf } from "./remote/remote.ts";
export type { Remote } from "./remote/types.ts";
export { Server } from "./server/server.ts";
export type {
  Call,
  Caller,
  CallOptions,
  Handler,
  HandlerFunction,
  Responder,
} from "./types.ts";
