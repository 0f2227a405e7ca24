/**
 * What the two ends of a session tell each other before they close a connection,
 * which would lose what is on its way: mux/quic/SPEC.md, "Closing".
 *
 * @module
 */
import { connectionLost, protocolError } from "../errors.ts";
import { readUint32, writeUint32 } from "../../uint32.ts";
import type { QuicConnLike, QuicReceiveStreamLike } from "./types.ts";

/** The types of messages, each followed by a number. */
const TYPE = {
  /** The sender has ended all of its streams; the number is how many it opened. */
  closing: 1,
  /** The sender, which is closing too, has received everything. */
  done: 2,
} as const;
/** Bytes of a message. */
const SIZE = 5;
/** Messages that are read at most; unknown ones are skipped. */
const MAX_MESSAGES = 64;

/** What the peer has said. */
export interface ClosingEvents {
  /** It is closing, and has opened `opened` streams. */
  onClosing(opened: number): void;
  /** It is closing, and has received everything. */
  onDone(): void;
}

/** Says that this side is closing. */
export class ClosingNotice {
  readonly #conn: QuicConnLike;
  #writer: WritableStreamDefaultWriter<Uint8Array> | undefined;

  /** Makes a notice that has not been sent. */
  constructor(conn: QuicConnLike) {
    this.#conn = conn;
  }

  /** This side has ended all of the `opened` streams that it opened. */
  closing(opened: number): Promise<void> {
    return this.#say(TYPE.closing, opened);
  }

  /** This side has received everything. */
  done(): Promise<void> {
    return this.#say(TYPE.done, 0);
  }

  async #say(type: number, value: number): Promise<void> {
    const message = new Uint8Array(SIZE);
    message[0] = type;
    writeUint32(message, 1, value);
    this.#writer ??= (await this.#conn.createUnidirectionalStream())
      .getWriter();
    await this.#writer.write(message);
  }
}

/**
 * Reads the one-way stream of the peer.
 *
 * @throws {MuxError} `protocol-error` if the peer says too much, or only a part
 * @throws {unknown} the error of the stream
 */
export async function readNotices(
  stream: QuicReceiveStreamLike,
  events: ClosingEvents,
): Promise<void> {
  const reader = stream.getReader({ mode: "byob" });
  for (let messages = 0; messages < MAX_MESSAGES; messages++) {
    let length = 0;
    let buffer = new Uint8Array(SIZE);
    while (length < SIZE) {
      const read = await reader.read(buffer.subarray(length));
      if (read.done) {
        if (length === 0) return;
        throw connectionLost("the closing notice ended inside a message");
      }
      length += read.value.length;
      buffer = new Uint8Array(read.value.buffer);
    }
    if (buffer[0] === TYPE.closing) events.onClosing(readUint32(buffer, 1));
    else if (buffer[0] === TYPE.done) events.onDone();
  }
  throw protocolError(
    `received more than ${MAX_MESSAGES} messages about closing`,
  );
}
