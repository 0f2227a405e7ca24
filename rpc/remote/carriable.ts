import type { Carried } from "../../codec/internal.ts";
import type { ByteStream } from "./streams.ts";
import type {
  AnyFunction,
  HasToJSON,
  PlainValue,
  Uncarried,
} from "./value_kinds.ts";

/**
 * Whether a codec carries what a method returns.
 *
 * @ignore
 */
export type CarriesResult<R, C extends Carried> = unknown extends Awaited<R>
  ? true
  : [Awaited<R>] extends [AsyncIterable<infer T> | ReadableStream<infer T>]
    ? [T] extends [Carriable<T, C>] ? true : false
  : [Awaited<R>] extends [ByteStream] ? true
  : [Answer<Awaited<R>>] extends [Carriable<Answer<Awaited<R>>, C>] ? true
  : false;

/**
 * A result without errors, which are carried by the header of a response.
 *
 * @ignore
 */
export type Answer<T> = T extends Error ? "stack" extends keyof T ? never : T
  : T;

/**
 * A type, without what a codec refuses to encode.
 *
 * @ignore
 */
export type Carriable<T, C extends Carried> = T extends PlainValue | Date ? T
  : T extends bigint ? C extends { bigint: unknown } ? T : never
  : T extends Uint8Array | AnyFunction ? T
  : T extends readonly (infer E)[] ? readonly Carriable<E, C>[]
  : T extends ReadonlyMap<infer K, infer V>
    ? C extends { map: true } ? ReadonlyMap<Carriable<K, C>, Carriable<V, C>>
    : never
  : T extends ReadonlySet<infer E>
    ? C extends { set: true } ? ReadonlySet<Carriable<E, C>> : never
  : T extends Uncarried ? never
  : T extends Error ? "stack" extends keyof T ? never : CarriableMembers<T, C>
  : T extends HasToJSON<infer J> ? [J] extends [Carriable<J, C>] ? T : never
  : T extends object ? CarriableMembers<T, C>
  : T;

/**
 * The members of an object, without what a codec refuses to encode.
 *
 * @ignore
 */
export type CarriableMembers<T, C extends Carried> = {
  [K in keyof T]: Carriable<T[K], C>;
};
