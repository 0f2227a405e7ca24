/**
 * WebSocket frames (RFC 6455, section 5) as a client sends and gets them: what
 * it sends is masked, what it gets is not. Text is refused: qmux is bytes.
 *
 * @module
 */
import { textRefused, webSocketBroken } from "./transport.ts";

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
/** Bytes of the longest header of a frame that is not masked. */
const MAX_HEADER = 10;
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

  /** One frame that is a whole message; valid until the next call. */
  frame(opcode: number, payload: Uint8Array): Uint8Array {
    const { length } = payload;
    const end = PAYLOAD_AT + length;
    // Masking goes by words, past the end.
    this.#resize(end + 3);
    const buffer = this.#buffer;
    buffer.set(payload, PAYLOAD_AT);
    this.#mask(end);

    const extended = length <= MAX_CONTROL ? 0 : length < 2 ** 16 ? 2 : 8;
    const start = PAYLOAD_AT - 4 - extended - 2;
    const view = new DataView(buffer.buffer, start);
    view.setUint8(0, 0x80 | opcode);
    if (extended === 0) view.setUint8(1, 0x80 | length);
    if (extended === 2) {
      view.setUint32(0, view.getUint8(0) << 24 | 0xfe0000 | length);
    }
    if (extended === 8) {
      view.setUint8(1, 0xff);
      view.setBigUint64(2, BigInt(length));
    }
    return buffer.subarray(start, end);
  }

  /** Masks the payload with a new key, which stands in front of it. */
  #mask(end: number): void {
    if (this.#keysLeft === 0) {
      crypto.getRandomValues(this.#keys);
      this.#keysLeft = KEY_POOL;
    }
    const at = --this.#keysLeft;
    const keyBytes = this.#keyBytes.subarray(at * 4, at * 4 + 4);
    this.#buffer.set(keyBytes, PAYLOAD_AT - 4);
    const count = Math.ceil((end - PAYLOAD_AT) / 4);
    const words = new Uint32Array(this.#buffer.buffer, PAYLOAD_AT, count);
    const key = this.#keys[at]!;
    for (let i = 0; i < count; i++) words[i]! ^= key;
  }

  #resize(needed: number): void {
    const { length } = this.#buffer;
    if (needed > length) {
      this.#buffer = bufferFor(needed);
    } else if (length === SMALL_BUFFER || needed > length / 4) {
      this.#smallFrames = 0;
    } else if (++this.#smallFrames === SHRINK_AFTER) {
      this.#smallFrames = 0;
      this.#buffer = bufferFor(needed);
    }
  }
}

/** The smallest buffer that holds as much; sizes double. */
function bufferFor(needed: number): Uint8Array<ArrayBuffer> {
  let size = SMALL_BUFFER;
  while (size < needed) size *= 2;
  return new Uint8Array(size);
}

/** What a {@linkcode FrameReader} tells. */
export interface FrameEvents {
  /** Bytes of a message, in pieces: where a message ends means nothing. */
  onData(piece: Uint8Array): void;
  /** A PING, to be answered with its payload. */
  onPing(payload: Uint8Array): void;
  /** CLOSE; 1005 if it gave no code. Nothing is told after it. */
  onClose(code: number, reason: string): void;
}

/** Reads frames that are not masked, from bytes in any chunking. */
export class FrameReader {
  readonly #events: FrameEvents;
  readonly #header = new Uint8Array(MAX_HEADER);
  /** Bytes of the header that are there, and that it takes as far as known. */
  #headerLength = 0;
  #headerSize = 2;
  /** Bytes of the payload still to come; 0 between frames. */
  #left = 0;
  #opcode: number = Opcode.BINARY;
  /** The payload of a control frame as far as it came. */
  #control = new Uint8Array(0);
  /** Whether a message is under way, of which more frames are to come. */
  #inMessage = false;
  #closed = false;

  /** Makes a reader at the start of a frame. */
  constructor(events: FrameEvents) {
    this.#events = events;
  }

  /**
   * Takes the next bytes. Pieces that it tells are views of them.
   *
   * @throws {MuxError} `protocol-error`
   */
  push(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length && !this.#closed;) {
      if (this.#left > 0) {
        const piece = chunk.subarray(at, at + this.#left);
        at += piece.length;
        this.#payload(piece);
      } else {
        this.#header[this.#headerLength++] = chunk[at++]!;
        if (this.#headerLength === this.#headerSize) this.#headerComplete();
      }
    }
  }

  #headerComplete(): void {
    const [first = 0, second = 0] = this.#header;
    const length = second & 0x7f;
    const size = length < 126 ? 2 : length === 126 ? 4 : MAX_HEADER;
    if (this.#headerSize < size) {
      this.#headerSize = size;
      return;
    }
    this.#headerLength = 0;
    this.#headerSize = 2;
    if (second & 0x80) throw webSocketBroken("the server masked a frame");
    if (first & 0x70) throw webSocketBroken("a frame uses an extension");
    this.#begin(first & 0x0f, (first & 0x80) !== 0, this.#length(length));
  }

  #length(short: number): number {
    const view = new DataView(this.#header.buffer);
    if (short < 126) return short;
    if (short === 126) return view.getUint16(2);
    const length = Number(view.getBigUint64(2));
    if (length <= Number.MAX_SAFE_INTEGER) return length;
    throw webSocketBroken(`a frame of ${length} bytes was announced`);
  }

  #begin(opcode: number, final: boolean, length: number): void {
    this.#opcode = opcode;
    switch (opcode) {
      case Opcode.CONTINUATION:
      case Opcode.BINARY:
        if ((opcode === Opcode.CONTINUATION) !== this.#inMessage) {
          throw webSocketBroken("a message began or went on out of turn");
        }
        this.#inMessage = !final;
        break;
      case Opcode.CLOSE:
      case Opcode.PING:
      case Opcode.PONG:
        if (!final || length > MAX_CONTROL) {
          throw webSocketBroken("a control frame is too long");
        }
        this.#control = new Uint8Array(0);
        break;
      case Opcode.TEXT:
        throw textRefused();
      default:
        throw webSocketBroken(`a frame has the unknown type ${opcode}`);
    }
    this.#left = length;
    if (length === 0) this.#payload(new Uint8Array(0));
  }

  #payload(piece: Uint8Array): void {
    this.#left -= piece.length;
    if (this.#opcode < Opcode.CLOSE) {
      if (piece.length > 0) this.#events.onData(piece);
      return;
    }
    const whole = new Uint8Array(this.#control.length + piece.length);
    whole.set(this.#control);
    whole.set(piece, this.#control.length);
    this.#control = whole;
    if (this.#left > 0) return;
    if (this.#opcode === Opcode.PING) this.#events.onPing(whole);
    if (this.#opcode === Opcode.CLOSE) this.#close(whole);
  }

  #close(payload: Uint8Array): void {
    if (payload.length === 1) throw webSocketBroken("CLOSE has half a code");
    this.#closed = true;
    const code = payload.length === 0
      ? 1005
      : new DataView(payload.buffer).getUint16(0);
    this.#events.onClose(code, new TextDecoder().decode(payload.subarray(2)));
  }
}
