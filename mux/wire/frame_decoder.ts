import { readUint32 } from "../../uint32.ts";
import {
  FrameType,
  headerSize,
  isChannelFrame,
  MAX_FRAME_HEADER_SIZE,
} from "./frame.ts";

/**
 * Receives the frames that a {@linkcode FrameDecoder} finds, in the order of
 * their bytes.
 *
 * A DATA frame arrives in parts, so that nothing needs to be buffered: first its
 * header (`onData`, where its length can be checked against the limits), then its
 * payload in one or more pieces (`onPayload`), each a range of the chunk.
 */
export interface FrameSink {
  /** OPEN. */
  onOpen(senderId: number, windowSize: number, maxPacketSize: number): void;
  /** OPEN_CONFIRM. */
  onOpenConfirm(
    recipientId: number,
    senderId: number,
    windowSize: number,
    maxPacketSize: number,
  ): void;
  /** OPEN_FAILURE. */
  onOpenFailure(recipientId: number): void;
  /** WINDOW_ADJUST. */
  onWindowAdjust(recipientId: number, bytesToAdd: number): void;
  /** The header of a DATA frame. */
  onData(recipientId: number, length: number): void;
  /**
   * A piece, never empty, of the payload of the last DATA frame: the bytes of
   * `chunk` between two offsets.
   */
  onPayload(chunk: Uint8Array, from: number, to: number): void;
  /** EOF. */
  onEof(recipientId: number): void;
  /** CLOSE. */
  onClose(recipientId: number): void;
}

/** What a piece of payload counts as: a reader may be called for it. */
const PAYLOAD_COST = 3;

/**
 * Splits a stream of bytes into frames, in whatever chunks the bytes arrive. It
 * keeps at most one incomplete frame header (16 bytes) between two chunks.
 */
export class FrameDecoder {
  readonly #sink: FrameSink;
  /** The beginning of a header that continues in the next chunk; made for the first. */
  #partial: Uint8Array | undefined;
  #partialLength = 0;
  /** Payload bytes of the current DATA frame that are still to come. */
  #payloadLeft = 0;
  /**
   * Frames that may still be decoded, where a piece of payload counts as three
   * more; {@linkcode push} counts down.
   */
  allowance = 2 ** 30 - 1;
  /** Whether a chunk, or a part of one, was decoded. */
  #begun = false;
  #heard = false;
  #suspect: Uint8Array | undefined;

  /** Makes a decoder that passes frames to `sink`. */
  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** Whether a chunk with a whole header of a frame was decoded. */
  get heard(): boolean {
    return this.#heard;
  }

  /** Whether the bytes so far end between two frames. */
  get atBoundary(): boolean {
    return this.#partialLength === 0 && this.#payloadLeft === 0;
  }

  /**
   * The first bytes of what is not a frame: where decoding failed, or those of an
   * incomplete header; undefined if there are none. Errors quote them.
   */
  get suspect(): Uint8Array | undefined {
    if (this.#suspect !== undefined || this.#partialLength === 0) {
      return this.#suspect;
    }
    return this.#partial!.slice(0, this.#partialLength);
  }

  /**
   * Decodes the next chunk, of any size, from an offset. Returns the offset of
   * what is left, which is the end unless the {@linkcode allowance} is used up.
   *
   * @throws {MuxError} `protocol-error` on an unknown frame type, and whatever
   * the sink throws; the decoder must not be used after that
   */
  push(chunk: Uint8Array, from = 0): number {
    let at = from;
    let payloadAt = -1;
    let allowance = this.allowance;
    const end = chunk.length;
    try {
      while (at < end && allowance > 0) {
        if (this.#payloadLeft > 0) {
          const size = Math.min(this.#payloadLeft, end - at);
          this.#payloadLeft -= size;
          payloadAt = at;
          this.#sink.onPayload(chunk, at, at + size);
          at += size;
          allowance -= PAYLOAD_COST;
        } else if (this.#partialLength > 0) {
          at = this.#completeHeader(chunk, at);
          allowance--;
        } else {
          const size = headerSize(chunk[at]!);
          if (size > end - at) {
            this.#partial ??= new Uint8Array(MAX_FRAME_HEADER_SIZE);
            this.#partial.set(chunk.subarray(at));
            this.#partialLength = end - at;
            at = end;
            break;
          }
          this.#header(chunk, at);
          at += size;
          allowance--;
        }
      }
    } catch (error) {
      if (at !== payloadAt) this.#suspect ??= this.#quotable(chunk, at);
      throw error;
    }
    this.#begun = true;
    if (allowance < this.allowance) this.#heard = true;
    this.allowance = allowance;
    return at;
  }

  /** The bytes from an offset, or all of the first chunk if it is text up to there. */
  #quotable(chunk: Uint8Array, at: number): Uint8Array {
    const isText = !this.#begun && chunk.subarray(0, at).every(isTextByte);
    const from = isText ? 0 : at;
    return chunk.slice(from, from + QUOTE_SIZE + 1);
  }

  /** Adds to the incomplete header; returns the offset after the bytes it used. */
  #completeHeader(chunk: Uint8Array, at: number): number {
    const partial = this.#partial!;
    const size = headerSize(partial[0]!);
    while (this.#partialLength < size && at < chunk.length) {
      partial[this.#partialLength++] = chunk[at++]!;
    }
    if (this.#partialLength === size) {
      this.#partialLength = 0;
      try {
        this.#header(partial, 0);
      } catch (error) {
        const rest = chunk.subarray(at, at + QUOTE_SIZE);
        this.#suspect = new Uint8Array(size + rest.length);
        this.#suspect.set(partial.subarray(0, size));
        this.#suspect.set(rest, size);
        throw error;
      }
    }
    return at;
  }

  #header(bytes: Uint8Array, at: number): void {
    const sink = this.#sink;
    const id = readUint32(bytes, at + 1);
    switch (bytes[at]) {
      case FrameType.DATA:
        this.#payloadLeft = readUint32(bytes, at + 5);
        return sink.onData(id, this.#payloadLeft);
      case FrameType.WINDOW_ADJUST:
        return sink.onWindowAdjust(id, readUint32(bytes, at + 5));
      case FrameType.CLOSE:
        return sink.onClose(id);
      case FrameType.EOF:
        return sink.onEof(id);
      case FrameType.OPEN:
        return sink.onOpen(
          id,
          readUint32(bytes, at + 5),
          readUint32(bytes, at + 9),
        );
      case FrameType.OPEN_CONFIRM:
        return sink.onOpenConfirm(
          id,
          readUint32(bytes, at + 5),
          readUint32(bytes, at + 9),
          readUint32(bytes, at + 13),
        );
      case FrameType.OPEN_FAILURE:
        return sink.onOpenFailure(id);
    }
  }
}

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

/** Whether a byte is one of the seven frame types, "d" to "j" in ASCII. */
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
