/**
 * WebSocket frames (RFC 6455, section 5). Those of a client are masked, those of a
 * server are not. Text is a protocol error.
 *
 * @module
 */
import { concat } from "../../../view.ts";
import { describeText } from "../../wire/foreign_bytes.ts";
import { textReceived, webSocketViolation } from "./transport.ts";

/** The types of frames. */
export const Opcode = {
  /** Continues a message. */
  CONTINUATION: 0,
  /** A text message. */
  TEXT: 1,
  /** A binary message. */
  BINARY: 2,
  /** Ends the connection. */
  CLOSE: 8,
  /** Requests a PONG. */
  PING: 9,
  /** Answers a PING. */
  PONG: 10,
} as const;

/** Bytes of payload of a control frame at most. */
const MAX_CONTROL = 125;
/** Bytes of the longest header. */
const MAX_HEADER = 14;
/** Bytes of a masking key. */
const KEY_SIZE = 4;
/** Bytes of payload from which it is unmasked word by word. */
const MANY_BYTES = 32;
/** Frames that one {@linkcode FrameReader.push} reads: less than a millisecond's work. */
const MAX_FRAMES = 512;
/** The payload of a frame without any. */
const EMPTY = new Uint8Array(0);
/** Offset of the payload in the write buffer: aligned, to mask whole words. */
const PAYLOAD_AT = 16;
/** Initial bytes of the write buffer, and of one that has been idle. */
const SMALL_BUFFER = 4 * 1024;
/** Consecutive small frames after which a large buffer is released. */
const SHRINK_AFTER = 64;
/** Masking keys generated at once. */
const KEY_POOL = 64;

/** Makes frames, one at a time, in a shared buffer. */
export class FrameWriter {
  readonly #masks: boolean;
  #buffer = new Uint8Array(SMALL_BUFFER);
  #smallFrames = 0;
  readonly #keys = new Uint32Array(KEY_POOL);
  readonly #keyBytes = new Uint8Array(this.#keys.buffer);
  #keysLeft = 0;

  /** Makes a writer of masked frames, a client's, or of others, a server's. */
  constructor(masks: boolean) {
    this.#masks = masks;
  }

  /** Makes a frame that is a whole message; it is valid until the next call. */
  frame(opcode: number, payload: Uint8Array): Uint8Array {
    const { length } = payload;
    const end = PAYLOAD_AT + length;
    // Masking whole words may exceed the payload.
    this.#resize(end + 3);
    const buffer = this.#buffer;
    buffer.set(payload, PAYLOAD_AT);
    if (this.#masks) this.#mask(end);

    const keySize = this.#masks ? KEY_SIZE : 0;
    const extended = length <= MAX_CONTROL ? 0 : length < 2 ** 16 ? 2 : 8;
    const start = PAYLOAD_AT - keySize - extended - 2;
    const flag = this.#masks ? 0x80 : 0;
    buffer[start] = 0x80 | opcode;
    if (extended === 0) buffer[start + 1] = flag | length;
    if (extended === 2) {
      buffer[start + 1] = flag | 126;
      buffer[start + 2] = length >> 8;
      buffer[start + 3] = length;
    }
    if (extended === 8) {
      buffer[start + 1] = flag | 127;
      new DataView(buffer.buffer).setBigUint64(start + 2, BigInt(length));
    }
    return buffer.subarray(start, end);
  }

  /** Masks the payload with a new key, and writes the key before it. */
  #mask(end: number): void {
    if (this.#keysLeft === 0) {
      crypto.getRandomValues(this.#keys);
      this.#keysLeft = KEY_POOL;
    }
    const at = --this.#keysLeft;
    const keyBytes = this.#keyBytes.subarray(at * 4, at * 4 + 4);
    this.#buffer.set(keyBytes, PAYLOAD_AT - KEY_SIZE);
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

/** A buffer of at least `needed` bytes; sizes double. */
function bufferFor(needed: number): Uint8Array<ArrayBuffer> {
  let size = SMALL_BUFFER;
  while (size < needed) size *= 2;
  return new Uint8Array(size);
}

/** Receives what a {@linkcode FrameReader} reads. */
export interface FrameEvents {
  /** A piece of the payload of a message. */
  onData(piece: Uint8Array): void;
  /** PING, to be answered with its payload. */
  onPing(payload: Uint8Array): void;
  /** CLOSE, the last event; `code` is 1005 if the frame has none. */
  onClose(code: number, reason: string): void;
}

/** Reads frames from a stream of bytes, in whatever chunks. */
export class FrameReader {
  readonly #events: FrameEvents;
  readonly #mask: Mask | undefined;
  readonly #header = new Uint8Array(MAX_HEADER);
  /** Bytes of the header that have arrived, and its size as far as it is known. */
  #headerLength = 0;
  #headerSize = 2;
  /** Payload bytes still to come; 0 between frames. */
  #left = 0;
  #opcode: number = Opcode.BINARY;
  /** The payload of a control frame that has arrived. */
  #control: Uint8Array = EMPTY;
  /** Whether the current message continues in another frame. */
  #inMessage = false;
  #closed = false;
  #framesLeft = 0;
  /** Frames without payload for the program since the last one with it. */
  idleFrames = 0;

  /**
   * Makes a reader at the start of a frame.
   *
   * @param events receives what is read
   * @param masked whether frames must be masked, as those of a client, or must not
   */
  constructor(events: FrameEvents, masked: boolean) {
    this.#events = events;
    this.#mask = masked ? new Mask() : undefined;
  }

  /**
   * Reads the next bytes. Pieces of payload are views of them, and are unmasked
   * there. Returns how many bytes were read: fewer than all if they are many
   * frames, or if bytes follow CLOSE.
   *
   * @throws {MuxError} `protocol-error`
   */
  push(chunk: Uint8Array): number {
    let at = 0;
    this.#framesLeft = MAX_FRAMES;
    while (at < chunk.length && this.#framesLeft > 0 && !this.#closed) {
      if (this.#left > 0) {
        const piece = chunk.subarray(at, at + this.#left);
        at += piece.length;
        this.#payload(piece);
      } else {
        this.#header[this.#headerLength++] = chunk[at++]!;
        if (this.#headerLength === this.#headerSize) this.#headerComplete();
      }
    }
    return at;
  }

  #headerComplete(): void {
    const first = this.#header[0]!;
    const second = this.#header[1]!;
    const length = second & 0x7f;
    if (this.#headerSize === 2) {
      const masked = (second & 0x80) !== 0;
      if (masked !== (this.#mask !== undefined)) {
        throw webSocketViolation(
          masked
            ? "received a masked frame from the server"
            : "received a frame from the client that is not masked",
        );
      }
      const extended = length < 126 ? 0 : length === 126 ? 2 : 8;
      this.#headerSize += extended + (masked ? KEY_SIZE : 0);
      if (this.#headerSize > 2) return;
    }
    this.#mask?.start(this.#header, this.#headerSize - KEY_SIZE);
    this.#headerLength = 0;
    this.#headerSize = 2;
    this.#framesLeft--;
    if (first & 0x70) {
      throw webSocketViolation(
        "received a frame of an extension that was not negotiated",
      );
    }
    this.#begin(first & 0x0f, (first & 0x80) !== 0, this.#length(length));
  }

  #length(short: number): number {
    const view = new DataView(this.#header.buffer);
    if (short < 126) return short;
    if (short === 126) return view.getUint16(2);
    const length = Number(view.getBigUint64(2));
    if (length <= Number.MAX_SAFE_INTEGER) return length;
    throw webSocketViolation(`received a frame of ${length} bytes`);
  }

  #begin(opcode: number, final: boolean, length: number): void {
    this.#opcode = opcode;
    switch (opcode) {
      case Opcode.CONTINUATION:
      case Opcode.BINARY:
        if ((opcode === Opcode.CONTINUATION) !== this.#inMessage) {
          throw webSocketViolation(
            opcode === Opcode.CONTINUATION
              ? "received a continuation without a message"
              : "received a new message before the end of the last",
          );
        }
        this.#inMessage = !final;
        break;
      case Opcode.CLOSE:
      case Opcode.PING:
      case Opcode.PONG:
        if (!final || length > MAX_CONTROL) {
          throw webSocketViolation(
            "received a control frame that is fragmented or too long",
          );
        }
        this.#control = EMPTY;
        break;
      case Opcode.TEXT:
        // The error quotes its payload.
        break;
      default:
        throw webSocketViolation(`received a frame of unknown type ${opcode}`);
    }
    this.#left = length;
    if (length === 0 || opcode >= Opcode.CLOSE) this.idleFrames++;
    else this.idleFrames = 0;
    if (length === 0) this.#payload(EMPTY);
  }

  #payload(piece: Uint8Array): void {
    this.#left -= piece.length;
    this.#mask?.remove(piece);
    if (this.#opcode < Opcode.CLOSE) {
      if (this.#opcode === Opcode.TEXT) {
        throw textReceived(describeText(new TextDecoder().decode(piece)));
      }
      if (piece.length > 0) this.#events.onData(piece);
      return;
    }
    // The payload of a PONG is not used.
    if (this.#opcode === Opcode.PONG) return;
    const whole = this.#control = concat(this.#control, piece);
    if (this.#left > 0) return;
    if (this.#opcode === Opcode.PING) this.#events.onPing(whole);
    if (this.#opcode === Opcode.CLOSE) this.#close(whole);
  }

  #close(payload: Uint8Array): void {
    if (payload.length === 1) {
      throw webSocketViolation("received CLOSE with half a status code");
    }
    this.#closed = true;
    const code = payload.length === 0
      ? 1005
      : new DataView(payload.buffer).getUint16(0);
    this.#events.onClose(code, new TextDecoder().decode(payload.subarray(2)));
  }
}

/** Unmasks the payload of a frame, in pieces. */
class Mask {
  readonly #key = new Uint8Array(KEY_SIZE);
  /** The key as it applies to the next four bytes, as bytes and as a word. */
  readonly #turned = new Uint8Array(KEY_SIZE);
  readonly #word = new Uint32Array(this.#turned.buffer);
  /** The byte of the key that applies to the next byte. */
  #at = 0;

  /** Takes the key at an offset of a frame's header. */
  start(header: Uint8Array, offset: number): void {
    for (let i = 0; i < KEY_SIZE; i++) this.#key[i] = header[offset + i]!;
    this.#at = 0;
  }

  /** Unmasks a piece where it is. */
  remove(piece: Uint8Array): void {
    const { length } = piece;
    let done = 0;
    if (length >= MANY_BYTES) {
      // Words begin where the buffer is aligned.
      done = this.#removeBytes(piece, 0, -piece.byteOffset & 3);
      done += this.#removeWords(piece, done);
    }
    this.#removeBytes(piece, done, length);
  }

  #removeBytes(piece: Uint8Array, from: number, to: number): number {
    const key = this.#key;
    let at = this.#at;
    for (let i = from; i < to; i++) {
      piece[i]! ^= key[at]!;
      at = (at + 1) & 3;
    }
    this.#at = at;
    return to;
  }

  #removeWords(piece: Uint8Array, from: number): number {
    for (let i = 0; i < KEY_SIZE; i++) {
      this.#turned[i] = this.#key[(this.#at + i) & 3]!;
    }
    const word = this.#word[0]!;
    const count = (piece.length - from) >>> 2;
    const words = new Uint32Array(
      piece.buffer,
      piece.byteOffset + from,
      count,
    );
    for (let i = 0; i < count; i++) words[i]! ^= word;
    return count * 4;
  }
}
