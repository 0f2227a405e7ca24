/**
 * The nouns of RPC: who calls, who answers, and what they hold meanwhile.
 *
 * @module
 */
import type { Channel } from "../mux/internal.ts";
import type { Remote } from "./remote/types.ts";
import type { RpcResponse } from "./client/response.ts";

/** Choices for one call. */
export interface CallOptions {
  /** Gives the call up: its channel is closed, and it rejects with the reason. */
  signal?: AbortSignal | undefined;
  /**
   * Milliseconds for the whole call, opening its channel included; it then
   * rejects with an `RpcError`, code `timeout`. Default: no limit. A Go peer
   * never answers a call whose header it cannot decode.
   */
  timeout?: number | undefined;
}

/** Anything that calls can be made through. */
export interface Caller {
  /**
   * Calls `selector` and resolves to the first reply value, `null` when there
   * is none. A continued response is closed.
   *
   * @param selector what to call; `foo.bar`, `/foo/bar` and `foo/bar` are one
   * @param args the argument value, sent as it is: function handlers want an
   * array. An async iterable is sent as many values, one each. Default: `null`
   * @param options signal and timeout
   * @throws {RemoteError} if the other side answered with an error
   * @throws {RpcError} `timeout` or `no-response`
   * @throws {CodecError} if a value cannot be encoded or decoded
   * @throws {MuxError} if the session ended or refused the channel
   * @throws {unknown} `signal.reason`
   */
  call(
    selector: string,
    args?: unknown,
    options?: CallOptions,
  ): Promise<unknown>;
  /**
   * Calls `selector` and resolves to the whole response: all values of one that
   * is complete, or the first value and the open channel of a continued one.
   * Parameters and errors are those of {@linkcode call}.
   */
  request(
    selector: string,
    args?: unknown,
    options?: CallOptions,
  ): Promise<RpcResponse>;
  /**
   * The other side's service as an object of methods, typed by the service
   * itself or by an interface: see {@linkcode Remote}.
   *
   * @typeParam S the service
   * @param options signal and timeout of every call made by it
   */
  remote<S extends object>(options?: CallOptions): Remote<S>;
}

/** A call as its handler sees it. */
export interface Call {
  /** What was called, cleaned: `/foo/bar`. */
  readonly selector: string;
  /** Calls back to who called, over the same session. */
  readonly caller: Caller;
  /** The channel of the call: plain bytes, behind the values received. */
  readonly channel: Channel;
  /**
   * Aborts if the caller closes the call before it was answered; for a
   * continued call, when it closes the channel or the session is lost. Never on
   * EOF, which only ends the caller's direction.
   */
  readonly signal: AbortSignal;
  /**
   * The next value that the caller sent, usually the only one; `undefined` at
   * the end. The reference sends no end after its arguments.
   *
   * @throws {CodecError} if it cannot be decoded
   * @throws {MuxError} `connection-lost`
   */
  receive(): Promise<unknown>;
  /** Receives until the end. */
  [Symbol.asyncIterator](): AsyncIterator<unknown, undefined>;
}

/** How a handler answers. One `return` or `continue` a call. */
export interface Responder {
  /**
   * Answers with these values, `null` if there are none, and ends the call. An
   * `Error` as the only value is an error response. Resolves when all is on its
   * way; a caller that is gone is no error.
   *
   * @throws {RpcError} `invalid-state` if the call was answered before
   * @throws {CodecError} if a value cannot be encoded; nothing is sent then
   */
  return(...values: unknown[]): Promise<void>;
  /**
   * Answers with these values and keeps the channel open for more values, or
   * for bytes. Whoever holds the channel closes it.
   *
   * @throws {RpcError} `invalid-state` if the call was answered before
   * @throws {CodecError} if a value cannot be encoded; nothing is sent then
   */
  continue(...values: unknown[]): Promise<Channel>;
  /**
   * Sends one more value on a continued call; waits while the caller does not
   * read.
   *
   * @throws {RpcError} `invalid-state` before `continue`
   * @throws {CodecError} if the value cannot be encoded
   * @throws {MuxError} if the channel is closed
   */
  send(value: unknown): Promise<void>;
}

/**
 * Answers calls. What it throws becomes the error response, if there was no
 * response yet; if it neither answers nor throws, the answer is `null`.
 */
export type HandlerFunction = (
  call: Call,
  respond: Responder,
) => void | Promise<void>;

/** An object that answers calls; a `Router` is one. */
export interface HandlerObject {
  /** Answers one call. */
  respond: HandlerFunction;
}

/** Whatever answers calls. */
export type Handler = HandlerFunction | HandlerObject;
