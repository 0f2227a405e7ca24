import { CodecError } from "../errors.ts";

/** Makes the error for bytes that are not a value. */
export function malformed(why: string): CodecError {
  return new CodecError("malformed", `Cannot decode value as CBOR: ${why}`);
}

/** Makes the error for a value that is cut off after `size` bytes. */
export function truncated(size: number): CodecError {
  return new CodecError(
    "truncated",
    `Cannot decode value as CBOR: it ends after ${size} bytes`,
  );
}
