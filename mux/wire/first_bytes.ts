/**
 * Finds out whether a session begins with bytes that are no frames. What they look
 * like is in `foreign_bytes.ts`, which few programs need.
 *
 * @module
 */
import { headerSize, isChannelFrame } from "./frame.ts";

/** Bytes that are quoted from a peer that does not speak qmux. */
export const QUOTE_SIZE = 64;

/**
 * Whether the first bytes of a session are whole lines of text, and begin as a frame
 * does.
 *
 * A program that prints a line in place of frames may print nothing after it. If
 * the line is short, and begins with a letter that is a type of frames, it would be
 * taken for half of a header, and this side would wait for the other half.
 */
export function isTextFrame(bytes: Uint8Array): boolean {
  return isFrameType(bytes[0]) && bytes[bytes.length - 1] === 10 &&
    textOf(bytes) !== undefined;
}

/**
 * Whether the first bytes of a session are half of the header of a frame for a
 * channel that cannot exist yet, since this side assigns small IDs first. This side
 * would wait for the other half.
 */
export function isHalfForeignHeader(bytes: Uint8Array): boolean {
  const type = bytes[0]!;
  return isChannelFrame(type) && bytes.length < headerSize(type) &&
    bytes.length > 1 && bytes[1]! > 0;
}

/** Whether bytes begin as those of a client of TLS. */
export function isClientHello(bytes: Uint8Array | undefined): boolean {
  return bytes !== undefined && bytes[0] === 0x16 && bytes[1] === 3;
}

/**
 * A fatal alert of TLS, "unexpected message": it tells a client of TLS that this
 * side does not speak it. Otherwise the client would see an end only, as of a
 * server that is away, and would try again.
 */
export const TLS_ALERT: Uint8Array = new Uint8Array([0x15, 3, 1, 0, 2, 2, 10]);

/** Whether a byte is ASCII that texts have: printable, white space or escape. */
export function isTextByte(byte: number): boolean {
  return byte >= 32 && byte < 127 || byte >= 9 && byte <= 13 || byte === 27;
}

/** Whether a byte is one of the seven, "d" to "j" in ASCII. */
export function isFrameType(byte = 0): boolean {
  return byte >= 100 && byte <= 106;
}

/** UTF-8 text without control characters, perhaps cut within a character. */
export function textOf(bytes: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder("utf-8", { fatal: true })
      .decode(bytes, { stream: true });
    // deno-lint-ignore no-control-regex
    return /[\0-\x08\x0e-\x1a\x1c-\x1f\x7f-\x9f]/.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}
