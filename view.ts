/**
 * As `bytes.subarray(from, to)`, in half the time: a call makes a dozen views.
 * The range must be within the bytes.
 */
export function view<B extends ArrayBufferLike>(
  bytes: Uint8Array<B>,
  from: number,
  to: number,
): Uint8Array<B> {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + from, to - from);
}

/** The bytes of all parts, one after the other, in an array of their own. */
export function concat(
  ...parts: readonly Uint8Array[]
): Uint8Array<ArrayBuffer> {
  let size = 0;
  for (const part of parts) size += part.length;
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
