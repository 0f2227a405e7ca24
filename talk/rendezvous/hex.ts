/**
 * Bytes as hexadecimal digits. `toHex()` and `fromHex()` of `Uint8Array` are too new
 * for Node 22 and 24.
 *
 * @module
 */

/** The digits of bytes, in lower case. */
export function toHex(bytes: Uint8Array): string {
  let digits = "";
  for (const byte of bytes) digits += byte.toString(16).padStart(2, "0");
  return digits;
}

/** The bytes of an even number of digits. */
export function fromHex(digits: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(digits.length / 2);
  for (let i = 0; i < bytes.length; i++) {
    bytes[i] = parseInt(digits.slice(2 * i, 2 * i + 2), 16);
  }
  return bytes;
}
