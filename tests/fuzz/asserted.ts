/**
 * What the fuzzers assert besides that nothing breaks. What is `undefined` or
 * `false` is only reported.
 *
 * @module
 */

/** Limits of the worst values, and a rule that does not hold everywhere. */
export const ASSERTED: {
  /** Milliseconds to decode any value within the limits. */
  readonly decodeMs: number;
  /** Bytes that it takes. */
  readonly decodeBytes: number;
  /**
   * Whether keys with characters that JSON escapes come back as they were.
   * V8's `JSON.parse()` takes `{"aa":1,"a\\n":1}` for `{"aa":1,"a\\\\":1}` once
   * it has parsed the latter.
   */
  readonly escapedKeys: boolean;
} = {
  decodeMs: 25,
  decodeBytes: 32 * 1024 * 1024,
  escapedKeys: false,
};
