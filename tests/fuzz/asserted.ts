/**
 * What the fuzzers assert beyond that nothing breaks, and what they only
 * report: `undefined` and `false` are reported.
 *
 * @module
 */

/** The limits of the worst value that the search finds, and of places. */
export const ASSERTED: {
  /** Milliseconds that decoding any value within the limits may take: 25. */
  readonly decodeMs: number | undefined;
  /** Bytes that it may take: 32 MiB. */
  readonly decodeBytes: number | undefined;
  /** Whether every way to end a call, or a session, gives its places back. */
  readonly placesComeBack: boolean;
  /**
   * Whether keys with characters that JSON escapes come back as they were.
   * V8's `JSON.parse()` takes `{"aa":1,"a\\n":1}` for `{"aa":1,"a\\\\":1}` once
   * it has parsed the latter.
   */
  readonly escapedKeys: boolean;
} = {
  decodeMs: undefined,
  decodeBytes: undefined,
  placesComeBack: false,
  escapedKeys: false,
};
