/**
 * What a service looks like to its peer, in types alone: nothing in this module
 * exists at run time.
 *
 * @module
 */
import type { WaitOptions } from "../../mux/internal.ts";
import type { UNSENT_NAMES } from "../wire/selector.ts";

/**
 * Any function, as a constraint.
 *
 * @ignore
 */
export type AnyFunction = (...args: never[]) => unknown;

/**
 * Values that are sent as a whole: no functions are looked for inside.
 *
 * @ignore
 */
export type WholeValue =
  | string
  | number
  | bigint
  | boolean
  | symbol
  | null
  | undefined
  | Date
  | ArrayBuffer
  | ArrayBufferView
  | Error
  | ReadonlyMap<unknown, unknown>
  | ReadonlySet<unknown>;

/**
 * Names that JavaScript looks up on any object, and that are never sent.
 *
 * @ignore
 */
export type UnsentName = (typeof UNSENT_NAMES)[number];

/**
 * The peer's service as an object. Its methods are called over the wire; a method
 * of a nested object is called as `name.method`.
 *
 * What a method returns determines what a call of it returns:
 *
 * | the method returns | the call returns |
 * | --- | --- |
 * | `T` or `Promise<T>` | `Promise<T>`; `undefined` arrives as `null` |
 * | `AsyncIterable<T>`, a generator, `ReadableStream<T>` | {@linkcode RemoteStream}: `for await` |
 * | {@linkcode ByteStream} | `Promise` of {@linkcode RemoteBytes} |
 *
 * Functions in arguments and results become {@linkcode Callback}s on the other
 * side, and streams become {@linkcode ReceivedStream}s.
 *
 * To limit the time of each call, make the object with
 * `remote({ timeout: 5_000 })`.
 *
 * Parameters that the type allows to leave out can be left out: they are
 * `undefined` at the other end, so that defaults apply. A trailing `undefined` is
 * left out as well; one before another argument arrives as `null`.
 *
 * A failure of a call that is not awaited, iterated or caught is an unhandled
 * rejection.
 *
 * The object is a stateless proxy. It can be logged, awaited and returned from
 * async functions like any other object: names that JavaScript itself looks up,
 * such as `then`, `toJSON` and `constructor`, are not methods of it.
 *
 * @typeParam S the service: `typeof service`, a class, or an interface
 */
export type Remote<S> =
  & (S extends AnyFunction ? RemoteMethod<S> : unknown)
  & {
    readonly [
      K in keyof S as K extends Exclude<string, UnsentName> & string
        ? K extends UnsentName ? never
        : NonNullable<S[K]> extends AnyFunction ? K
        : NonNullable<S[K]> extends WholeValue | readonly unknown[] ? never
        : NonNullable<S[K]> extends object ? K
        : never
        : never
    ]-?: NonNullable<S[K]> extends AnyFunction ? RemoteMethod<NonNullable<S[K]>>
      : Remote<NonNullable<S[K]>>;
  };

/** A method of the peer. Calling it starts the call at once. */
export type RemoteMethod<F extends AnyFunction> = (
  ...args: SentEach<Parameters<F>>
) => RemoteResult<ReturnType<F>>;

/** What calling a remote method returns, by what the method itself returns. */
export type RemoteResult<R> = [Awaited<R>] extends [never] ? Promise<never>
  : unknown extends Awaited<R> ? Promise<unknown>
  : [Awaited<R>] extends [AsyncIterable<infer T>] ? RemoteStream<Received<T>>
  : [Awaited<R>] extends [ReadableStream<infer T>] ? RemoteStream<Received<T>>
  : [Awaited<R>] extends [ByteStream] ? Promise<RemoteBytes>
  : Promise<Reply<Awaited<R>>>;

/**
 * A reply value: on the wire, `undefined` is `null`.
 *
 * @ignore
 */
export type Reply<T> = [T] extends [void] ? T
  : T extends undefined ? null
  : Received<T>;

/**
 * What a method returns to become a stream of bytes in both directions. A method
 * can return any such pair of streams: a connection, the stdin and stdout of a
 * child process, the two ends of a `TransformStream`.
 */
export interface ByteStream {
  /** Bytes to the caller. */
  readonly readable: ReadableStream<Uint8Array>;
  /** Bytes from the caller. */
  readonly writable:
    | WritableStream<Uint8Array>
    | WritableStream<Uint8Array<ArrayBuffer>>
    | WritableStream<BufferSource>;
}

/** A call that has become a stream of bytes. Close it when you have finished. */
export interface RemoteBytes extends AsyncDisposable {
  /** The value before the bytes; usually `null`. */
  readonly value: unknown;
  /** Bytes from the method. */
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** Bytes to the method; closing it leaves `readable` open. */
  readonly writable: WritableStream<Uint8Array>;
  /** Closes both directions. */
  close(): Promise<void>;
}

/** A continued response as a whole. Close it when you have finished. */
export interface RemoteContinuation<T> extends RemoteBytes, AsyncIterable<T> {
  /**
   * The next value; `undefined` at the end. Aborting `signal` rejects the wait
   * with its reason, and leaves the value to the next `receive()`.
   */
  receive(options?: WaitOptions): Promise<T | undefined>;
  /**
   * Sends a value to the method; waits while the method does not read. Aborting
   * `signal` rejects the wait with its reason, and sends nothing. If a part of
   * the value was sent already, the call is closed.
   */
  send(value: unknown, options?: WaitOptions): Promise<void>;
}

/**
 * A call that streams values: iterate it. Leaving the loop ends the producer; an
 * error of the producer is thrown in the loop, as a `RemoteError`.
 *
 * Await it instead to get the response as a whole. It can be used in one way
 * only: the first decides.
 */
export interface RemoteStream<T>
  extends AsyncIterable<T>, Promise<RemoteContinuation<T>> {}

/** How long a callback can be called. */
export interface CallbackLife extends Disposable {
  /**
   * Keeps the callback after the call that it came with, until
   * {@linkcode release}. Call it before that call is answered, because the answer
   * tells the peer. A callback that came with a response need not be retained.
   *
   * Each `retain()` is a holder, and so is each response that the callback came
   * with. It can be called as long as it has one.
   *
   * @returns the callback itself
   * @throws {RpcError} `released` if it is too late
   */
  retain(): this;
  /**
   * Takes one holder away. Without any, the callback can no longer be called, except
   * by the handlers of calls that it came with. `using` does the same.
   */
  release(): void;
}

/**
 * A function of the peer that came with a call or with a response.
 *
 * The failure of a call that is not awaited, iterated or caught goes to `onError`.
 *
 * One that came with a call can be called until that call is answered, or, after
 * {@linkcode CallbackLife.retain}, until it is released. One that came with a
 * response can be called until it is released, for which `using` can be used.
 *
 * @typeParam F the type of the function at its owner
 */
export type Callback<F extends AnyFunction> =
  & ((...args: SentEach<Parameters<F>>) => RemoteResult<ReturnType<F>>)
  & CallbackLife;

/**
 * A stream of the peer that came among the arguments of a call, or in a response.
 * It can be read once, with a channel and a window of its own. A stream of bytes
 * arrives as a stream of bytes.
 *
 * It lives as a {@linkcode Callback} does, and has the same methods: one that came
 * with a call can be read until the call is answered, and to its end if reading has
 * begun by then. One that came with a response is released when it has been read or
 * cancelled.
 *
 * @typeParam T the type of its values
 */
export type ReceivedStream<T> = ReadableStream<T> & CallbackLife;

/**
 * A value as it is received: functions in it are callbacks, and streams have their
 * methods.
 */
export type Received<T> = T extends AnyFunction ? Callback<T>
  : T extends WholeValue ? T
  : T extends AsyncIterable<infer U> ? ReceivedStream<Received<U>>
  : T extends ReadableStream<infer U> ? ReceivedStream<Received<U>>
  : T extends object ? { [K in keyof T]: Received<T[K]> }
  : T;

/**
 * What may be sent for a parameter of type `T`. For a callback, that is any
 * function with its parameters and results, async or not.
 */
export type Sent<T> = T extends AnyFunction ? SentFunction<T>
  : T extends WholeValue ? T
  : T extends AsyncIterable<infer U> ? AsyncIterable<U> | ReadableStream<U>
  : T extends ReadableStream<infer U> ? AsyncIterable<U> | ReadableStream<U>
  : T extends object ? { [K in keyof T]: Sent<T[K]> }
  : T;

/**
 * What may be sent for each of a list of parameters.
 *
 * @ignore
 */
export type SentEach<Args extends readonly unknown[]> = {
  [K in keyof Args]: Sent<Args[K]>;
};

/**
 * A function that may be sent as a callback.
 *
 * @ignore
 */
export type SentFunction<F extends AnyFunction> = (
  ...args: ReceivedEach<Parameters<F>>
) => SentResult<ReturnType<F>>;

/**
 * Each of a list of parameters, as it is received.
 *
 * @ignore
 */
export type ReceivedEach<Args extends readonly unknown[]> = {
  [K in keyof Args]: Received<Args[K]>;
};

/**
 * What a function that is sent as a callback may return.
 *
 * @ignore
 */
export type SentResult<R> = [R] extends [AsyncIterable<infer T>]
  ? AsyncIterable<T> | ReadableStream<T>
  : [Awaited<R>] extends [RemoteBytes] ? ByteStream | Promise<ByteStream>
  : Sent<Awaited<R>> | Promise<Sent<Awaited<R>>>;
