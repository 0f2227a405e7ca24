/**
 * What a service looks like to its peer, in types alone: nothing in this module
 * exists at run time. The types that are here refer to each other: what is sent for
 * a function depends on what it receives, and the other way round.
 *
 * Types with a parameter `C` depend on the codec of the peer: `C` is what it
 * carries. Those that convert types are written so that the compiler can put off
 * the parts of a recursive type: arrays and tuples are spelled out, since a mapped
 * type over them is expanded at once.
 *
 * @module
 */
import type { Carried } from "../../codec/internal.ts";
import type { UNSENT_NAMES, UNSENT_PREFIXES } from "../wire/selector.ts";
import type { OmitsInner, SentList } from "./argument_list.ts";
import type {
  CallbackLife,
  CallbackOf,
  ReceivedStream,
} from "./callback_life.ts";
import type {
  CannotSend,
  NoBigInt,
  NoCollection,
  NoMethod,
  NoMethodOfClass,
  Uncallable,
} from "./cannot_send.ts";
import type { CarriesResult } from "./carriable.ts";
import type { ByteStream, RemoteBytes, RemoteStream } from "./streams.ts";
import type {
  AnyFunction,
  HasToJSON,
  HidesMembers,
  LiteralObject,
  PlainValue,
  Uncarried,
  WholeValue,
} from "./value_kinds.ts";

/**
 * Names that JavaScript, or tools for it, look up on any object, and that are
 * never sent.
 *
 * @ignore
 */
export type UnsentName =
  | (typeof UNSENT_NAMES)[number]
  | `${(typeof UNSENT_PREFIXES)[number]}${string}`;

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
 * What the codec does not carry does not compile: with JSON, nothing can be passed
 * for a parameter of type `Date`, because it would arrive as a string, and a method
 * whose result contains a `Map` cannot be called. The compiler's message says what
 * to do. A result that arrives as something else has that type: a `Date` is a
 * `string`.
 *
 * To limit the time of each call, make the object with
 * `remote({ timeout: 5_000 })`.
 *
 * Optional parameters can be left out: they are `undefined` at the other end, so
 * that defaults apply. A trailing `undefined` is left out as well. An `undefined`
 * before another argument would arrive as `null`, and compiles only if the
 * parameter accepts `null`.
 *
 * If a call fails and is not awaited, iterated or caught, that is an unhandled
 * rejection.
 *
 * The object is a stateless proxy. It can be logged, awaited and returned from
 * async functions like any other object. Names that JavaScript or its tools look
 * up on any object or function are not methods of it: `then`, `toJSON`,
 * `constructor`, `hasOwnProperty`, `call`, `apply`, `bind`, `name`, `length` and
 * others. They do what they do on any function: `api.add.call(null, 1, 2)` calls
 * `add`. Nor are names that begin with `__`, `$$` or `@@`. If a service has a
 * method of such a name, call it by its selector: `peer.call("name")`.
 *
 * @typeParam S the service: `typeof service`, a class, or an interface
 * @typeParam C what the codec carries
 */
export type Remote<S, C extends Carried = Carried> =
  & (S extends AnyFunction ? RemoteMethod<S, C> : unknown)
  & {
    readonly [
      K in keyof S as K extends Exclude<string, UnsentName> & string
        ? K extends UnsentName ? never
        : NonNullable<S[K]> extends AnyFunction ? K
        : NonNullable<S[K]> extends WholeValue | readonly unknown[] ? never
        : NonNullable<S[K]> extends object ? K
        : never
        : never
    ]-?: NonNullable<S[K]> extends AnyFunction
      ? RemoteMethod<NonNullable<S[K]>, C>
      : Remote<NonNullable<S[K]>, C>;
  };

/**
 * A method of the peer. Calling it starts the call at once.
 *
 * If the codec does not carry what it returns, calls do not compile: the message
 * says so.
 */
export type RemoteMethod<F extends AnyFunction, C extends Carried = Carried> =
  CarriesResult<ReturnType<F>, C> extends true ? (
      ...args: SentEach<Parameters<F>, C>
    ) => RemoteResult<ReturnType<F>, C>
    : Uncallable<
      CannotSend<
        "the result of this method",
        "return values that the codec carries, or use cbor()"
      >
    >;

/** What calling a remote method returns, by what the method itself returns. */
export type RemoteResult<R, C extends Carried = Carried> = [Awaited<R>] extends
  [never] ? Promise<never>
  : unknown extends Awaited<R> ? Promise<unknown>
  : [Awaited<R>] extends [AsyncIterable<infer T>]
    ? RemoteStream<StreamedValue<T, C>>
  : [Awaited<R>] extends [ReadableStream<infer T>]
    ? RemoteStream<StreamedValue<T, C>>
  : [Awaited<R>] extends [ByteStream] ? Promise<RemoteBytes>
  : Promise<Reply<Awaited<R>, C>>;

/**
 * A value of a stream: bytes stay bytes with every codec.
 *
 * @ignore
 */
export type StreamedValue<T, C extends Carried> = T extends Uint8Array
  ? Uint8Array<ArrayBuffer>
  : T extends undefined ? null
  : Received<T, C>;

/**
 * A reply value: on the wire, `undefined` is `null`, and an `Error` is the error
 * of the call.
 *
 * @ignore
 */
export type Reply<T, C extends Carried = Carried> = [T] extends [void] ? T
  : T extends undefined ? null
  : T extends Error ? "stack" extends keyof T ? never : Received<T, C>
  : Received<T, C>;

/**
 * A function of the peer that came with a call or with a response.
 *
 * If a call of it fails and is not awaited, iterated or caught, the error goes to
 * `onError`.
 *
 * One that came with a call can be called until that call is answered, or, after
 * {@linkcode CallbackLife.retain}, until it is released. One that came with a
 * response can be called until it is released, for which `using` can be used.
 *
 * @typeParam F the type of the function at its owner
 * @typeParam C what the codec carries; `CarriedByCbor` with `cbor()`
 */
export type Callback<F extends AnyFunction, C extends Carried = Carried> =
  & ((...args: SentEach<Parameters<F>, C>) => RemoteResult<ReturnType<F>, C>)
  & CallbackLife
  & CallbackOf<F>;

/**
 * A value as it is received: functions in it are callbacks, streams have the
 * methods of callbacks, and values that the codec does not carry have the type as
 * which they arrive.
 */
export type Received<T, C extends Carried = Carried> = T extends PlainValue ? T
  : T extends AnyFunction ? Callback<FunctionOf<T>, C>
  : T extends ReadableStream<infer U> ? ReceivedStream<StreamedValue<U, C>>
  : T extends AsyncIterable<infer U> ? ReceivedStream<StreamedValue<U, C>>
  : T extends readonly unknown[] ? ReceivedArray<T, C>
  : T extends Uint8Array ? C extends { bytes: infer B } ? B : string
  : T extends Date ? C extends { date: infer D } ? D : string
  : T extends HasToJSON<infer J> ? ReceivedObject<J, C>
  : ReceivedObject<T, C>;

/**
 * A value as it is received, without asking it for `toJSON()`.
 *
 * @ignore
 */
export type ReceivedObject<T, C extends Carried> = T extends PlainValue ? T
  : T extends bigint ? C extends { bigint: infer B } ? B : NoBigInt
  : T extends readonly unknown[] ? ReceivedArray<T, C>
  : T extends ReadonlyMap<infer K, infer V>
    ? C extends { map: true } ? Map<Element<K, C>, Element<V, C>>
    : NoCollection<"Map">
  : T extends ReadonlySet<infer E>
    ? C extends { set: true } ? Set<Element<E, C>> : NoCollection<"Set">
  : T extends Uncarried
    ? CannotSend<"an object of this class", "send a part of it instead">
  : T extends object ? ReceivedMembers<T, C>
  : T;

/**
 * The members of an object, as they are received. Methods of classes do not
 * arrive, but types cannot always tell them from other functions. A function counts
 * as a method if its object has private members, or has data and
 *
 * - the function does not return what it returns at the other end: a promise, a
 *   stream or nothing, or
 * - the object has the type of a class or an interface, and the function may be
 *   declared as a method.
 *
 * @ignore
 */
export type ReceivedMembers<T, C extends Carried> = HidesMembers<T> extends true
  ? {
    [K in keyof T]: NonNullable<T[K]> extends AnyFunction ? NoMethod
      : Received<T[K], C>;
  }
  : [T[keyof T]] extends [AnyFunction | undefined]
    ? { [K in keyof T]: Received<T[K], C> }
  : T extends LiteralObject ? { [K in keyof T]: ReceivedMember<T[K], C> }
  : {
    [K in keyof T]: IsMethod<T[K]> extends true ? NoMethodOfClass
      : ReceivedMember<T[K], C>;
  };

/**
 * Whether a member of a class or an interface may be a method: its parameters are
 * compared in both directions. A function without parameters may be one, too.
 *
 * @ignore
 */
export type IsMethod<F> = F extends CallbackLife ? false
  : F extends AnyFunction ? ((...args: never[]) => never) extends F ? true
    : false
  : false;

/**
 * A member of an object, as it is received.
 *
 * @ignore
 */
export type ReceivedMember<T, C extends Carried> = T extends AnyFunction
  ? T extends Disposable ? Callback<FunctionOf<T>, C>
  : IsAsynchronous<ReturnType<T>, C> extends true ? Callback<T, C>
  : NoMethod
  : Received<T, C>;

/**
 * An element of an array, as it is received: `undefined` is `null`.
 *
 * @ignore
 */
export type Element<T, C extends Carried> = T extends undefined ? null
  : Received<T, C>;

/**
 * An array or a tuple, as it is received.
 *
 * @ignore
 */
export type ReceivedArray<T extends readonly unknown[], C extends Carried> =
  T extends readonly [infer A] ? [Element<A, C>]
    : T extends readonly [infer A, infer B] ? [Element<A, C>, Element<B, C>]
    : T extends readonly [infer A, infer B, infer D]
      ? [Element<A, C>, Element<B, C>, Element<D, C>]
    : T extends readonly [infer A, ...infer Rest]
      ? number extends Rest["length"]
        ? [Element<A, C>, ...Element<Rest[number], C>[]]
      : T["length"] extends 1 | 2
        ? [Element<A, C>, Element<Exclude<Rest[0], undefined>, C>?]
      : { [I in keyof T]: Element<T[I], C> }
    : number extends T["length"] ? T extends unknown[] ? Element<T[number], C>[]
      : readonly Element<T[number], C>[]
    : { [I in keyof T]: Element<T[I], C> };

/**
 * What may be sent for a parameter of type `T`: what arrives as a `T`. For a
 * callback, that is any function with its parameters and results, async or not.
 */
export type Sent<T, C extends Carried = Carried> = SentFor<T, T, C>;

/**
 * What may be sent for a value of a stream: bytes are bytes with every codec.
 *
 * @ignore
 */
export type SentElement<T, C extends Carried> = [T] extends [Uint8Array] ? T
  : Sent<T, C>;

/**
 * What may be sent for one member of the union `Declared`.
 *
 * @ignore
 */
export type SentFor<T, Declared, C extends Carried> = T extends PlainValue ? T
  : T extends bigint
    ? C extends { bigint: infer B } ? [B] extends [Declared] ? T
      : CannotSend<
        "a bigint",
        "it may arrive as a number: declare number | bigint, or use cbor()"
      >
    : NoBigInt
  : T extends AnyFunction ? SentFunction<T, C>
  : T extends readonly unknown[] ? SentArray<T, C>
  : T extends Uint8Array ? C extends { bytes: unknown } ? T
    : string extends Declared ? T
    : CannotSend<
      "a Uint8Array",
      "it arrives as text: use cbor() or msgpack(), or stream the bytes"
    >
  : T extends Date ? C extends { date: unknown } ? T
    : string extends Declared ? T
    : CannotSend<
      "a Date",
      "it arrives as text: use cbor(), or send its getTime()"
    >
  : T extends AsyncIterable<infer U>
    ? AsyncIterable<SentElement<U, C>> | ReadableStream<SentElement<U, C>>
  : T extends ReadableStream<infer U>
    ? AsyncIterable<SentElement<U, C>> | ReadableStream<SentElement<U, C>>
  : T extends ReadonlyMap<infer K, infer V>
    ? C extends { map: true } ? ReadonlyMap<Sent<K, C>, Sent<V, C>>
    : NoCollection<"Map">
  : T extends ReadonlySet<infer E>
    ? C extends { set: true } ? ReadonlySet<Sent<E, C>> : NoCollection<"Set">
  : T extends HasToJSON<infer J> ? [ReceivedObject<J, C>] extends [Declared] ? T
    : CannotSend<
      "an object with toJSON()",
      "it arrives as the result of toJSON(): declare that type"
    >
  : T extends Uncarried
    ? CannotSend<"an object of this class", "send a part of it instead">
  : T extends object ? HidesMembers<T> extends true ? CannotSend<
        "an instance of this class",
        "it arrives without methods: declare an interface of its data"
      >
    : T extends Error
      ? "stack" extends keyof T ? CannotSend<"an Error", "send its message">
      : { [K in keyof T]: Sent<T[K], C> }
    : T extends LiteralObject ? { [K in keyof T]: Sent<T[K], C> }
    : [T[keyof T]] extends [AnyFunction | undefined]
      ? { [K in keyof T]: Sent<T[K], C> }
    : { [K in keyof T]: SentMember<T[K], C> }
  : T;

/**
 * What may be sent for a member of a class or an interface with data.
 *
 * @ignore
 */
export type SentMember<T, C extends Carried> = IsMethod<T> extends true
  ? CannotSend<
    "a method of a class or an interface with data",
    "an instance arrives without it: declare it as Callback<F>, or the type of the object with type"
  >
  : Sent<T, C>;

/**
 * What may be sent for an array or a tuple.
 *
 * @ignore
 */
export type SentArray<T extends readonly unknown[], C extends Carried> =
  T extends readonly [infer A] ? readonly [Sent<A, C>]
    : T extends readonly [infer A, infer B] ? readonly [Sent<A, C>, Sent<B, C>]
    : T extends readonly [infer A, infer B, infer D]
      ? readonly [Sent<A, C>, Sent<B, C>, Sent<D, C>]
    : T extends readonly [infer A, ...infer Rest]
      ? number extends Rest["length"]
        ? readonly [Sent<A, C>, ...Sent<Rest[number], C>[]]
      : T["length"] extends 1 | 2
        ? readonly [Sent<A, C>, Sent<Exclude<Rest[0], undefined>, C>?]
      : { [I in keyof T]: Sent<T[I], C> }
    : number extends T["length"] ? readonly Sent<T[number], C>[]
    : { [I in keyof T]: Sent<T[I], C> };

/**
 * What may be sent for each of a list of parameters. An `undefined` before another
 * argument arrives as `null`, so it may be sent for a parameter that takes `null`.
 *
 * @ignore
 */
export type SentEach<
  Args extends readonly unknown[],
  C extends Carried = Carried,
> = OmitsInner<Args> extends true
  ? SentList<{ [K in keyof Args]: Sent<Args[K], C> }>
  : { [K in keyof Args]: Sent<Args[K], C> };

/**
 * The type of the function at its owner, of a callback or of a function.
 *
 * @ignore
 */
export type FunctionOf<T extends AnyFunction> = T extends
  CallbackLife & CallbackOf<infer F> ? F extends AnyFunction ? F : T : T;

/**
 * A function that may be sent for a parameter of type `F`: a {@linkcode Callback},
 * or a function that returns nothing or what a callback returns.
 *
 * @ignore
 */
export type SentFunction<F extends AnyFunction, C extends Carried = Carried> =
  F extends CallbackLife ? Lent<FunctionOf<F>, C>
    : IsAsynchronous<ReturnType<F>, C> extends true ? Lent<F, C>
    : CannotSend<
      "a function",
      "it arrives as one that returns a promise: declare the parameter as Callback<F>"
    >;

/**
 * A function that is sent as a callback.
 *
 * @ignore
 */
export type Lent<F extends AnyFunction, C extends Carried> = (
  ...args: ReceivedEach<Parameters<F>, C>
) => SentResult<ReturnType<F>, C>;

/**
 * Whether what a callback returns may stand for what the function returns.
 *
 * @ignore
 */
export type IsAsynchronous<R, C extends Carried> = [R] extends [void] ? true
  : unknown extends R ? true
  : [RemoteResult<R, C>] extends [R] ? true
  : false;

/**
 * Each of a list of parameters, as it is received.
 *
 * @ignore
 */
export type ReceivedEach<
  Args extends readonly unknown[],
  C extends Carried = Carried,
> = { [K in keyof Args]: Received<Args[K], C> };

/**
 * What a function that is sent as a callback may return.
 *
 * @ignore
 */
export type SentResult<R, C extends Carried = Carried> = [Awaited<R>] extends
  [AsyncIterable<infer T>]
  ? AsyncIterable<Sent<T, C>> | ReadableStream<Sent<T, C>>
  : [Awaited<R>] extends [ReadableStream<infer T>]
    ? AsyncIterable<Sent<T, C>> | ReadableStream<Sent<T, C>>
  : [Awaited<R>] extends [ByteStream | RemoteBytes]
    ? ByteStream | Promise<ByteStream>
  : Sent<Awaited<R>, C> | Promise<Sent<Awaited<R>, C>>;
