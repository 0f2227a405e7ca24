/**
 * Any function, as a constraint.
 *
 * @ignore
 */
export type AnyFunction = (...args: never[]) => unknown;

/**
 * Values that every codec carries as they are.
 *
 * @ignore
 */
export type PlainValue = string | number | boolean | null | undefined | void;

/**
 * Values that are never namespaces of methods.
 *
 * @ignore
 */
export type WholeValue =
  | PlainValue
  | bigint
  | symbol
  | Date
  | ArrayBuffer
  | ArrayBufferView
  | Error
  | ReadonlyMap<unknown, unknown>
  | ReadonlySet<unknown>;

/**
 * Objects of built-in classes that no codec carries.
 *
 * @ignore
 */
export type Uncarried =
  | symbol
  | ArrayBuffer
  | ArrayBufferView
  | RegExp
  | Promise<unknown>
  | Blob
  | FormData
  | Headers
  | Request
  | Response
  | URLSearchParams
  | AbortSignal
  | WritableStream;

/**
 * An object that encodes itself.
 *
 * @ignore
 */
export interface HasToJSON<J> {
  /** Returns what is sent in its place. */
  toJSON(...args: never[]): J;
}

/**
 * What the types of object literals and type aliases extend, but neither classes
 * nor interfaces.
 *
 * @ignore
 */
export interface LiteralObject {
  readonly [key: string]: unknown;
}

/**
 * Whether a type is a class with private or protected members.
 *
 * @ignore
 */
export type HidesMembers<T> = { [K in keyof T]: T[K] } extends T ? false : true;
