/**
 * The vocabulary of RPC: callers, calls, responders and handlers.
 *
 * @module
 */
import type { Carried } from "../codec/internal.ts";
import type { Channel, WaitOptions } from "../mux/internal.ts";
import type { RpcResponse } from "./client/response.ts";
import type { Remote } from "./remote/types.ts";
import type { Metadata } from "./wire/metadata.ts";

/** Options for one call. */
export interface CallOptions {
  /**
   * Cancels the call: its channel is closed, and it rejects with the signal's
   * reason. The signal applies for as long as the call lives: while a stream of
   * values or of bytes continues, aborting makes everything that waits for it
   * reject with the reason, stops its producers, and releases its callbacks unless
   * they are retained or the same functions also came with another call. Default:
   * no signal.
   */
  signal?: AbortSignal | undefined;
  /**
   * The time limit of the call until its first answer, including the wait for a
   * channel, in milliseconds; after it, the call rejects with an `RpcError` whose
   * code is `timeout`. It does not limit the rest of a continued response, such as
   * a stream of values: for that, give `AbortSignal.timeout()` as the `signal`. A
   * number of at least 0; above 2^31 - 1 there is no limit.
   * Default: no limit.
   *
   * The time limit is sent to peers of this package: it determines `call.deadline`
   * and `call.signal` of the handler, and limits the calls that the handler makes.
   *
   * Peers in Go never answer a call whose header they cannot decode, so calls to
   * them should have a limit.
   */
  timeout?: number | undefined;
  /**
   * The call of a handler for which this one is made. This one has no more time
   * until its first answer than is left until the deadline of that call; then it
   * rejects with an `RpcError` whose code is `deadline-exceeded`. This always
   * applies to calls that a handler makes with `call.caller`, and to calls of
   * callbacks. Default: none.
   */
  parent?: Call | undefined;
  /**
   * Metadata for the handler, which has it as `call.meta`. Default: none.
   */
  meta?: Metadata | undefined;
  /**
   * The trace context of the call, for tracing: a `traceparent` of W3C Trace Context,
   * or another text of up to 512 characters. The handler has it as `call.trace`, if
   * both sides are of this package. `@qtalk/qtalk/opentelemetry` sets it. Default:
   * none.
   */
  trace?: string | undefined;
}

/**
 * Makes calls.
 *
 * @typeParam C what the codec carries besides JSON's values
 */
export interface Caller<C extends Carried = Carried> {
  /**
   * Calls `selector` and resolves to the first reply value, or to `null` if there
   * is none. A continued response is closed. A continued response without a value
   * is a stream, such as that of a generator: then the call rejects, and the
   * producer is stopped. Use {@linkcode request} or {@linkcode remote} for streams.
   * (Such responses of other implementations resolve to `null`.)
   *
   * @param selector what to call: `foo.bar`, `/foo/bar` and `foo/bar` are the same
   * @param args the argument value, sent as it is. Handlers made by
   * `handlerFrom()` expect an array. An async iterable is sent as many values.
   * Default: `null`
   * @param options signal, time limit and metadata
   * @throws {RemoteError} if the peer answered with an error
   * @throws {RpcError} `timeout`, `deadline-exceeded` or `no-response`;
   * `invalid-state` if the response is a stream
   * @throws {CodecError} if a value cannot be encoded or decoded; `too-large` if
   * there is more metadata than `maxMetaSize`, or the call header is longer than 64 KiB
   * @throws {MuxError} if the session has ended or the peer refused the channel
   * @throws {RangeError} if `timeout` is out of range
   * @throws {TypeError} if `selector` is not a string, `signal` is not a signal, or a
   * name in `meta` is reserved
   * @throws {unknown} `signal.reason`
   */
  call(
    selector: string,
    args?: unknown,
    options?: CallOptions,
  ): Promise<unknown>;
  /**
   * Calls `selector` and resolves to the whole response: all values of a complete
   * response, or the first value and the open channel of a continued one.
   *
   * The parameters and errors are those of {@linkcode call}.
   */
  request(
    selector: string,
    args?: unknown,
    options?: CallOptions,
  ): Promise<RpcResponse>;
  /**
   * The peer's service as an object of methods, typed by the service itself or by
   * an interface: see {@linkcode Remote}.
   *
   * @typeParam S the service
   * @typeParam D what the codec carries, if the type of the caller does not know
   * @param options signal, time limit and metadata of every call that the object makes
   * @throws {RangeError} if `timeout` is out of range
   * @throws {TypeError} if `signal` is not a signal
   */
  remote<S extends object, D extends Carried = C>(
    options?: CallOptions,
  ): Remote<S, D>;
}

/**
 * The peer that made a call, as the handlers of all its calls see it. It is the
 * same object for all calls of a session.
 *
 * @typeParam Context what the program knows about the peer
 */
export interface CallingPeer<Context = unknown> {
  /**
   * What the program knows about the peer: what `onPeer` of the listener returned
   * or set; undefined without `onPeer`. It never crosses the wire.
   */
  readonly context: Context;
  /**
   * The address of the peer, as its listener knows it; empty if it is unknown, and
   * for a peer that this side dialed.
   */
  readonly remoteAddr: string;
  /**
   * Settles when the session has ended: the peer has left, or was killed, or this
   * side closed it. It never causes an unhandled rejection.
   */
  readonly closed: Promise<void>;
  /**
   * Aborts when the session has ended. The `signal` of a call also aborts when its
   * caller gives the call up, but no longer aborts once the call has been answered.
   */
  readonly signal: AbortSignal;
}

/**
 * A call as its handler sees it.
 *
 * @typeParam Context what the program knows about the peer that made it
 */
export interface Call<Context = unknown> {
  /** What was called, in its canonical form: `/foo/bar`. */
  readonly selector: string;
  /** The peer that made the call: its context, and whether it has left. */
  readonly peer: CallingPeer<Context>;
  /** The metadata that the caller sent; an empty object if it sent none. */
  readonly meta: Metadata;
  /** The trace context that the caller sent; undefined if it sent none. */
  readonly trace: string | undefined;
  /**
   * Metadata for the caller, to be filled in. What it contains when the call is
   * answered arrives with the answer, even if that is an error. What a stream of
   * values adds later arrives when the stream ends. Callers have it as
   * `response.meta`, and as `meta` of a `RemoteError`. Callers that do not use this
   * package get none, and neither does the caller of a call that is forwarded.
   */
  readonly responseMeta: Record<string, unknown>;
  /**
   * Calls the caller back, over the same session. These calls have no more time
   * than is left for this one.
   */
  readonly caller: Caller;
  /**
   * The channel of the call: bytes, after the values that were received. Throws an
   * `RpcError` with code `invalid-state` if the call has been answered, and the
   * channel is used for other calls.
   */
  readonly channel: Channel;
  /**
   * The time until which the caller waits for the first answer, on the clock of
   * `performance.now()`: `call.deadline - performance.now()` milliseconds are left.
   * It is computed from the arrival of the call; the clock of the caller does not
   * matter. Undefined if the caller has no time limit or does not send it, and once
   * the call has been answered.
   */
  readonly deadline: number | undefined;
  /**
   * Aborts when the caller closes the call before it is answered, when the caller
   * closes a continued call, and when the session is lost. EOF does not abort it:
   * that only ends the caller's values. It also aborts, with an `RpcError` whose
   * code is `deadline-exceeded`, when the {@linkcode deadline} has passed without
   * an answer.
   */
  readonly signal: AbortSignal;
  /**
   * The next value from the caller; `undefined` at the end. Most callers send one
   * value, the array of arguments, and do not say that no more values follow: then a
   * second `receive()` waits until the call ends. The end arrives from callers of this
   * package that stream their arguments, but not from those of qtalk-go.
   *
   * Aborting `signal` rejects the wait with its reason. A value that arrives
   * later is left to the next `receive()`.
   *
   * @param options signal
   * @throws {RemoteError} if the caller's stream of values failed
   * @throws {RpcError} `cancelled` if the caller closed the call
   * @throws {CodecError} if the value cannot be decoded
   * @throws {MuxError} `connection-lost`
   * @throws {unknown} `signal.reason`
   */
  receive(options?: WaitOptions): Promise<unknown>;
  /** Receives until the end. */
  [Symbol.asyncIterator](): AsyncIterator<unknown, undefined>;
}

/**
 * Answers one call: with `return`, or with `continue` and any number of `send`.
 *
 * `return` and `continue` take only values and no signal. To be able to stop waiting
 * for a caller that does not read, take `call.channel` before you answer, and close it.
 */
export interface Responder {
  /**
   * Answers with these values, or with `null` if there are none, and ends the
   * call. A single `Error` becomes an error response.
   *
   * Resolves when everything has been queued. It is not an error if the caller
   * has gone.
   *
   * @throws {RpcError} `invalid-state` if the call was answered already
   * @throws {CodecError} if a value cannot be encoded; then nothing is sent
   */
  return(...values: unknown[]): Promise<void>;
  /**
   * Answers with these values, or with `null` if there are none, and keeps the
   * channel open for more values or for bytes. Close the channel when you have
   * finished.
   *
   * @throws {RpcError} `invalid-state` if the call was answered already
   * @throws {CodecError} if a value cannot be encoded; then nothing is sent
   */
  continue(...values: unknown[]): Promise<Channel>;
  /**
   * Sends one more value of a continued response. Waits while the caller does not
   * read.
   *
   * Aborting `signal` rejects the wait with its reason, and nothing is sent. If a
   * part of the value was sent already, the channel is closed.
   *
   * @param value the value to send
   * @param options signal
   * @throws {RpcError} `invalid-state` unless the response is continued
   * @throws {CodecError} if the value cannot be encoded
   * @throws {MuxError} if the channel is closed
   * @throws {unknown} `signal.reason`
   */
  send(value: unknown, options?: WaitOptions): Promise<void>;
}

/**
 * Answers calls. An error that it throws becomes the error response if the call has
 * not been answered yet; unless it is a `CallError`, it is also reported to
 * `onError`. If it neither answers nor throws, the answer is `null`. It returns
 * nothing: returning a value without answering is taken for a mistake (a function
 * that should be passed to `handlerFrom()`), and is answered with an error that
 * says so.
 */
export type HandlerFunction<Context = unknown> = (
  call: Call<Context>,
  respond: Responder,
) => void | Promise<void>;

/** An object that answers calls, such as a `Router`. */
export interface HandlerObject<Context = unknown> {
  /** Answers one call. */
  respond: HandlerFunction<Context>;
}

/**
 * Answers calls.
 *
 * @typeParam Context what it expects of `call.peer.context`
 */
export type Handler<Context = unknown> =
  | HandlerFunction<Context>
  | HandlerObject<Context>;
