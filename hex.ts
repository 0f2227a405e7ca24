/**
 * Bytes as hexadecimal digits. `Uint8Array` has methods for it in current Deno,
 * but not in Node 22 and 24.
 *
 * @module
 */

/** Writes bytes as lower-case hexadecimal digits. */
export function toHex(bytes: Uint8Array): string {
  const native = (bytes as { toHex?: () => string }).toHex;
  if (native !== undefined) return native.call(bytes);
  let digits = "";
  for (const byte of bytes) digits += byte.toString(16).padStart(2, "0");
  return digits;
}

/** Reads what {@linkcode toHex} writes; the caller has checked that it is that. */
export function fromHex(digits: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(digits.length / 2);
  for (let i = 0; i < bytes.length; i++) {
    bytes[i] = parseInt(digits.slice(2 * i, 2 * i + 2), 16);
  }
  return bytes;
}
