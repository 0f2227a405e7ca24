import { ValueWriter } from "../../codec/internal.ts";
import type { RawChannel } from "../../mux/internal.ts";

/** Bytes that small messages which wait for a channel share. */
const BLOCK_SIZE = 4 * 1024;

/**
 * Sends messages of values on the channels of one session, with one buffer
 * where that is possible.
 *
 * It is not while a message is being made inside another: a value's `toJSON()`
 * may make calls. Nor while a message waits for credit.
 */
export class MessageWriter {
  #free: ValueWriter | undefined = new ValueWriter();
  /** Where messages are kept side by side, how far, and how many still wait. */
  #block: Uint8Array | undefined;
  #blockLength = 0;
  #kept = 0;

  /** A writer for one message, which goes to {@linkcode send}. */
  begin(): ValueWriter {
    const writer = this.#free ?? new ValueWriter();
    this.#free = undefined;
    writer.begin();
    return writer;
  }

  /**
   * What was written, in bytes of its own, to be sent later; call
   * {@linkcode unkeep} then.
   */
  keep(writer: ValueWriter): Uint8Array {
    const kept = this.#copy(writer.message());
    this.#free = writer;
    return kept;
  }

  /**
   * Sends what was written. Returns nothing if it was copied at once, else a
   * promise as `RawChannel.send()` does; throws what that throws.
   */
  send(
    channel: RawChannel,
    message: ValueWriter | Uint8Array,
  ): Promise<void> | undefined {
    if (message instanceof Uint8Array) return channel.send(message);
    const waiting = channel.send(message.message());
    if (waiting === undefined) this.#free = message;
    return waiting;
  }

  /** One that was kept waits no more: it can be sent, or never will be. */
  unkeep(): void {
    if (--this.#kept === 0) this.#block = undefined;
  }

  /** A buffer for each would cost more than the rest of a small call. */
  #copy(message: Uint8Array): Uint8Array {
    this.#kept++;
    const size = message.length;
    if (size > BLOCK_SIZE / 4) return message.slice();
    if (this.#block === undefined || this.#blockLength + size > BLOCK_SIZE) {
      this.#block = new Uint8Array(BLOCK_SIZE);
      this.#blockLength = 0;
    }
    const end = this.#blockLength + size;
    const copy = this.#block.subarray(this.#blockLength, end);
    this.#blockLength = end;
    copy.set(message);
    return copy;
  }
}
