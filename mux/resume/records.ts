/**
 * The records that follow the handshake (SPEC.md, "Records").
 *
 * @module
 */
import { protocolError } from "../errors.ts";
import { readUint32 } from "../../uint32.ts";
import { view } from "../../view.ts";
import { MAGIC, readUint64, SIZE, writeUint64 } from "./handshake/messages.ts";

/** The types of records. */
export const RECORD = {
  data: 1,
  ack: 2,
  end: 3,
  ping: 4,
  pong: 5,
  close: 6,
} as const;

/** Bytes of DATA before its payload. */
export const DATA_HEADER = 13;
/** Bytes of records that acknowledge. */
export const ACK_SIZE = 9;

/** Makes a record of a type and an offset: ACK, PING or PONG. */
export function encodeAck(type: number, received: number): Uint8Array {
  const bytes = new Uint8Array(ACK_SIZE);
  bytes[0] = type;
  writeUint64(bytes, 1, received);
  return bytes;
}

/** What a {@linkcode RecordDecoder} finds, apart from the bytes of DATA. */
export interface RecordSink {
  /** The other end has got everything before this offset. */
  onAck(received: number): void;
  /** END: the stream ends here. */
  onEnd(): void;
  /** PING. */
  onPing(): void;
  /** CLOSE. */
  onClose(): void;
  /** REFUSED, in place of the first record. */
  onRefused(): void;
}

/**
 * The payloads in a chunk of up to this many bytes are returned as one. To the session
 * above, each return costs as much as the frames of several small payloads.
 */
const MOST_JOINED = 16 * 1024;

/** Finds the records in the chunks of one connection. */
export class RecordDecoder {
  readonly #sink: RecordSink;
  #chunk: Uint8Array = new Uint8Array(0);
  #at = 0;
  /** Bytes that are left of the DATA that has begun. */
  #left = 0;
  /** Whether END or CLOSE has come. */
  #isOver = false;
  /** The records that have begun since this was last set to 0. */
  records = 0;
  /** A header that was divided between chunks. */
  readonly #header = new Uint8Array(DATA_HEADER);
  #filled = 0;
  /** Where payloads are joined; made when it is needed. */
  #joined: Uint8Array | undefined;

  /** Makes a decoder for a connection. */
  constructor(sink: RecordSink) {
    this.#sink = sink;
  }

  /** Whether what {@linkcode next} returns is valid only until its next call. */
  get isJoining(): boolean {
    return this.#chunk.length <= MOST_JOINED;
  }

  /** Takes the next chunk, when {@linkcode next} has nothing more. */
  push(chunk: Uint8Array): void {
    this.#chunk = chunk;
    this.#at = 0;
  }

  /**
   * The next bytes of the stream, valid until the next call; undefined if the chunk has
   * no more. What comes before them goes to the sink.
   *
   * @throws {MuxError} `protocol-error` if the bytes are not a record
   */
  next(): Uint8Array | undefined {
    const chunk = this.#chunk;
    while (this.#at < chunk.length) {
      if (this.#left > 0) {
        const from = this.#at;
        const size = Math.min(this.#left, chunk.length - from);
        this.#at += size;
        this.#left -= size;
        if (from === 0 && size === chunk.length) return chunk;
        return this.#at < chunk.length && chunk.length <= MOST_JOINED
          ? this.#join(chunk, from)
          : view(chunk, from, from + size);
      }
      this.#readHeader(chunk);
    }
    return undefined;
  }

  /** The payload from a place to where the decoder is, and those that follow it. */
  #join(chunk: Uint8Array, from: number): Uint8Array {
    let end = this.#at;
    if (!this.#isBeforeData(chunk)) return view(chunk, from, end);
    if (this.#joined === undefined || this.#joined.length < chunk.length) {
      this.#joined = new Uint8Array(chunk.length);
    }
    const joined = this.#joined;
    let length = 0;
    for (;;) {
      joined.set(view(chunk, from, end), length);
      length += end - from;
      if (!this.#isBeforeData(chunk)) return view(joined, 0, length);
      this.#readHeader(chunk);
      from = this.#at;
      end = this.#at = Math.min(from + this.#left, chunk.length);
      this.#left -= end - from;
    }
  }

  /** Whether the chunk goes on with DATA, and has all of its header. */
  #isBeforeData(chunk: Uint8Array): boolean {
    const at = this.#at;
    return at + DATA_HEADER < chunk.length && chunk[at] === RECORD.data &&
      readUint32(chunk, at + 1) > 0;
  }

  /** Reads a header, or as much of it as there is. */
  #readHeader(chunk: Uint8Array): void {
    const type = this.#filled > 0 ? this.#header[0]! : chunk[this.#at]!;
    const size = sizeOf(type);
    const there = chunk.length - this.#at;
    if (this.#filled === 0 && there >= size) {
      const at = this.#at;
      this.#at += size;
      return this.#handle(type, chunk, at);
    }
    const taken = Math.min(size - this.#filled, there);
    this.#header.set(view(chunk, this.#at, this.#at + taken), this.#filled);
    this.#at += taken;
    this.#filled += taken;
    if (this.#filled < size) return;
    this.#filled = 0;
    this.#handle(type, this.#header, 0);
  }

  #handle(type: number, bytes: Uint8Array, at: number): void {
    this.records++;
    if (this.#isOver && (type === RECORD.data || type === RECORD.end)) {
      const name = type === RECORD.data ? "DATA" : "END";
      throw protocolError(`received ${name} after the end of the stream`);
    }
    if (type === RECORD.data) {
      this.#left = readUint32(bytes, at + 1);
      if (this.#left === 0) throw protocolError("received DATA of length 0");
      return this.#sink.onAck(readUint64(bytes, at + 5));
    }
    if (type === RECORD.end || type === RECORD.close) {
      this.#isOver = true;
      return type === RECORD.end ? this.#sink.onEnd() : this.#sink.onClose();
    }
    if (type === MAGIC[0]) return this.#sink.onRefused();
    this.#sink.onAck(readUint64(bytes, at + 1));
    if (type === RECORD.ping) this.#sink.onPing();
  }
}

function sizeOf(type: number): number {
  if (type === RECORD.data) return DATA_HEADER;
  if (type === RECORD.end || type === RECORD.close) return 1;
  if (type === MAGIC[0]) return SIZE.refused;
  if (type > RECORD.close || type === 0) {
    throw protocolError(
      `received 0x${
        type.toString(16).padStart(2, "0")
      }, which is not a type of records`,
    );
  }
  return ACK_SIZE;
}
