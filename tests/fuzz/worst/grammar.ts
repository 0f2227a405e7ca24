/**
 * The pieces of a format from which the search builds values.
 *
 * @module
 */

/** Pieces of one format. */
export interface Grammar {
  /** Values, by name; each may differ by its index. */
  readonly tokens: Readonly<Record<string, Token>>;
  /** Containers of values, by name. */
  readonly containers: Readonly<Record<string, Container>>;
  /** Texts of any size, by name. */
  readonly fillers: Readonly<Record<string, Filler>>;
}

/** Makes the value for an index. */
export type Token = (index: number) => Uint8Array;

/** Makes one value of at most this size. */
export type Filler = (size: number) => Uint8Array;

/** A container of values. */
export interface Container {
  /** The bytes before the first entry. */
  begin(entries: number): Uint8Array;
  /** The bytes before an entry's value, such as a comma or a key. */
  before(index: number): Uint8Array;
  /** The bytes after the last entry. */
  end(entries: number): Uint8Array;
}

const encoder = new TextEncoder();

/** Bytes in one of the ways to write them. */
type Piece = string | readonly number[] | Uint8Array;

/** Makes bytes from a text or a list. */
export function bytes(of: Piece): Uint8Array {
  if (of instanceof Uint8Array) return of;
  return typeof of === "string" ? encoder.encode(of) : Uint8Array.from(of);
}

/** Joins parts of bytes. */
export function join(...pieces: readonly Piece[]): Uint8Array {
  const parts = pieces.map(bytes);
  const out = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Makes tokens, of which most are always the same. */
export function tokens(
  of: Record<string, Piece | Token>,
): Record<string, Token> {
  return Object.fromEntries(
    Object.entries(of).map(([name, piece]): [string, Token] => {
      if (typeof piece === "function") return [name, piece];
      const same = bytes(piece);
      return [name, () => same];
    }),
  );
}

/** A type byte and a count of four bytes. */
export function counted(type: number, count: number): Uint8Array {
  const out = new Uint8Array(5);
  out[0] = type;
  new DataView(out.buffer).setUint32(1, count);
  return out;
}

/** Nothing. */
export const NOTHING = new Uint8Array(0);

/** Repeats a piece, as often as it fits between two others. */
export function repeated(
  piece: string | readonly number[],
  begin: (size: number) => Uint8Array,
  end: Uint8Array = NOTHING,
): Filler {
  const once = bytes(piece);
  return (size) => {
    const room = Math.max(0, size - begin(0).length - end.length);
    const length = Math.floor(room / once.length) * once.length;
    const out = new Uint8Array(begin(0).length + length + end.length);
    out.set(begin(length));
    for (let at = begin(0).length; at < out.length - end.length;) {
      out.set(once, at);
      at += once.length;
    }
    out.set(end, out.length - end.length);
    return out;
  };
}

/** Ten different letters in an order that follows from an index. */
export function shuffledLetters(index: number): string[] {
  const letters = [..."abcdefghij"];
  let state = (index + 1) * 2_654_435_761;
  for (let i = letters.length - 1; i > 0; i--) {
    state = Math.imul(state ^ (state >>> 15), 2_246_822_519) >>> 0;
    const j = state % (i + 1);
    [letters[i], letters[j]] = [letters[j]!, letters[i]!];
  }
  return letters;
}

/** A text of digits whose hash many share, in engines that hash 24 bits. */
export function crowdedDigits(index: number): string {
  return String(100_000_000 + (index * 2 ** 14) % 899_999_999);
}

/** A short text that differs for each number. */
export function id(i: number): string {
  return i.toString(36);
}

/** The keys `k0`, `k1` and so on. */
export function manyKeys(length: number): string[] {
  return Array.from({ length }, (_, i) => `k${i}`);
}
