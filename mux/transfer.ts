import type { QmuxChannel } from "./channel.ts";

/**
 * Passes on what arrives on one channel to another, in order and without
 * streams. As far as it can leave at once, the bytes go from the one buffer to
 * the other.
 *
 * Resolves when nothing more comes; how that ended is for the caller to see.
 *
 * @throws {unknown} the reason why `to` cannot send any more, by rejection
 */
export function transfer(from: QmuxChannel, to: QmuxChannel): Promise<void> {
  return new Promise((resolve, reject) => {
    const step = () => {
      try {
        for (;;) {
          const bytes = from.peek();
          if (bytes === undefined) {
            return from.ended ? resolve() : from.wait(step);
          }
          const sent = to.sendNow(bytes);
          if (sent > 0) {
            from.skip(sent);
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
