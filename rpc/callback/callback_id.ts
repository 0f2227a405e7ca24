/**
 * The IDs of functions (rpc/SPEC.md, "Callbacks").
 *
 * @module
 */

/** Characters of an ID, as in the reference. */
const ID_LENGTH = 20;
/** How many of them are the same for all of a session, and for no other. */
const PREFIX_LENGTH = 7;
/** Those that come last. They are the secret of those who were sent the ID. */
const SECRET_LENGTH = 12;
/** The alphabet of IDs. They start with an underscore, unlike method names. */
const DIGITS =
  "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-~";
const UNDERSCORE = 0x5f;
const PREFIX = /^_[0-9A-Za-z~-]{6}$/;
const ID_END = /[0vbw][0-9A-Za-z~-]{12}$/;

/**
 * What an ID stands for.
 *
 * - `function`: a function.
 * - `values`: a stream of values, which a call of the function returns once.
 * - `bytes`: such a stream, all of whose values are bytes.
 * - `whole`: the same, sent in place of streamed arguments.
 */
export type CallbackKind = "function" | "values" | "bytes" | "whole";

const LETTERS: Record<CallbackKind, string> = {
  function: "0",
  values: "v",
  bytes: "b",
  whole: "w",
};

/** What an ID stands for. Those of other implementations are functions. */
export function kindOf(id: string): CallbackKind {
  if (id.length !== ID_LENGTH || id.charCodeAt(0) !== UNDERSCORE) {
    return "function";
  }
  switch (id[PREFIX_LENGTH]) {
    case LETTERS.values:
      return "values";
    case LETTERS.bytes:
      return "bytes";
    case LETTERS.whole:
      return "whole";
    default:
      return "function";
  }
}

/** Makes what the IDs of a session begin with. */
export function newPrefix(random = new RandomDigits()): string {
  return "_" + random.take(PREFIX_LENGTH - 1);
}

/**
 * Makes an ID. Its last 72 bits are random: they alone keep a client of a
 * forwarding peer from calling what another client was sent.
 */
export function newId(
  prefix: string,
  kind: CallbackKind,
  random: RandomDigits,
): string {
  return prefix + LETTERS[kind] + random.take(SECRET_LENGTH);
}

/** Random digits of IDs; one request for random bytes is for several IDs. */
export class RandomDigits {
  readonly #bytes = new Uint8Array(10 * SECRET_LENGTH);
  #at = this.#bytes.length;

  /** So many digits, at most ten times as many as an ID takes. */
  take(count: number): string {
    const bytes = this.#bytes;
    if (this.#at + count > bytes.length) {
      crypto.getRandomValues(bytes);
      this.#at = 0;
    }
    let digits = "";
    for (let i = 0; i < count; i++) digits += DIGITS[bytes[this.#at++]! & 63];
    return digits;
  }
}

/** The prefix of an ID; undefined if it is not an ID of this package. */
export function prefixOf(id: string): string | undefined {
  if (id.length !== ID_LENGTH) return undefined;
  const prefix = id.slice(0, PREFIX_LENGTH);
  return isPrefix(prefix) ? prefix : undefined;
}

/**
 * Finds IDs in bytes that arrive in pieces: all codecs write them as they are.
 * Their beginnings are random, so nothing else looks like one.
 */
export class IdFinder {
  readonly #prefix: string;
  readonly #onId: (id: string) => void;
  /** Makes one character of each byte. */
  readonly #decoder = new TextDecoder("latin1");
  /** The end of the bytes so far, in which an ID may have begun. */
  #rest = "";

  /** Finds the IDs that begin with `prefix`. */
  constructor(prefix: string, onId: (id: string) => void) {
    this.#prefix = prefix;
    this.#onId = onId;
  }

  /** Looks at the next bytes. */
  readonly add = (bytes: Uint8Array): void => {
    const text = this.#rest + this.#decoder.decode(bytes);
    let from = 0;
    for (;;) {
      const at = text.indexOf(this.#prefix, from);
      if (at < 0 || at + ID_LENGTH > text.length) break;
      from = at + PREFIX_LENGTH;
      const id = text.slice(at, at + ID_LENGTH);
      if (!ID_END.test(id)) continue;
      this.#onId(id);
      from = at + ID_LENGTH;
    }
    this.#rest = text.slice(Math.max(from, text.length - ID_LENGTH + 1));
  };
}

/** Whether a text is the prefix of IDs of this package. */
export function isPrefix(text: string): boolean {
  return PREFIX.test(text);
}

/**
 * What errors call the call of a function or stream.
 *
 * @param id its ID
 * @param origin the selector of the call that it came with
 */
export function nameAfter(id: string, origin: string): string {
  return `${kindOf(id) === "function" ? "callback" : "stream"} of ${origin}`;
}
