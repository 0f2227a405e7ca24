import { concat } from "../../view.ts";
import { ID_LENGTH, POINTER_KEY } from "./pointers.ts";

/** A function or stream of this package, in any codec, none of which escapes it. */
const POINTER = /^\$fnptr.{1,8}?(_[0-9A-Za-z~-]{6}[0vbw][0-9A-Za-z~-]{12})/s;
/** The largest length of what this matches. */
const MAX_LENGTH = POINTER_KEY.length + 8 + ID_LENGTH;
const DOLLAR = POINTER_KEY.charCodeAt(0);
/** Makes one character of each byte. */
const latin1 = new TextDecoder("latin1");

/**
 * Finds functions and streams in bytes that arrive in pieces. To decode all of the
 * bytes would take ten times as long.
 */
export class PointerFinder {
  readonly #onId: (id: string) => void;
  readonly #prefix: string;
  /** The end of the bytes so far, in which a pointer may have begun. */
  #rest: Uint8Array | undefined;

  /**
   * Calls `onId` with the ID of each.
   *
   * @param prefix what the IDs begin with. Default: they are those of any peer
   */
  constructor(onId: (id: string) => void, prefix = "") {
    this.#onId = onId;
    this.#prefix = prefix;
  }

  /** Looks at the next bytes. */
  readonly add = (bytes: Uint8Array): void => {
    const all = this.#rest === undefined ? bytes : concat(this.#rest, bytes);
    this.#rest = undefined;
    let at = all.indexOf(DOLLAR);
    for (; at >= 0; at = all.indexOf(DOLLAR, at + 1)) {
      if (!isKey(all, at)) continue;
      const text = latin1.decode(all.subarray(at, at + MAX_LENGTH));
      const id = POINTER.exec(text)?.[1];
      if (id !== undefined) {
        if (id.startsWith(this.#prefix)) this.#onId(id);
      } else if (text.length < MAX_LENGTH) {
        this.#rest = all.slice(at);
        return;
      }
    }
  };
}

/** Whether the key begins at a place, as far as there are bytes. */
function isKey(bytes: Uint8Array, at: number): boolean {
  for (let i = 1; i < POINTER_KEY.length && at + i < bytes.length; i++) {
    if (bytes[at + i] !== POINTER_KEY.charCodeAt(i)) return false;
  }
  return true;
}
