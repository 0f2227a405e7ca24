/**
 * What a service looks like from the other side, in types alone: nothing here
 * exists at run time.
 *
 * @module
 */
import type { CallbackLife } from "../callback/callback.ts";

/** Any function. */
export type AnyFunction = (...args: never[]) => unknown;

/** What travels as one value, and has no functions inside to be looked for. */
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

/** Names that JavaScript asks every object for, and that are never sent. */
export type UnsentName =
  | "then"
  | "toJSON"
  | "toString"
  | "toLocaleString"
  | "valueOf"
  | "inspect"
  | "constructor"
  | "prototype"
  | "__proto__";

/**
 * A service at the other side: its methods, called over the wire, and in its
 * nested objects those of `name.method`.
 *
 * What a method returns tells what calling it gives:
 *
 * | the service returns | the call is |
 * | --- | --- |
 * | `T` or `Promise<T>` | `Promise<T>`; `undefined` arrives as `null` |
 * | `AsyncIterable<T>`, a generator, `ReadableStream<T>` | {@linkcode RemoteStream}: `for await` |
 * | {@linkcode ByteStream} | a promise of {@linkcode RemoteBytes} |
 *
 * Functions among arguments and results become {@linkcode Callback}s at the
 * other side. A parameter that is an async iterable has to be the only one.
 *
 * The object is a proxy without state. It can be logged, awaited and returned
 * from async functions like any other: the names that JavaScript itself asks
 * for, such as `then`, `toJSON` and `constructor`, are no methods of it.
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

/** A method at the other side: starts the call at once. */
export type RemoteMethod<F extends AnyFunction> = (
  ...args: SentEach<Parameters<F>>
) => RemoteResult<ReturnType<F>>;

/** What calling a remote method gives, by what the method returns. */
export type RemoteResult<R> = [Awaited<R>] extends [never] ? Promise<never>
  : unknown extends Awaited<R> ? Promise<unknown>
  : [Awaited<R>] extends [AsyncIterable<infer T>] ? RemoteStream<Received<T>>
  : [Awaited<R>] extends [ReadableStream<infer T>] ? RemoteStream<Received<T>>
  : [Awaited<R>] extends [ByteStream] ? Promise<RemoteBytes>
  : Promise<Reply<Awaited<R>>>;

/** A reply value: on the wire, `undefined` is `null`. */
export type Reply<T> = [T] extends [void] ? T
  : T extends undefined ? null
  : Received<T>;

/**
 * What a method returns that becomes a stream of bytes in both directions. At
 * run time, a function can return any such pair: a connection, a child's stdin
 * and stdout, the two ends of a transformation.
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

/** A call that has become a stream of bytes. Who holds it closes it. */
export interface RemoteBytes extends AsyncDisposable {
  /** The value in front of the bytes; mostly `null`. */
  readonly value: unknown;
  /** Bytes from the other side. */
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** Bytes to the other side; closing it leaves `readable` open. */
  readonly writable: WritableStream<Uint8Array>;
  /** Closes both directions. */
  close(): Promise<void>;
}

/** A continued response as a whole. Who holds it closes it. */
export interface RemoteContinuation<T> extends RemoteBytes, AsyncIterable<T> {
  /** The next value; `undefined` at the end. */
  receive(): Promise<T | undefined>;
  /** Sends a value to the method. */
  send(value: unknown): Promise<void>;
}

/**
 * A call that streams values: iterate it. Leaving the loop ends the producer at
 * the other side; an error there is thrown here, as a `RemoteError`.
 *
 * Awaited instead, it is the response as a whole. The face used first decides.
 */
export interface RemoteStream<T>
  extends AsyncIterable<T>, Promise<RemoteContinuation<T>> {}

/**
 * A function of the other side, that came with a call or with its response. It
 * can be called until the call that it came with is answered; {@linkcode
 * CallbackLife.retain} keeps it longer. One that came with a response can be
 * called until it is released: `using` does.
 *
 * @typeParam F the function, as it is where it comes from
 */
export type Callback<F extends AnyFunction> =
  & ((...args: SentEach<Parameters<F>>) => RemoteResult<ReturnType<F>>)
  & CallbackLife;

/** A value as it arrives: functions in it are callbacks. */
export type Received<T> = T extends AnyFunction ? Callback<T>
  : T extends WholeValue ? T
  : T extends object ? { [K in keyof T]: Received<T[K]> }
  : T;

/**
 * A value as it is sent to who wants a `T`: for a callback, any function of its
 * parameters and results, async or not.
 */
export type Sent<T> = T extends AnyFunction ? SentFunction<T>
  : T extends WholeValue ? T
  : T extends AsyncIterable<infer U> ? AsyncIterable<U> | ReadableStream<U>
  : T extends ReadableStream<infer U> ? AsyncIterable<U> | ReadableStream<U>
  : T extends object ? { [K in keyof T]: Sent<T[K]> }
  : T;

/** Each of a list of parameters, as it is sent. */
export type SentEach<Args extends readonly unknown[]> = {
  [K in keyof Args]: Sent<Args[K]>;
};

/** A function that is sent to be called back. */
export type SentFunction<F extends AnyFunction> = (
  ...args: ReceivedEach<Parameters<F>>
) => SentResult<ReturnType<F>>;

/** Each of a list of parameters, as it arrives. */
export type ReceivedEach<Args extends readonly unknown[]> = {
  [K in keyof Args]: Received<Args[K]>;
};

/** What a function may return that is sent for one that returns `R`. */
export type SentResult<R> = [R] extends [AsyncIterable<infer T>]
  ? AsyncIterable<T> | ReadableStream<T>
  : [Awaited<R>] extends [RemoteBytes] ? ByteStream | Promise<ByteStream>
  : Sent<Awaited<R>> | Promise<Sent<Awaited<R>>>;
