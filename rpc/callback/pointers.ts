/**
 * Functions and streams inside values. On the wire each is a pointer: a map whose
 * only key is `$fnptr` and whose value is an ID (rpc/SPEC.md, "Callbacks").
 *
 * @module
 */
import {
  isPlainObject,
  Normalizer,
  PREFIX_SIZE,
  type ValueReader,
} from "../../codec/internal.ts";
import type { AnyFunction } from "../remote/types.ts";
import type { ValueStream } from "../wire/value_source.ts";
import type { RawChannel } from "../../mux/internal.ts";
import { readUint32 } from "../../uint32.ts";
import type { Caller } from "../types.ts";
import { MAX_CALL_HEADER_SIZE } from "../wire/headers.ts";
import { RELEASE_SELECTOR } from "../wire/selector.ts";

// The IDs of functions (rpc/SPEC.md, "Callbacks").

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

/** The key of the map that stands for a function. */
const POINTER_KEY = "$fnptr";

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
      const copy = new Map<unknown, unknown>();
      for (const [key, member] of value) {
        const name = this.#member(key, depth);
        copy.set(name, this.#member(member, depth));
      }
      return this.count === count ? value : copy;
    }
    if (value instanceof Set) {
      const copy = Array.from(value, (member) => this.#member(member, depth));
      return this.count === count ? value : new Set(copy);
    }
    return value;
  }

  #member(value: unknown, depth: number): unknown {
    return value === undefined ? undefined : this.normalize(value, depth - 1);
  }

  protected override other(value: unknown): unknown {
    if (typeof value !== "function") return super.other(value);
    return this.#pointer(value as AnyFunction);
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

/**
 * Replaces the pointers in a decoded value by what they stand for, in place. The codec has
 * limited how deeply the value is nested.
 *
 * @param value the decoded value
 * @param functionFor returns the function or the stream for an ID
 */
export function revivePointers(
  value: unknown,
  functionFor: (id: string) => unknown,
): unknown {
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      value[i] = revivePointers(value[i], functionFor);
    }
    return value;
  }
  if (typeof value !== "object" || value === null) return value;
  if (!isPlainObject(value)) {
    if (value instanceof Map) reviveEntries(value, functionFor);
    else if (value instanceof Set) reviveElements(value, functionFor);
    return value;
  }
  const record = value as Record<string, unknown>;
  const keys = Object.keys(record);
  const id = record[POINTER_KEY];
  if (keys.length === 1 && typeof id === "string" && id !== "") {
    return functionFor(id);
  }
  for (const key of keys) {
    const member = record[key];
    const revived = revivePointers(member, functionFor);
    // Defined instead of assigned, because the key may be `__proto__`.
    if (revived !== member) {
      Object.defineProperty(record, key, { value: revived });
    }
  }
  return value;
}

function reviveEntries(
  map: Map<unknown, unknown>,
  functionFor: (id: string) => unknown,
): void {
  const entries = [...map];
  map.clear();
  for (const [key, member] of entries) {
    const name = revivePointers(key, functionFor);
    map.set(name, revivePointers(member, functionFor));
  }
}

function reviveElements(
  set: Set<unknown>,
  functionFor: (id: string) => unknown,
): void {
  const elements = [...set];
  set.clear();
  for (const element of elements) set.add(revivePointers(element, functionFor));
}

function isFlat(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return true;
  if (!Array.isArray(value)) return false;
  for (let i = 0; i < value.length; i++) {
    if (typeof value[i] === "object" && value[i] !== null) return false;
  }
  return true;
}

const POINTER_BYTES = new TextEncoder().encode(POINTER_KEY);
/** Bytes that a pointer has at least. */
export const MENTION_SIZE: number = POINTER_KEY.length;
const DOLLAR = 0x24, BACKSLASH = 0x5c, LETTER_U = 0x75;
const DIGIT_0 = 0x30, LETTER_A = 0x41, LOWER_CASE = 0x20;
/** Bytes of a character that JSON has as an escape, such as `\u0024`. */
const ESCAPE_SIZE = 6;

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
const [FIRST, SECOND] = pairTables();

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
  for (let at = 1; at < bytes.length; at += STRIDE) {
    const kinds = FIRST[bytes[at - 1]!]! & SECOND[bytes[at]!]!;
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

/** What is known of a response whose header has arrived. */
interface LendingHeader {
  readonly continued: boolean;
  readonly lends: string | undefined;
}

/** What drops the rest of a response. */
export interface DroppingCall {
  readonly channel: RawChannel;
  /** What reads the channel, and may have begun a value. */
  readonly reader?: Pick<ValueReader, "partial"> | undefined;
  /** The header of the response, if it was read. */
  readonly header: LendingHeader | undefined;
  /** Decodes it otherwise. */
  readonly decode: (bytes: Uint8Array) => LendingHeader;
  /**
   * Whether EOF was sent. Without it, the responder itself releases the functions of
   * a complete response.
   */
  readonly eofSent: boolean;
  /** Calls the responder. */
  readonly caller: Caller;
}

/**
 * Releases the functions and streams in what is left of a response that is not read
 * any more, because its channel is about to be closed. The responder does not know
 * which values were read (rpc/SPEC.md, "Callbacks").
 */
export function releaseDropped(
  { channel, reader, header, decode, eofSent, caller }: DroppingCall,
): void {
  if (header !== undefined && !lendsUntilReleased(header, eofSent)) return;
  const partial = reader?.partial;
  // Most responses are read to their end.
  if (partial === undefined && channel.ended && channel.buffered === 0) return;
  const release = (id: string) => {
    // If this fails, the session has ended, and the function with it.
    caller.call(RELEASE_SELECTOR + id, 1).catch(() => {});
  };
  const add = header !== undefined
    ? new IdFinder(header.lends!, release).add
    : afterHeader((bytes) => {
      const header = decode(bytes);
      return lendsUntilReleased(header, eofSent)
        ? new IdFinder(header.lends!, release).add
        : undefined;
    });
  if (partial !== undefined) add(partial);
  channel.whenDropped(add);
}

function lendsUntilReleased(
  { continued, lends }: LendingHeader,
  eofSent: boolean,
): boolean {
  return lends !== undefined && (continued || eofSent);
}

/** Passes the bytes after a header to what `begin` returns for it. */
function afterHeader(
  begin: (header: Uint8Array) => ((bytes: Uint8Array) => void) | undefined,
): (bytes: Uint8Array) => void {
  let held: Uint8Array = new Uint8Array(0);
  let add: ((bytes: Uint8Array) => void) | undefined;
  let isDone = false;
  return (bytes) => {
    if (isDone) return add?.(bytes);
    const all = new Uint8Array(held.length + bytes.length);
    all.set(held);
    all.set(bytes, held.length);
    held = all;
    if (all.length < PREFIX_SIZE) return;
    const end = PREFIX_SIZE + readUint32(all, 0);
    if (all.length < end && end <= MAX_CALL_HEADER_SIZE) return;
    isDone = true;
    held = new Uint8Array(0);
    if (all.length < end) return;
    try {
      add = begin(all.subarray(PREFIX_SIZE, end));
    } catch {
      return; // It is no header, so it lends nothing.
    }
    add?.(all.subarray(end));
  };
}
