/** Longer headers, in bytes, are decoded each time. */
const MAX_LENGTH = 128;
/** How many headers are cached; a power of two. */
const SLOTS = 256;

/** A header, encoded and decoded. */
interface Entry<T> {
  bytes: Uint8Array;
  header: T;
}

/**
 * Caches decoded headers. A session sees the same few headers again and again,
 * and comparing sixty bytes takes a tenth of the time of decoding them.
 */
export class HeaderCache<T> {
  readonly #decode: (bytes: Uint8Array) => T;
  readonly #onEntry: (() => void) | undefined;
  readonly #isShared: (header: T) => boolean;
  readonly #entries = new Map<number, Entry<T>>();
  /** The entry that was used last, and is most likely used next. */
  #last: Entry<T> | undefined;

  /**
   * Makes a cache for `decode`. It may keep the bytes that it gets; what its
   * results say must not be changed.
   *
   * @param onEntry called when the cache takes the memory of another entry
   * @param isShared whether a header may be used again. Default: all of them
   */
  constructor(
    decode: (bytes: Uint8Array) => T,
    onEntry?: () => void,
    isShared: (header: T) => boolean = () => true,
  ) {
    this.#decode = decode;
    this.#onEntry = onEntry;
    this.#isShared = isShared;
  }

  /** The decoded form of `bytes`; throws what decoding throws. */
  get(bytes: Uint8Array): T {
    if (bytes.length > MAX_LENGTH) return this.#decode(bytes.slice());
    const last = this.#last;
    if (last !== undefined && equal(last.bytes, bytes)) return last.header;
    const slot = hash(bytes) & (SLOTS - 1);
    const cached = this.#entries.get(slot);
    if (cached !== undefined && equal(cached.bytes, bytes)) {
      this.#last = cached;
      return cached.header;
    }
    const own = bytes.slice();
    const header = this.#decode(own);
    if (!this.#isShared(header)) return header;
    if (cached === undefined) this.#onEntry?.();
    this.#entries.set(slot, this.#last = { bytes: own, header });
    return header;
  }
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
