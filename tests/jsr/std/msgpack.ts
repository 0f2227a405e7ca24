/**
 * Stands in for `@std/msgpack`: the same two functions, over the npm package
 * with the same two.
 *
 * @module
 */
import {
  decode as decodeAny,
  encode as encodeAny,
} from "npm:@msgpack/msgpack@^3";

/** What can be encoded. */
export type ValueType =
  | number
  | bigint
  | string
  | boolean
  | null
  | Uint8Array
  | readonly ValueType[]
  | ValueMap;

/** An object of them. */
export interface ValueMap {
  [index: string | number]: ValueType;
}

/** Encodes a value. */
export function encode(object: ValueType): Uint8Array<ArrayBuffer> {
  return encodeAny(object, { useBigInt64: true }).slice();
}

/** Decodes a value; 64-bit integers come as bigint. */
export function decode(data: Uint8Array): ValueType {
  return decodeAny(data, { useBigInt64: true }) as ValueType;
}
