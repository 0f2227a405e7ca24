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
 * Bytes at the beginning and at the end of a batch that are cut. What lies
 * between in longer ones is one value, of which one byte is as good as the next.
 */
const CUT = 2_048;

/** All of them, by name. */
export const CHUNKINGS: Readonly<Record<string, Chunking>> = {
  "frame by frame": (frames) => frames,
  "all that is due at once": (frames) => [concat(...frames)],
  "byte by byte": bothEnds((bytes) =>
    Array.from(bytes, (byte) => Uint8Array.of(byte))
  ),
  ...Object.fromEntries(
    RANDOM.map(([seed, longest]) => [
      `pieces of 1 to ${longest} bytes, seed ${seed}`,
      bothEnds((bytes) => new Random(seed).split(bytes, longest)),
    ]),
  ),
};

function bothEnds(cut: (bytes: Uint8Array) => Uint8Array[]): Chunking {
  return (frames) => {
    const bytes = concat(...frames);
    const middle = bytes.subarray(CUT, -CUT);
    return middle.length === 0 ? cut(bytes) : [
      ...cut(bytes.subarray(0, CUT)),
      middle,
      ...cut(bytes.subarray(-CUT)),
    ];
  };
}
