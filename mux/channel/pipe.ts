import { isRawChannel, type RawChannel } from "../raw.ts";
import type { Channel } from "../types.ts";

/**
 * Passes on what arrives on one channel to another, in order and without
 * streams. As far as it can leave at once, the bytes go from the one buffer to
 * the other.
 *
 * Resolves when nothing more comes; how that ended is for the caller to see.
 *
 * @throws {unknown} the reason why `to` cannot send any more, by rejection
 */
export function pipeBytes(from: RawChannel, to: RawChannel): Promise<void> {
  return new Promise((resolve, reject) => {
    const step = () => {
      try {
        for (;;) {
          const bytes = from.peek();
          if (bytes === undefined) {
            return from.ended ? resolve() : from.whenReadable(step);
          }
          const sent = to.trySend(bytes);
          if (sent > 0) {
            from.consume(sent);
            continue;
          }
          const sending = to.send(from.take()!);
          if (sending !== undefined) return void sending.then(step, reject);
        }
      } catch (error) {
        reject(error);
      }
    };
    step();
  });
}

/**
 * Passes the bytes of two channels on to each other, then their ends. Resolves
 * when nothing is left to pass on; never rejects.
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
 * One direction of {@linkcode splice}, without streams: making them costs more
 * than a small call has to pass on.
 */
export async function pipe(from: RawChannel, to: RawChannel): Promise<void> {
  try {
    await pipeBytes(from, to);
  } catch {
    // What still comes has nowhere to go, and its sender must not wait.
    return from.cancelRead();
  }
  passEnd(from, to);
}

/** All of `from` was passed on: passes on how it ended, now and later. */
function passEnd(from: RawChannel, to: RawChannel): void {
  if (from.failure !== undefined) return to.abort(from.failure);
  if (from.eofReceived) to.closeWrite();
  from.whenClosed(() => to.discard());
}
