/**
 * The pieces of a format from which the search builds values.
 *
 * @module
 */

/** Pieces of one format. */
export interface Grammar {
  /** Short values, by name. */
  readonly tokens: Readonly<Record<string, Uint8Array>>;
  /** Containers of values, by name. */
  readonly containers: Readonly<Record<string, Container>>;
}

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

/** Makes bytes from a text or a list. */
export function bytes(of: string | readonly number[]): Uint8Array {
  return typeof of === "string" ? encoder.encode(of) : Uint8Array.from(of);
}

/** The same for several, by name. */
export function named(
  of: Record<string, string | readonly number[]>,
): Record<string, Uint8Array> {
  return Object.fromEntries(
    Object.entries(of).map(([name, value]) => [name, bytes(value)]),
  );
}

/** A type byte and a count of four bytes. */
export function counted(type: number, count: number): Uint8Array {
  const out = new Uint8Array(5);
  out[0] = type;
  new DataView(out.buffer).setUint32(1, count);
  return out;
}
