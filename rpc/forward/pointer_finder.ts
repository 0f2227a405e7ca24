import { ID_LENGTH, POINTER_KEY } from "../callback/pointers.ts";

/** A function or stream of this package, in any codec, none of which escapes it. */
const POINTER = /\$fnptr.{1,3}(_[0-9A-Za-z~-]{6}[0vbw][0-9A-Za-z~-]{12})/gs;
/** The largest length of what this matches. */
const MAX_LENGTH = POINTER_KEY.length + 3 + ID_LENGTH;
const DOLLAR = 0x24;

/**
 * Finds functions and streams in bytes that arrive in pieces, of a peer that does not
 * say what its IDs begin with.
 */
export class PointerFinder {
  readonly #onId: (id: string) => void;
  /** Makes one character of each byte. */
  readonly #decoder = new TextDecoder("latin1");
  /** The end of the bytes so far, in which a pointer may have begun. */
  #rest = "";

  /** Calls `onId` with the ID of each. */
  constructor(onId: (id: string) => void) {
    this.#onId = onId;
  }

  /** Looks at the next bytes. */
  readonly add = (bytes: Uint8Array): void => {
    // Most have none, and need not be decoded.
    if (this.#rest === "" && bytes.indexOf(DOLLAR) < 0) return;
    const text = this.#rest + this.#decoder.decode(bytes);
    let end = 0;
    for (const match of text.matchAll(POINTER)) {
      this.#onId(match[1]!);
      end = match.index + match[0].length;
    }
    const last = text.slice(Math.max(end, text.length - MAX_LENGTH + 1));
    const begin = last.indexOf("$");
    this.#rest = begin < 0 ? "" : last.slice(begin);
  };
}
