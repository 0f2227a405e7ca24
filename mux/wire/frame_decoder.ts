import { readUint32 } from "../../uint32.ts";
import { FrameType, headerSize, MAX_FRAME_HEADER_SIZE } from "./frame.ts";

/**
 * Who hears what a {@linkcode FrameDecoder} finds, in the order of the bytes.
 *
 * A DATA frame is told in parts, so that nothing has to be gathered: first its
 * header (`onData`: the place to check the length against the limits), then its
 * payload in one or more pieces (`onPayload`), each a view that is valid during
 * the call only.
 */
export interface FrameSink {
  /** OPEN. */
  onOpen(sender: number, window: number, maxPacketSize: number): void;
  /** OPEN_CONFIRM. */
  onConfirm(
    recipient: number,
    sender: number,
    window: number,
    maxPacketSize: number,
  ): void;
  /** OPEN_FAILURE. */
  onFailure(recipient: number): void;
  /** WINDOW_ADJUST. */
  onAdjust(recipient: number, bytes: number): void;
  /** The header of a DATA frame. */
  onData(recipient: number, length: number): void;
  /** A piece, never empty, of the payload announced last. */
  onPayload(piece: Uint8Array): void;
  /** EOF. */
  onEof(recipient: number): void;
  /** CLOSE. */
  onClose(recipient: number): void;
}

/**
 * Cuts a stream of bytes into frames, however the bytes are chunked. It keeps
 * at most one frame header (16 bytes) between two chunks.
 */
export class FrameDecoder {
  readonly #sink: FrameSink;
  /** The beginning of a header that the last chunk cut. */
  readonly #partial = new Uint8Array(MAX_FRAME_HEADER_SIZE);
  #partialLength = 0;
  /** Payload bytes of the current DATA frame that are still to come. */
  #payloadLeft = 0;

  /** Makes a decoder that tells `sink` what it finds. */
  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** Whether the bytes so far end between two frames, and not inside one. */
  get atBoundary(): boolean {
    return this.#partialLength === 0 && this.#payloadLeft === 0;
  }

  /**
   * Takes the next chunk, of any size.
   *
   * @throws {MuxError} `protocol-error` on an unknown frame type, and whatever
   * the sink throws; the decoder is of no further use then.
   */
  push(chunk: Uint8Array): void {
    let at = 0;
    const end = chunk.length;
    while (at < end) {
      if (this.#payloadLeft > 0) {
        const size = Math.min(this.#payloadLeft, end - at);
        this.#payloadLeft -= size;
        this.#sink.onPayload(chunk.subarray(at, at + size));
        at += size;
      } else if (this.#partialLength > 0) {
        at = this.#completeHeader(chunk, at);
      } else {
        const size = headerSize(chunk[at]!);
        if (size > end - at) {
          this.#partial.set(chunk.subarray(at));
          this.#partialLength = end - at;
          return;
        }
        this.#header(chunk, at);
        at += size;
      }
    }
  }

  /** Adds to the cut header; returns the offset behind what it took. */
  #completeHeader(chunk: Uint8Array, at: number): number {
    const size = headerSize(this.#partial[0]!);
    while (this.#partialLength < size && at < chunk.length) {
      this.#partial[this.#partialLength++] = chunk[at++]!;
    }
    if (this.#partialLength === size) {
      this.#partialLength = 0;
      this.#header(this.#partial, 0);
    }
    return at;
  }

  #header(bytes: Uint8Array, at: number): void {
    const sink = this.#sink;
    const first = readUint32(bytes, at + 1);
    switch (bytes[at]) {
      case FrameType.DATA:
        this.#payloadLeft = readUint32(bytes, at + 5);
        return sink.onData(first, this.#payloadLeft);
      case FrameType.WINDOW_ADJUST:
        return sink.onAdjust(first, readUint32(bytes, at + 5));
      case FrameType.CLOSE:
        return sink.onClose(first);
      case FrameType.EOF:
        return sink.onEof(first);
      case FrameType.OPEN:
        return sink.onOpen(
          first,
          readUint32(bytes, at + 5),
          readUint32(bytes, at + 9),
        );
      case FrameType.OPEN_CONFIRM:
        return sink.onConfirm(
          first,
          readUint32(bytes, at + 5),
          readUint32(bytes, at + 9),
          readUint32(bytes, at + 13),
        );
      case FrameType.OPEN_FAILURE:
        return sink.onFailure(first);
    }
  }
}
