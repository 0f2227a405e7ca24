import {
  type Codec,
  CodecError,
  DEFAULT_MAX_DEPTH,
  type ValueWriter,
} from "../../codec/internal.ts";
import type { MemoryKind } from "../../mux/internal.ts";
import { CallError, RpcError } from "../errors.ts";
import type { AnyFunction } from "../remote/types.ts";
import type { Handler, HandlerFunction } from "../types.ts";
import { isServerCall } from "../handler/invoke.ts";
import { RELEASE_SELECTOR } from "../wire/selector.ts";
import { type Keeper, keeperOf, type KeeperTable } from "./kept_callback.ts";
import { PointerNormalizer } from "./pointers.ts";

/**
 * Default limit for the functions that one session lends to its peer at the same
 * time. Each keeps a closure alive, so a peer that never releases what it gets
 * must be stopped somewhere.
 */
export const DEFAULT_MAX_CALLBACKS = 4_096;

/** What a function that the peer can call counts as, in bytes. */
const CALLBACK_SIZE = 512;

/** Characters of an ID, as in the reference. */
const ID_LENGTH = 20;
/** How many of them differ from session to session. */
const PREFIX_LENGTH = 12;
/** The alphabet of IDs. They start with an underscore, unlike method names. */
const DIGITS = "0123456789abcdefghijklmnopqrstuv";
const UNDERSCORE = 0x5f;

/** A function that the peer can call. */
interface Entry {
  readonly handler: HandlerFunction;
  /** If set, only its keeper can release the function, and not the peer. */
  readonly keeper: Keeper | undefined;
}

/** An encoded message that lends functions. */
export interface LendingMessage {
  /** The message, in which pointers stand for the functions. */
  readonly message: ValueWriter;
  /** The IDs of the functions that have no keeper. */
  readonly ids: readonly string[];
}

/**
 * The functions that this side of a session lends to its peer, by the IDs that
 * the peer calls (rpc/SPEC.md, "Callbacks").
 */
export class CallbackTable implements KeeperTable {
  readonly #max: number;
  readonly #memory: MemoryKind;
  readonly #handlerOf: (fn: AnyFunction) => HandlerFunction;
  readonly #entries = new Map<string, Entry>();
  /** Called with the handlers of functions whose calls are to end. */
  onGivenUp:
    | ((handlers: ReadonlySet<Handler>, reason: unknown) => void)
    | undefined;
  #prefix: string | undefined;
  #count = 0;
  #closed = false;

  /**
   * Makes a table.
   *
   * @param max how many functions it may hold
   * @param handlerOf makes the handler for calls of a function
   * @param memory what the functions count as held in
   */
  constructor(
    max: number,
    handlerOf: (fn: AnyFunction) => HandlerFunction,
    memory: MemoryKind,
  ) {
    this.#max = max;
    this.#handlerOf = handlerOf;
    this.#memory = memory;
  }

  /** How many functions there are. */
  get size(): number {
    return this.#entries.size;
  }

  /**
   * Encodes a value that a codec has refused, with pointers in place of its
   * functions. Codecs inspect every value anyway, so values without functions
   * never get here.
   *
   * @param codec the codec that refused the value
   * @param value the value to encode
   * @param refusal what the codec threw
   * @param encode encodes the value with pointers
   * @throws {unknown} `refusal`, if a function was not the reason for it
   * @throws {CodecError} if something else in the value cannot be encoded
   * @throws {RpcError} `limit-exceeded`, `released`
   */
  lend<T>(
    codec: Codec,
    value: T,
    refusal: unknown,
    encode: (value: T) => ValueWriter,
  ): LendingMessage {
    if (
      !(refusal instanceof CodecError) || refusal.code !== "unsupported-type"
    ) throw refusal;
    const ids: string[] = [];
    const normalizer = new PointerNormalizer(codec.name, (fn) => {
      const keeper = keeperOf(fn);
      if (keeper !== undefined) return keeper.idIn(this);
      const id = this.add(fn, undefined);
      ids.push(id);
      return id;
    });
    try {
      const plain = normalizer.normalize(value, DEFAULT_MAX_DEPTH);
      if (normalizer.count === 0) throw refusal;
      return { message: encode(plain as T), ids };
    } catch (error) {
      this.release(ids);
      throw error;
    }
  }

  /**
   * Adds a function; returns its ID.
   *
   * @throws {RpcError} `limit-exceeded`
   */
  add(fn: AnyFunction, keeper: Keeper | undefined): string {
    if (this.#entries.size >= this.#max) {
      throw new RpcError(
        "limit-exceeded",
        `Cannot send function: the peer already holds ${this.#max}, the limit of "maxCallbacks"`,
      );
    }
    const id = this.#newId();
    // A session that has ended can bring no call of it.
    if (!this.#closed) {
      this.#entries.set(id, { handler: this.#handlerOf(fn), keeper });
      this.#memory.take(CALLBACK_SIZE);
    }
    return id;
  }

  /** Removes functions that the peer will not call any more. */
  release(ids: Iterable<string>): void {
    for (const id of ids) this.#delete(id);
  }

  /**
   * Removes functions, because the call that they were sent with was given up.
   * Calls of them end too: nothing waits for what they return.
   */
  giveUp(ids: Iterable<string>, reason: unknown): void {
    const handlers = new Set<Handler>();
    for (const id of ids) {
      const entry = this.#entries.get(id);
      if (entry !== undefined) handlers.add(entry.handler);
      this.#delete(id);
    }
    if (handlers.size > 0) this.onGivenUp?.(handlers, reason);
  }

  /** Removes all functions, because the session has ended. */
  close(): void {
    this.#closed = true;
    for (const { keeper } of this.#entries.values()) keeper?.forget(this);
    this.#memory.give(this.#entries.size * CALLBACK_SIZE);
    this.#entries.clear();
  }

  /**
   * The handler for a selector that calls or releases a callback; undefined for
   * any other selector.
   */
  match(selector: string): Handler | undefined {
    if (selector.charCodeAt(1) !== UNDERSCORE) return undefined;
    const id = selector.slice(1);
    if (this.#isOwnId(id)) return this.#entries.get(id)?.handler ?? released;
    if (!selector.startsWith(RELEASE_SELECTOR)) return undefined;
    const releasedId = selector.slice(RELEASE_SELECTOR.length);
    return this.#isOwnId(releasedId)
      ? () => this.#releasedByPeer(releasedId)
      : undefined;
  }

  /** Whether this table has made an ID, even if its function was released. */
  #isOwnId(id: string): boolean {
    return id.length === ID_LENGTH && this.#prefix !== undefined &&
      id.startsWith(this.#prefix);
  }

  #releasedByPeer(id: string): void {
    // A keeper may have sent its function again, or may be about to.
    if (this.#entries.get(id)?.keeper === undefined) this.#delete(id);
  }

  #delete(id: string): void {
    if (this.#entries.delete(id)) this.#memory.give(CALLBACK_SIZE);
  }

  #newId(): string {
    const prefix = this.#prefix ??= newPrefix();
    const count = (this.#count++).toString(32);
    return prefix + count.padStart(ID_LENGTH - PREFIX_LENGTH, "0");
  }
}

/**
 * The functions that were sent with one call. The peer can call them until the
 * call ends, and those that it keeps until it releases them.
 */
export class LentCallbacks {
  readonly #table: CallbackTable;
  readonly #ids = new Set<string>();

  /** Makes an empty list of functions in `table`. */
  constructor(table: CallbackTable) {
    this.#table = table;
  }

  /**
   * Encodes a value that the codec has refused, and lends the functions in it:
   * see {@linkcode CallbackTable.lend}.
   *
   * @throws {unknown} `refusal`, or why lending is not possible
   */
  encode(
    codec: Codec,
    value: unknown,
    refusal: unknown,
    encode: (value: unknown) => ValueWriter,
  ): ValueWriter {
    const { message, ids } = this.#table.lend(codec, value, refusal, encode);
    for (const id of ids) this.#ids.add(id);
    return message;
  }

  /** The peer keeps these functions, and will release them itself. */
  keep(ids: Iterable<string>): void {
    for (const id of ids) this.#ids.delete(id);
  }

  /** The call has ended. */
  release(): void {
    this.#table.release(this.#ids);
    this.#ids.clear();
  }

  /** The call was given up: calls of the functions end with it. */
  giveUp(reason: unknown): void {
    this.#table.giveUp(this.#ids, reason);
    this.#ids.clear();
  }
}

function newPrefix(): string {
  const random = crypto.getRandomValues(new Uint8Array(PREFIX_LENGTH - 1));
  return "_" + Array.from(random, (byte) => DIGITS[byte & 31]).join("");
}

const released: HandlerFunction = (call, respond) => {
  const text = `Cannot call callback "${
    call.selector.slice(1)
  }": it was released`;
  // Other peers have no retain().
  const extended = isServerCall(call) && call.request.extended;
  const hint = extended ? ", or not kept with retain()" : "";
  return respond.return(new CallError(text + hint, { code: "released" }));
};
