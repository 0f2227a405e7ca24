/**
 * Turns values into bytes and back. Both ends of a session use the same codec;
 * nothing on the wire names it.
 *
 * A codec treats `null` and `undefined` alike, keeps its limits itself, and
 * holds on to nothing: it may be shared by any number of sessions.
 */
export interface Codec {
  /** What it is called in messages, such as `"JSON"`. */
  readonly name: string;
  /**
   * Encodes one value into bytes that are the caller's. Functions have to be
   * refused as `unsupported-type`: RPC then sends them as callbacks.
   *
   * @throws {CodecError} `unsupported-type` or `too-deep`
   */
  encode(value: unknown): Uint8Array;
  /**
   * Encodes one value straight to where it is sent from. Optional: it spares
   * the bytes of small values an allocation and a copy. Errors are those of
   * {@linkcode encode}.
   */
  encodeInto?(value: unknown, sink: ByteSink): void;
  /**
   * Decodes one value. `bytes` are valid during the call only: what it returns
   * must not refer to them.
   *
   * @throws {CodecError} `malformed`, `truncated` or `too-deep`
   */
  decode(bytes: Uint8Array): unknown;
  /**
   * Whether that may be the first byte of an object. Optional: it lets a
   * responder that speaks several codecs find the one that a call is in. One
   * without it is taken for a call's if none in front of it was.
   */
  beginsMap?(firstByte: number): boolean;
}

/** Where {@linkcode Codec.encodeInto} puts bytes. */
export interface ByteSink {
  /** Room for that many bytes, valid until the next call. */
  reserve(bytes: number): Uint8Array<ArrayBuffer>;
  /** Says how many bytes of the room were filled, from its beginning. */
  commit(bytes: number): void;
}

/** Limits that every codec has. */
export interface CodecOptions {
  /** How deep arrays and objects may be nested, either way. Default: 512. */
  maxDepth?: number;
}

/**
 * Default of {@linkcode CodecOptions.maxDepth}: deeper than any data that
 * people write, and far from what a stack can take.
 */
export const DEFAULT_MAX_DEPTH = 512;
