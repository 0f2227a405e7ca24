/**
 * What a codec carries besides JSON's values. It exists only in types: the type of
 * a peer includes that of its codec, which determines the types of `remote()`.
 *
 * Each member is the type as which such a value arrives. A value without a member
 * here arrives as another type or not at all, so arguments that contain one do not
 * compile.
 */
export interface Carried {
  /** A `bigint`: `number | bigint` if small ones arrive as numbers. */
  readonly bigint?: number | bigint;
  /** A `Uint8Array`. */
  readonly bytes?: Uint8Array<ArrayBuffer>;
  /** A `Date`. */
  readonly date?: Date;
  /** A `Map`, and what is in it. */
  readonly map?: true;
  /** A `Set`, and what is in it. */
  readonly set?: true;
}

/** What `json({ bigint: true })` carries. */
export interface CarriedByBigIntJson extends Carried {
  /** Safe integers arrive as numbers. */
  readonly bigint: number | bigint;
}

/**
 * Converts values to bytes and back. Both ends of a session must use the same
 * codec; the wire does not name it.
 *
 * A codec treats `null` and `undefined` alike, enforces its own limits and
 * keeps no state, so any number of sessions may share it.
 *
 * @typeParam Carries what it carries besides JSON's values
 */
export interface Codec<Carries extends Carried = Carried> {
  /** Its name in error messages, such as `"JSON"`. */
  readonly name: string;
  /** Not set: it makes `Carries` part of the type. */
  readonly carries?: Carries | undefined;
  /**
   * Encodes a value. The caller owns the returned bytes. A codec must refuse
   * functions with `unsupported-type`: RPC then sends them as callbacks.
   *
   * @throws {CodecError} `unsupported-type` or `too-deep`
   */
  encode(value: unknown): Uint8Array;
  /**
   * Encodes a value directly into the send buffer. Optional: it saves small
   * values an allocation and a copy. Throws the same errors as
   * {@linkcode encode}.
   */
  encodeInto?(value: unknown, sink: ByteSink): void;
  /**
   * Decodes a value. `bytes` are only valid during the call: the returned value
   * must not refer to them.
   *
   * @param bytes the encoded value
   * @param weight where an estimate of the memory of the value is written; a
   * codec may leave it as it is
   * @throws {CodecError} `malformed`, `truncated`, `too-deep` or
   * `too-many-items`
   */
  decode(bytes: Uint8Array, weight?: ValueWeight): unknown;
  /**
   * Whether an object can begin with this byte. Optional: a peer with several
   * codecs uses it to recognize the codec of a call by the first byte of the
   * call's header. A codec without this method is used for every call that no
   * codec before it in the list recognizes.
   */
  beginsMap?(firstByte: number): boolean;
  /**
   * The number of keys of the object that these bytes encode, without the keys of
   * nested objects. A key that occurs twice counts twice: RPC compares the number
   * with that of the decoded keys, and refuses headers with such keys, because
   * other implementations may read them differently. Optional: a codec that refuses
   * them itself does not need it.
   *
   * @param bytes an encoded object, which {@linkcode decode} accepts
   */
  keyCount?(bytes: Uint8Array): number;
}

/** The buffer that {@linkcode Codec.encodeInto} writes to. */
export interface ByteSink {
  /** Returns room for `bytes` bytes, of any content, valid until the next call. */
  reserve(bytes: number): Uint8Array<ArrayBuffer>;
  /** Keeps the first `bytes` bytes of the room. */
  commit(bytes: number): void;
}

/** An estimate of the memory that a decoded value takes. */
export interface ValueWeight {
  /** The memory in bytes, rather too large than too small. */
  bytes: number;
}

/** The options of every codec. */
export interface CodecOptions {
  /**
   * How deep arrays and objects may be nested, in levels, when encoding and
   * decoding. An integer from 1 to 1,000. Default: 512.
   */
  maxDepth?: number | undefined;
  /**
   * How many items a value may have when decoding. Each part of a value counts as
   * a number of items, by what it costs to decode: the documentation of each codec
   * has the table. An integer of at least 1, or `Infinity`. Default: 100,000.
   *
   * An item takes up to 100 ns to decode and up to 32 bytes of memory. While a
   * value is decoded, nothing else runs in the process.
   */
  maxItems?: number | undefined;
}
