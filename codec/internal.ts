/**
 * What the RPC layer uses of this layer and programs do not need: no entry point
 * exports it.
 *
 * @module
 */
export { type Codec, DEFAULT_MAX_DEPTH } from "./codec.ts";
export { CodecError } from "./errors.ts";
export { json } from "./json.ts";
export { isPlainObject, Normalizer } from "./normalizer.ts";
export {
  DEFAULT_MAX_VALUE_SIZE,
  DEFAULT_VALUE_BUDGET_SIZE,
  PREFIX_SIZE,
  ValueBudget,
  ValueReader,
  ValueWriter,
} from "./value/value_stream.ts";
