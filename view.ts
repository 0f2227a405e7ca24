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
