import { ValueWriter } from "../codec/value_stream.ts";
import type { QmuxChannel } from "../mux/channel.ts";

/**
 * Sends messages of values on the channels of one session, with one buffer
 * where that is possible.
 *
 * It is not while a message is being made inside another: a value's `toJSON()`
 * may make calls. Nor while a message waits for credit.
 */
export class MessageWriter {
  #free: ValueWriter | undefined = new ValueWriter();

  /** A writer for one message, which goes to {@linkcode send}. */
  begin(): ValueWriter {
    const writer = this.#free ?? new ValueWriter();
    this.#free = undefined;
    writer.begin();
    return writer;
  }

  /** What was written, in bytes of its own, to be sent later. */
  keep(writer: ValueWriter): Uint8Array {
    const message = writer.message().slice();
    this.#free = writer;
    return message;
  }

  /**
   * Sends what was written. Returns nothing if it was copied at once, else a
   * promise as `QmuxChannel.send()` does; throws what that throws.
   */
  send(
    channel: QmuxChannel,
    message: ValueWriter | Uint8Array,
  ): Promise<void> | undefined {
    if (message instanceof Uint8Array) return channel.send(message);
    const waiting = channel.send(message.message());
    if (waiting === undefined) this.#free = message;
    return waiting;
  }
}
