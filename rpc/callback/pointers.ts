/**
 * Functions and streams inside values. On the wire each is a pointer: a map whose
 * only key is `$fnptr` and whose value is an ID (rpc/SPEC.md, "Callbacks").
 *
 * @module
 */
import { Normalizer } from "../../codec/internal.ts";
import type { AnyFunction } from "../remote/value_kinds.ts";
import type { ValueStream } from "../wire/value_source.ts";

// The IDs of functions (rpc/SPEC.md, "Callbacks").

/** Characters of an ID, as in the reference. */
export const ID_LENGTH = 20;
/** How many of them are the same for all of a session, and for no other. */
export const PREFIX_LENGTH = 7;
/** Those that come last. They are the secret of those who were sent the ID. */
const SECRET_LENGTH = 12;
/** The alphabet of IDs. They start with an underscore, unlike method names. */
const DIGITS =
  "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-~";
const UNDERSCORE = 0x5f;
const PREFIX = /^_[0-9A-Za-z~-]{6}$/;

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

/** The key of the map that stands for a function. */
export const POINTER_KEY = "$fnptr";

/** Replaces functions and streams by pointers, and leaves the rest as it is. */
export class PointerNormalizer extends Normalizer {
  /** How many functions and streams were replaced. */
  count = 0;
  readonly #idOf: (value: AnyFunction | ValueStream) => string;

  /**
   * Makes a normalizer.
   *
   * @param codec the codec's name, for error messages
   * @param idOf returns the ID for a function or a stream
   */
  constructor(
    codec: string,
    idOf: (value: AnyFunction | ValueStream) => string,
  ) {
    super(codec);
    this.#idOf = idOf;
  }

  protected override number(value: number): number {
    return value;
  }

  protected override bigint(value: bigint): bigint {
    return value;
  }

  protected override bytes(value: Uint8Array): Uint8Array {
    return value;
  }

  protected override date(value: Date): Date {
    return value;
  }

  /** Looks into a `Map` or a `Set`; the codec refuses what it does not carry. */
  protected override builtIn(value: object, depth: number): unknown {
    const { count } = this;
    if (value instanceof Map) {
      this.countMembers(8 * value.size);
      const copy = new Map<unknown, unknown>();
      for (const [key, member] of value) {
        const name = this.#member(key, depth);
        copy.set(name, this.#member(member, depth));
      }
      return this.count === count ? value : copy;
    }
    if (value instanceof Set) {
      this.countMembers(4 * value.size);
      const copy = Array.from(value, (member) => this.#member(member, depth));
      return this.count === count ? value : new Set(copy);
    }
    return value;
  }

  #member(value: unknown, depth: number): unknown {
    return value === undefined ? undefined : this.convert(value, depth - 1);
  }

  protected override other(value: unknown): unknown {
    // The codec refuses a symbol, and says where it is.
    return typeof value === "function"
      ? this.#pointer(value as AnyFunction)
      : value;
  }

  protected override stream(value: object): unknown {
    return this.#pointer(value as ValueStream);
  }

  #pointer(value: AnyFunction | ValueStream): unknown {
    this.count++;
    return { [POINTER_KEY]: this.#idOf(value) };
  }
}

/**
 * Whether a decoded value may contain pointers. This is cheap: most values
 * contain no objects, and the others are searched as bytes.
 *
 * @param value the decoded value
 * @param bytes the bytes that it was decoded from
 */
export function mayHavePointers(value: unknown, bytes: Uint8Array): boolean {
  return !isFlat(value) && mentionsPointer(bytes);
}

function isFlat(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return true;
  if (!Array.isArray(value)) return false;
  for (let i = 0; i < value.length; i++) {
    if (typeof value[i] === "object" && value[i] !== null) return false;
  }
  return true;
}

/** What loads the module that makes functions of the peer. */
export interface ReceivingLoader {
  /** The module, if it was loaded. */
  readonly receiving: unknown;
  /** Loads it. */
  loadReceiving(): Promise<unknown>;
}

/**
 * A decoded value that cannot be passed on yet: what makes the functions in it is
 * being loaded.
 */
export class HeldValue {
  /** The value, with pointers in place of functions. */
  readonly value: unknown;
  /** Makes the value that is passed on; to be called when it is ready. */
  readonly finish: () => unknown;
  readonly #loader: ReceivingLoader;

  /** Holds a value. */
  constructor(value: unknown, loader: ReceivingLoader, finish: () => unknown) {
    this.value = value;
    this.#loader = loader;
    this.finish = finish;
  }

  /** Whether it can be passed on. */
  get isReady(): boolean {
    return this.#loader.receiving !== undefined;
  }

  /** Resolves when it can be passed on. */
  whenReady(): Promise<unknown> {
    return this.#loader.loadReceiving();
  }
}

const POINTER_BYTES = new TextEncoder().encode(POINTER_KEY);
/** Bytes that a pointer has at least. */
export const MENTION_SIZE: number = POINTER_KEY.length;
const DOLLAR = 0x24, BACKSLASH = 0x5c, LETTER_U = 0x75;
const DIGIT_0 = 0x30, LETTER_A = 0x41, LOWER_CASE = 0x20;
/** Bytes of a character that JSON has as an escape, such as `\u0024`. */
const ESCAPE_SIZE = 6;
/** Bytes that the key of a pointer has at most. */
export const MAX_MENTION_SIZE: number = POINTER_KEY.length * ESCAPE_SIZE;

/** Up to this size, a loop is faster than a call of a built-in function. */
const SHORT_SIZE = 256;
/** Bytes of a larger value that are looked at first: many may follow closely. */
const NEAR = 16;

/** Whether an encoded value may contain pointers, as far as its bytes tell. */
export function mentionsPointer(bytes: Uint8Array): boolean {
  if (bytes.length > SHORT_SIZE && !mayMention(bytes)) return false;
  return endOfMention(bytes, 0, DOLLAR) >= 0 ||
    endOfMention(bytes, 0, BACKSLASH) >= 0;
}

/** How many pointers an encoded value contains at most. */
export function countMentions(bytes: Uint8Array): number {
  if (bytes.length > SHORT_SIZE && !mayMention(bytes)) return 0;
  return mentions(bytes, DOLLAR) + mentions(bytes, BACKSLASH);
}

/** The distance of the pairs that are looked at. */
const STRIDE = 5;
/**
 * By its first and its second byte, what a pair of bytes may be: one of the five
 * pairs of the key, or of those of an escape for one of its characters.
 */
let pairs: [Uint16Array, Uint16Array] | undefined;

function pairTables(): [Uint16Array, Uint16Array] {
  const first = new Uint16Array(256), second = new Uint16Array(256);
  const add = (bytes: number[], i: number, bit: number) => {
    if (i < STRIDE) { for (const byte of bytes) first[byte]! |= bit << i; }
    if (i > 0) { for (const byte of bytes) second[byte]! |= bit << (i - 1); }
  };
  const escape: number[][] = [[BACKSLASH], [LETTER_U], [DIGIT_0], [DIGIT_0]];
  const high: number[] = escape[4] = [], low: number[] = escape[5] = [];
  POINTER_BYTES.forEach((byte, i) => {
    add([byte], i, 1);
    high.push(DIGIT_0 + (byte >> 4));
    const digit = byte & 0xf;
    if (digit < 10) low.push(DIGIT_0 + digit);
    else {low.push(...[LETTER_A, LETTER_A | LOWER_CASE].map((a) =>
        a + digit - 10
      ));}
  });
  escape.forEach((bytes, i) => add(bytes, i, 1 << STRIDE));
  return [first, second];
}

/**
 * Whether a longer value may contain a pointer's key. Only every fifth pair of bytes
 * is looked at: one of them is in the key, or in an escape if the key has one. Both
 * searches for its first byte take four times as long, and more than to decode a
 * text.
 */
function mayMention(bytes: Uint8Array): boolean {
  // Made when they are needed: many programs have no such values.
  const [first, second] = pairs ??= pairTables();
  for (let at = 1; at < bytes.length; at += STRIDE) {
    const kinds = first[bytes[at - 1]!]! & second[bytes[at]!]!;
    if (kinds !== 0 && isMention(bytes, at - 1, kinds)) return true;
  }
  return false;
}

/** Whether a pair is in the key, or in an escape of one of its characters. */
function isMention(bytes: Uint8Array, at: number, kinds: number): boolean {
  for (let i = 0; i < STRIDE; i++) {
    const from = at - i;
    const first = bytes[from];
    if (
      first === DOLLAR && (kinds & 1 << i) !== 0 && isKey(bytes, from) ||
      first === BACKSLASH && (kinds & 1 << (STRIDE + i)) !== 0 &&
        POINTER_BYTES.some((byte) => isEscapeOf(byte, bytes, from))
    ) return true;
  }
  return false;
}

function isKey(bytes: Uint8Array, from: number): boolean {
  return POINTER_BYTES.every((byte, i) => bytes[from + i] === byte);
}

function mentions(bytes: Uint8Array, start: number): number {
  let count = 0;
  for (
    let at = endOfMention(bytes, 0, start);
    at >= 0;
    at = endOfMention(bytes, at, start)
  ) count++;
  return count;
}

/**
 * Returns where the key of the next pointer ends; -1 if there is none. In JSON, any
 * character of it may be an escape. In other codecs such a text is no key: what is
 * found in vain there costs little.
 *
 * @param from where the search begins
 * @param start the byte that the key starts with
 */
function endOfMention(bytes: Uint8Array, from: number, start: number): number {
  for (
    let at = find(bytes, start, from);
    at >= 0;
    at = find(bytes, start, at + 1)
  ) {
    let end = at;
    let same = 0;
    for (; same < POINTER_BYTES.length; same++) {
      const byte = POINTER_BYTES[same]!;
      if (bytes[end] === byte) end++;
      else if (isEscapeOf(byte, bytes, end)) end += ESCAPE_SIZE;
      else break;
    }
    if (same === POINTER_BYTES.length) return end;
  }
  return -1;
}

/** Whether there is the escape that JSON can have for a character of ASCII. */
function isEscapeOf(char: number, bytes: Uint8Array, at: number): boolean {
  return bytes[at] === BACKSLASH && bytes[at + 1] === LETTER_U &&
    bytes[at + 2] === DIGIT_0 && bytes[at + 3] === DIGIT_0 &&
    hexDigit(bytes[at + 4]) === char >> 4 &&
    hexDigit(bytes[at + 5]) === (char & 0xf);
}

function hexDigit(byte: number | undefined): number {
  if (byte === undefined) return -1;
  return byte < LETTER_A
    ? byte - DIGIT_0
    : (byte & ~LOWER_CASE) - LETTER_A + 10;
}

function find(bytes: Uint8Array, byte: number, from: number): number {
  // Close to one another, bytes are found sooner by a loop.
  const near = bytes.length > SHORT_SIZE
    ? Math.min(bytes.length, from + NEAR)
    : bytes.length;
  for (let at = from; at < near; at++) if (bytes[at] === byte) return at;
  return near === bytes.length ? -1 : bytes.indexOf(byte, near);
}

// What programs are given for functions and streams of peers.

/** The key by which what a program was given has its function. */
export const remoteKey: unique symbol = Symbol("qtalk.remote");

/** What every function and stream of a peer has, and no other value. */
export interface RemoteValue {
  /** Its ID. */
  readonly id: string;
  /** The selector of the latest call that it came with. */
  readonly origin: string;
  /** The functions of the same peer. */
  readonly functions: { report(error: unknown, origin: string): void };
}

function remoteOf(value: object): RemoteValue | undefined {
  return (value as { [remoteKey]?: RemoteValue })[remoteKey];
}

/**
 * What reports the failures that nothing takes of a function or stream of a peer;
 * undefined for any other value.
 */
export function borrowedFrom(
  value: object,
): { readonly report: (error: unknown) => void } | undefined {
  const fn = remoteOf(value);
  return fn && { report: (error) => fn.functions.report(error, fn.origin) };
}

/** Whether a value is a stream that was sent in place of streamed arguments. */
export function isWholeArgument(value: unknown): value is ValueStream {
  if (typeof value !== "object" || value === null) return false;
  const fn = remoteOf(value);
  return fn !== undefined && kindOf(fn.id) === "whole";
}

/**
 * Bytes of memory that a callback takes, beyond its pointer in the value: a function,
 * what it calls, and what finds them by their ID. It was measured with one method.
 */
export const BORROWED_SIZE = 768;

/** What is known of a response whose header has arrived. */
export interface LendingHeader {
  readonly continued: boolean;
  readonly lends: string | undefined;
}

/**
 * Whether what is left unread of a response may lend functions that this side has to
 * release. Without EOF, the responder itself releases those of a complete response.
 */
export function lendsUntilReleased(
  { continued, lends }: LendingHeader,
  eofSent: boolean,
): boolean {
  return lends !== undefined && (continued || eofSent);
}
