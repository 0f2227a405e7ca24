/**
 * What the layers above use of this layer, beyond its public face: no entry
 * point exports it.
 *
 * @module
 */
export type { Carried, Codec, ValueWeight } from "./codec.ts";
export { CodecError } from "./errors.ts";
export { json, type TinyDecoder, tinyDecoderOf } from "./json.ts";
export {
  decodeWeighed,
  DEFAULT_MAX_DEPTH,
  DEFAULT_MAX_ITEMS,
  weightOf,
} from "./limits.ts";
export { isPlainObject, Normalizer } from "./normalizer.ts";
export {
  DEFAULT_MAX_VALUE_SIZE,
  type ValueMemory,
  ValueReader,
} from "./value/value_reader.ts";
export { PREFIX_SIZE, SpareBuffer, ValueWriter } from "./value/value_writer.ts";
