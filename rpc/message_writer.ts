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

  /**
   * Sends what was written. Returns nothing if it was copied at once, else a
   * promise as `QmuxChannel.send()` does; throws what that throws.
   */
  send(channel: QmuxChannel, writer: ValueWriter): Promise<void> | undefined {
    const waiting = channel.send(writer.message());
    if (waiting === undefined) this.#free = writer;
    return waiting;
  }
}
