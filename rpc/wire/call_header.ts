import type { Codec, ValueWeight } from "../../codec/internal.ts";
import {
  type CallHeader,
  decodeHeader,
  extensionOf,
  fieldOf,
  mapIn,
  wrongType,
} from "./headers.ts";
import { isTrace } from "./metadata.ts";

/**
 * Decodes a call header. A map that has one meaning only is valid: without a
 * selector it calls the empty one.
 *
 * @param weight where the memory that the header takes is written
 * @throws {RpcError} `malformed-header`
 * @throws {CodecError} if the bytes are not a value
 */
export function decodeCallHeader(
  codec: Codec,
  bytes: Uint8Array,
  weight?: ValueWeight,
): CallHeader {
  const header = decodeHeader(codec, bytes, "call", weight);
  const selector = fieldOf(header, "call", "Selector", "S", "");
  if (typeof selector !== "string") throw wrongType("call", "Selector");
  const { from }: { from?: unknown } = mapIn(header["Q"]) ?? {};
  return {
    selector,
    extension: extensionOf(header),
    from: typeof from === "string" ? from : undefined,
  };
}

/** The trace context in the field `Q`; undefined if there is none. */
export function traceIn(
  extension: Readonly<Record<string, unknown>> | undefined,
): string | undefined {
  const trace = extension?.["trace"];
  return isTrace(trace) ? trace : undefined;
}
