/**
 * What the fuzzers assert of the worst values.
 *
 * @module
 */

/** Limits of the worst values. */
export const ASSERTED: {
  /** Milliseconds to decode any value within the limits. */
  readonly decodeMs: number;
  /** Bytes that it takes. */
  readonly decodeBytes: number;
} = {
  decodeMs: 25,
  decodeBytes: 32 * 1024 * 1024,
};
