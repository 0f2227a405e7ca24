import { offAbort, onAbort } from "../../abort_listeners.ts";
import { reasonOf } from "../../abort_reason.ts";
import { view } from "../../view.ts";
import { ValueWriter } from "../../codec/internal.ts";
import type { RawChannel } from "../../mux/internal.ts";

/** The size of the blocks that small stored messages share, in bytes. */
const BLOCK_SIZE = 4 * 1024;

/**
 * What messages are encoded with, and no message uses now. All sessions share them,
 * because a message is copied before the program goes on: with one for each session,
 * a call over one of a thousand connections found a writer, its views and its buffer
 * that had left the processor's cache long ago, and each session kept up to 128 KiB.
 *
 * Most programs need one. There are more while a message is being encoded inside
 * another (a value's `toJSON()` may make calls), and while messages wait for credit.
 */
const free: ValueWriter[] = [];
/** How many of them are kept. */
const MAX_FREE = 8;

/** Keeps what a message was encoded with for another one. */
function keep(writer: ValueWriter): void {
  if (free.length < MAX_FREE) free.push(writer);
}

/** Encodes and sends messages, with the buffers that all sessions share. */
export class MessageWriter {
  /** Where messages are stored side by side, and how much of it is used. */
  #block: Uint8Array | undefined;
  #blockLength = 0;
  /** Messages that are stored. */
  #stored = 0;

  /** An empty message, to be given to {@linkcode send} or {@linkcode store}. */
  begin(): ValueWriter {
    const writer = free.pop() ?? new ValueWriter();
    writer.begin();
    return writer;
  }

  /**
   * Copies a message, to be sent later. Call {@linkcode unstore} when it is sent
   * or no longer needed.
   */
  store(writer: ValueWriter): Uint8Array {
    const stored = this.#copy(writer.message());
    keep(writer);
    return stored;
  }

  /**
   * Sends a message. Returns nothing if it was copied at once; otherwise the
   * promise of `RawChannel.send()`.
   *
   * If `signal` aborts while the message waits for credit, the promise rejects
   * with its reason. A message of which nothing was sent is withdrawn; if a part
   * of it was sent, the channel is closed.
   *
   * @throws {unknown} what `RawChannel.send()` throws
   */
  send(
    channel: RawChannel,
    message: ValueWriter | Uint8Array,
    signal?: AbortSignal,
  ): Promise<void> | undefined {
    const bytes = message instanceof Uint8Array ? message : message.message();
    const waiting = channel.send(bytes);
    if (waiting === undefined) {
      if (message !== bytes) keep(message as ValueWriter);
      return undefined;
    }
    if (message instanceof ValueWriter && message.isLarge) {
      // A very large buffer is held weakly from then on.
      waiting.then(() => {
        message.begin();
        keep(message);
      }, () => {});
    }
    return signal === undefined
      ? waiting
      : withdrawable(channel, bytes, waiting, signal);
  }

  /** A stored message has been sent, or never will be. */
  unstore(): void {
    if (--this.#stored === 0) this.#block = undefined;
  }

  /**
   * A buffer for each message would cost more than the rest of a small call, unless
   * it is the only one: a ping, or the first call in a while.
   */
  #copy(message: Uint8Array): Uint8Array {
    this.#stored++;
    const size = message.length;
    if (size > BLOCK_SIZE / 4 || this.#stored === 1) return message.slice();
    if (this.#block === undefined || this.#blockLength + size > BLOCK_SIZE) {
      this.#block = new Uint8Array(BLOCK_SIZE);
      this.#blockLength = 0;
    }
    const end = this.#blockLength + size;
    const copy = view(this.#block, this.#blockLength, end);
    this.#blockLength = end;
    copy.set(message);
    return copy;
  }
}

/** Lets a signal take back bytes that wait for credit. */
function withdrawable(
  channel: RawChannel,
  bytes: Uint8Array,
  waiting: Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const giveUp = () => {
    // The rest of a message that was sent in part cannot be left out.
    const reason = reasonOf(signal);
    if (!channel.withdraw(bytes, reason)) channel.abort(reason);
  };
  onAbort(signal, giveUp);
  return waiting.finally(() => offAbort(signal, giveUp));
}
