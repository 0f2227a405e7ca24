/**
 * The ways in which a replay cuts what it sends: the result must not depend on
 * any of them.
 *
 * @module
 */
import { Random } from "../support/random.ts";
import { concat } from "../support/wire.ts";
import type { Chunking } from "./capture.ts";

/** Seeds of random cuts, and the longest piece of each. */
const RANDOM = [[1, 4], [2, 24], [3, 200]] as const;

/**
 * Bytes at the beginning and at the end of a batch that come one by one. Longer
 * batches are those of one value, of which one byte is as good as the next.
 */
const BOTH_ENDS = 2_048;

/** All of them, by name. */
export const CHUNKINGS: Readonly<Record<string, Chunking>> = {
  "frame by frame": (frames) => frames,
  "all that is due at once": (frames) => [concat(...frames)],
  "byte by byte": (frames) => {
    const bytes = concat(...frames);
    const middle = bytes.subarray(BOTH_ENDS, -BOTH_ENDS);
    if (middle.length === 0) return single(bytes);
    return [
      ...single(bytes.subarray(0, BOTH_ENDS)),
      middle,
      ...single(bytes.subarray(-BOTH_ENDS)),
    ];
  },
  ...Object.fromEntries(
    RANDOM.map(([seed, longest]): [string, Chunking] => [
      `pieces of 1 to ${longest} bytes, seed ${seed}`,
      (frames) => new Random(seed).split(concat(...frames), longest),
    ]),
  ),
};

function single(bytes: Uint8Array): Uint8Array[] {
  return Array.from(bytes, (byte) => Uint8Array.of(byte));
}
