/**
 * Moves bytes from one channel to another.
 *
 * @module
 */
import type { RawChannel } from "../raw.ts";
import type { Channel } from "../types.ts";

/** Does what `pipeTo()` does, between the streams of two channels, which are locked. */
export async function pipeStreams(
  from: RawChannel,
  reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>,
  to: RawChannel,
  writer: WritableStreamDefaultWriter<Uint8Array>,
): Promise<void> {
  let complete = false;
  const piped = pipeBytes(from, to);
  piped.then(() => complete = true, () => {});
  try {
    // The destination can also fail while no bytes arrive, or be closing already.
    await Promise.race([piped, writer.closed]);
    if (!complete) {
      throw new TypeError("Cannot pipe: the destination is closed");
    }
  } catch (error) {
    await reader.cancel(error);
    throw error;
  }
  try {
    // No bytes are left: this read tells how the source ended.
    await reader.read();
  } catch (error) {
    await writer.abort(error);
    throw error;
  }
  await writer.close();
}

/**
 * Moves what arrives on one channel to another, in order and without streams.
 * They are copied from one buffer to the other when they can leave.
 *
 * Resolves when nothing more arrives; the caller handles the way it ended.
 *
 * @param onBytes called with all bytes as they leave
 * @throws {unknown} the reason why `to` can no longer send
 */
function pipeBytes(
  from: RawChannel,
  to: RawChannel,
  onBytes?: (bytes: Uint8Array) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const step = () => {
      try {
        for (;;) {
          const bytes = from.peek();
          if (bytes === undefined) {
            return from.ended ? resolve() : from.whenReadable(step);
          }
          const sent = to.trySend(bytes);
          // What cannot leave stays where it is, and its sender gets no credit.
          if (sent === 0) return to.whenWritable(step);
          onBytes?.(bytes.subarray(0, sent));
          from.consume(sent);
        }
      } catch (error) {
        reject(error);
      }
    };
    step();
  });
}

/** Whether a channel has the raw interface. */
export function isRawChannel(channel: Channel): channel is RawChannel {
  return typeof (channel as Partial<RawChannel>).trySend === "function";
}

/**
 * Pipes each of two channels into the other, including their ends. Resolves when
 * nothing is left to pipe; never rejects.
 */
export async function splice(a: Channel, b: Channel): Promise<void> {
  if (isRawChannel(a) && isRawChannel(b)) {
    await Promise.all([pipe(a, b), pipe(b, a)]);
    return;
  }
  await Promise.allSettled([
    a.readable.pipeTo(b.writable),
    b.readable.pipeTo(a.writable),
  ]);
  await Promise.allSettled([a.close(), b.close()]);
}

/**
 * Pipes one channel into another, including its end: one direction of
 * {@linkcode splice}. It uses no streams, which cost more than a small call.
 *
 * @param onBytes called with all bytes as they leave
 * @param onEof called when `from` has ended with EOF, which follows them
 */
export async function pipe(
  from: RawChannel,
  to: RawChannel,
  onBytes?: (bytes: Uint8Array) => void,
  onEof?: () => void,
): Promise<void> {
  try {
    await pipeBytes(from, to, onBytes);
  } catch {
    // The rest has no destination, and its sender must not wait.
    return from.cancelRead();
  }
  pipeEnd(from, to, onEof);
}

/** Ends `to` as `from` has ended, and when `from` closes. */
function pipeEnd(
  from: RawChannel,
  to: RawChannel,
  onEof?: () => void,
): void {
  if (from.failure !== undefined) return to.abort(from.failure);
  if (from.eofReceived) {
    to.closeWrite();
    onEof?.();
  }
  from.whenClosed(() => to.discard());
}
