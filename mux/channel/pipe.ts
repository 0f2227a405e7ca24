import { isRawChannel, type RawChannel } from "../raw.ts";
import type { Channel } from "../types.ts";

/**
 * Moves what arrives on one channel to another, in order and without streams.
 * They are copied from one buffer to the other when they can leave.
 *
 * Resolves when nothing more arrives; the caller handles the way it ended.
 *
 * @param onBytes called with all bytes as they leave
 * @throws {unknown} the reason why `to` can no longer send
 */
export function pipeBytes(
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
 */
export async function pipe(
  from: RawChannel,
  to: RawChannel,
  onBytes?: (bytes: Uint8Array) => void,
): Promise<void> {
  try {
    await pipeBytes(from, to, onBytes);
  } catch {
    // The rest has no destination, and its sender must not wait.
    return from.cancelRead();
  }
  pipeEnd(from, to);
}

/** Ends `to` as `from` has ended, and when `from` closes. */
function pipeEnd(from: RawChannel, to: RawChannel): void {
  if (from.failure !== undefined) return to.abort(from.failure);
  if (from.eofReceived) to.closeWrite();
  from.whenClosed(() => to.discard());
}
