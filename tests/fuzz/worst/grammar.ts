/**
 * How values are written that cost much: what a format has for the search to
 * put together.
 *
 * @module
 */

/** Pieces of one format. */
export interface Grammar {
  /** Whole values, each short, by what they are. */
  readonly tokens: Readonly<Record<string, Uint8Array>>;
  /** What stands around values. */
  readonly containers: Readonly<Record<string, Container>>;
}

/** A value made of others. */
export interface Container {
  /** Bytes before so many entries. */
  begin(entries: number): Uint8Array;
  /** Bytes before an entry's value: a comma, a key. */
  before(index: number): Uint8Array;
  /** Bytes after all entries. */
  end(entries: number): Uint8Array;
}

const encoder = new TextEncoder();

/** Bytes of a text, or these bytes. */
export function bytes(of: string | readonly number[]): Uint8Array {
  return typeof of === "string" ? encoder.encode(of) : Uint8Array.from(of);
}

/** Bytes of several, by the same names. */
export function named(
  of: Record<string, string | readonly number[]>,
): Record<string, Uint8Array> {
  return Object.fromEntries(
    Object.entries(of).map(([name, value]) => [name, bytes(value)]),
  );
}

/** A byte, then a number of four bytes. */
export function counted(type: number, count: number): Uint8Array {
  const out = new Uint8Array(5);
  out[0] = type;
  new DataView(out.buffer).setUint32(1, count);
  return out;
}
