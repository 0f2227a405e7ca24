import type { ValueReader } from "../../../codec/internal.ts";

/** Longer headers, in bytes, are decoded each time. */
const MAX_LENGTH = 128;
/** How many headers are cached; a power of two. */
const SLOTS = 256;
/** How many of those that are used briefly. */
const BRIEF_SLOTS = 16;

/**
 * For how long a header may be used again: as long as the session lasts; briefly,
 * if others like it differ from call to call, and must not take the places of the
 * rest; or never.
 */
export type HeaderUse = "long" | "brief" | "never";

/** A header, encoded and decoded. */
interface Entry<T> {
  bytes: Uint8Array;
  header: T;
}

/** The entry that was made last, of the caches that have this. */
export interface LatestEntry<T> {
  entry: Entry<T> | undefined;
}

/**
 * Caches decoded headers. A session sees the same few headers again and again,
 * and comparing sixty bytes takes a tenth of the time of decoding them.
 */
export class HeaderCache<T> {
  readonly #decode: (bytes: Uint8Array) => T;
  readonly #onEntry: (() => void) | undefined;
  readonly #useOf: (header: T) => HeaderUse;
  readonly #latest: LatestEntry<T> | undefined;
  /** Made for the first entry. */
  #entries: Map<number, Entry<T>> | undefined;
  /** Entries that are used briefly; made when there is one. */
  #brief: Map<number, Entry<T>> | undefined;
  /** Bytes of the header that was read last. */
  size = 0;
  /** The entry that was used last, and is most likely used next. */
  #last: Entry<T> | undefined;

  /**
   * Makes a cache for `decode`. It may keep the bytes that it gets; what its
   * results say must not be changed.
   *
   * @param onEntry called when the cache takes the memory of another entry
   * @param useOf for how long a header may be used again. Default: long
   * @param latest the latest entry of the caches that decode alike. Default: there
   * are no others
   */
  constructor(
    decode: (bytes: Uint8Array) => T,
    onEntry?: () => void,
    useOf: (header: T) => HeaderUse = () => "long",
    latest?: LatestEntry<T>,
  ) {
    this.#latest = latest;
    this.#decode = decode;
    this.#onEntry = onEntry;
    this.#useOf = useOf;
  }

  /**
   * Reads the next value, which is a header; returns what `ValueReader.next()`
   * does, decoded.
   *
   * @param maxSize the largest size of a header, in bytes
   * @throws {unknown} what reading and decoding throw
   */
  read(reader: ValueReader, maxSize: number): T | null | undefined {
    const last = this.#last;
    if (last !== undefined && reader.takeIf(last.bytes)) {
      this.size = last.bytes.length;
      return last.header;
    }
    const bytes = reader.next(maxSize);
    if (bytes === undefined || bytes === null) return bytes;
    this.size = bytes.length;
    return this.get(bytes);
  }

  /** The decoded form of `bytes`; throws what decoding throws. */
  get(bytes: Uint8Array): T {
    if (bytes.length > MAX_LENGTH) return this.#decode(bytes.slice());
    const last = this.#last;
    if (last !== undefined && equal(last.bytes, bytes)) return last.header;
    const key = hash(bytes);
    const cached = this.#entries?.get(key & (SLOTS - 1));
    if (cached !== undefined && equal(cached.bytes, bytes)) {
      this.#last = cached;
      return cached.header;
    }
    const brief = this.#brief?.get(key & (BRIEF_SLOTS - 1));
    if (brief === undefined || !equal(brief.bytes, bytes)) {
      return this.#add(bytes, key);
    }
    this.#last = brief;
    return brief.header;
  }

  #add(bytes: Uint8Array, key: number): T {
    const entry = this.#newEntry(bytes);
    const { header } = entry;
    const use = this.#useOf(header);
    if (use === "never") return header;
    const isLong = use === "long";
    const slot = key & ((isLong ? SLOTS : BRIEF_SLOTS) - 1);
    const entries = isLong
      ? this.#entries ??= new Map<number, Entry<T>>()
      : this.#brief ??= new Map<number, Entry<T>>();
    if (!entries.has(slot)) this.#onEntry?.();
    entries.set(slot, entry);
    if (!isLong) return header;
    this.#last = entry;
    if (this.#latest !== undefined) this.#latest.entry = entry;
    return header;
  }

  #newEntry(bytes: Uint8Array): Entry<T> {
    const latest = this.#latest?.entry;
    if (latest !== undefined && equal(latest.bytes, bytes)) return latest;
    const own = bytes.slice();
    return { bytes: own, header: this.#decode(own) };
  }
}

/** The encoded header that {@linkcode sharedHeader} got last. */
let latestHeader: Uint8Array | undefined;

/**
 * Returns an encoded header of this side that is to be kept: if another session has
 * kept the same last, what that has.
 */
export function sharedHeader(bytes: Uint8Array): Uint8Array {
  const latest = latestHeader;
  return latest !== undefined && equal(latest, bytes)
    ? latest
    : latestHeader = bytes.slice();
}

/** FNV-1a. */
function hash(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < bytes.length; i++) {
    hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  }
  return hash ^ (hash >>> 15);
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
