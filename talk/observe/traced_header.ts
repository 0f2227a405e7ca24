import { type Codec, isPlainObject } from "../../codec/internal.ts";

/** What a header of a call or of a response says. */
export interface TracedHeader {
  readonly selector: string;
  readonly error: string | undefined;
  readonly continued: boolean;
  readonly extension: Readonly<Record<string, unknown>> | undefined;
}

/**
 * Reads a header, in either dialect; undefined if it is none. It is more lenient
 * than a peer, since it only shows what others make of it.
 */
export function readHeader(
  codec: Codec | undefined,
  bytes: Uint8Array,
  size: number,
): TracedHeader | undefined {
  if (codec === undefined || bytes.length < size) return undefined;
  let header;
  try {
    header = codec.decode(bytes);
  } catch {
    return undefined;
  }
  if (!isObject(header)) return undefined;
  const { Selector, S, Error: text, E, Continue, C, Q } = header;
  const selector = Selector ?? S ?? "";
  const error = text ?? E;
  return {
    selector: typeof selector === "string" ? selector : String(selector),
    error: error === null || error === undefined ? undefined : String(error),
    continued: Continue === true || C === true,
    extension: isObject(Q) ? Q : undefined,
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && isPlainObject(value);
}
