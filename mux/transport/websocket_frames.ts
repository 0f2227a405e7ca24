/**
 * WebSocket frames (RFC 6455, section 5) as a client sends and gets them: what
 * it sends is masked, what it gets is not. Text is refused: qmux is bytes.
 *
 * @module
 */
import { protocolError } from "../errors.ts";

/** What a frame is. */
export const Opcode = {
  /** More of a message. */
  CONTINUATION: 0,
  /** A message of text. */
  TEXT: 1,
  /** A message of bytes. */
  BINARY: 2,
  /** The end of this direction. */
  CLOSE: 8,
  /** Wants a PONG. */
  PING: 9,
  /** The answer to a PING. */
  PONG: 10,
} as const;

/** Bytes that a control frame may carry. */
const MAX_CONTROL = 125;
/** Where the payload of a frame being written stands: words can be masked. */
const PAYLOAD_AT = 16;
/** Bytes of the buffer for writing at first, and again when idle. */
const SMALL_BUFFER = 4 * 1024;
/** Small frames in a row after which a grown buffer is let go. */
const SHRINK_AFTER = 64;
/** Masking keys drawn at once. */
const KEY_POOL = 64;

/** Makes masked frames, one at a time, in one buffer. */
export class MaskedFrames {
  #buffer = new Uint8Array(SMALL_BUFFER);
  #smallFrames = 0;
  readonly #keys = new Uint32Array(KEY_POOL);
  readonly #keyBytes = new Uint8Array(this.#keys.buffer);
  #keysLeft = 0;

  /** A whole message in one frame. The bytes are valid until the next call. */
  frame(opcode: number, payload: Uint8Array): Uint8Array {
    const { length } = payload;
    const extended = length <= MAX_CONTROL ? 0 : length < 2 ** 16 ? 2 : 8;
    const start = PAYLOAD_AT - 6 - extended;
    const end = PAYLOAD_AT + length;
    this.#resize(end + 3);
    const buffer = this.#buffer;
    buffer[start] = 0x80 | opcode;
    buffer[start + 1] = 0x80 | (extended === 0 ? length : extended / 2 + 125) &
        (extended === 8 ? 127 : 0xff);
    const view = new DataView(buffer.buffer);
    if (extended === 2) view.setUint16(start + 2, length);
    if (extended === 8) view.setBigUint64(start + 2, BigInt(length));
    buffer.set(payload, PAYLOAD_AT);
    this.#mask(PAYLOAD_AT, end);
    return buffer.subarray(start, end);
  }

  #mask(from: number, to: number): void {
    if (this.#keysLeft === 0) {
      crypto.getRandomValues(this.#keys);
      this.#keysLeft = KEY_POOL;
    }
    const at = --this.#keysLeft;
    this.#buffer.set(this.#keyBytes.subarray(at * 4, at * 4 + 4), from - 4);
    const key = this.#keys[at]!;
    const words = new Uint32Array(
      this.#buffer.buffer,
      from,
      Math.ceil((to - from) / 4),
    );
    for (let i = 0; i < words.length; i++) words[i]! ^= key;
  }

  #resize(needed: number): void {
    const { length } = this.#buffer;
    if (needed > length) {
      let size = length;
      while (size < needed) size *= 2;
      this.#buffer = new Uint8Array(size);
    } else if (length === SMALL_BUFFER || needed > length / 8) {
      this.#smallFrames = 0;
    } else if (++this.#smallFrames === SHRINK_AFTER) {
      this.#smallFrames = 0;
      this.#buffer = new Uint8Array(Math.max(SMALL_BUFFER, length / 4));
    }
  }
}
