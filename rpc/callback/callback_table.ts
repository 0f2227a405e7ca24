import {
  type Codec,
  CodecError,
  DEFAULT_MAX_DEPTH,
  Normalizer,
  type ValueWriter,
} from "../../codec/internal.ts";
import { RpcError } from "../errors.ts";
import {
  type AnyFunction,
  functionHandler,
} from "../handler/function_handler.ts";
import { POINTER_KEY, RELEASE_SELECTOR } from "../wire/headers.ts";
import type { Handler, HandlerFunction } from "../types.ts";

/**
 * Functions that one session lends to its other end at once, unless it is told
 * otherwise. Each is a closure and what that keeps alive; a peer that never
 * releases what it was given is stopped here.
 */
export const DEFAULT_MAX_CALLBACKS = 4_096;

/** Characters of an id, as many as the reference's have. */
const ID_LENGTH = 20;
/** Of them, those that differ from session to session. */
const PREFIX_LENGTH = 12;
/** What ids are made of; ours begin with an underscore, as no name should. */
const DIGITS = "0123456789abcdefghijklmnopqrstuv";
const UNDERSCORE = 0x5f;

/** A function that the other side can call. */
interface Entry {
  readonly handler: HandlerFunction;
  /** Whose it is until it releases it; the other side cannot. */
  readonly keeper: Keeper | undefined;
}

/** A message with functions in it. */
export interface Lending {
  /** The message, with pointers in it. */
  readonly message: ValueWriter;
  /** The ids of the functions, but for those that have a keeper. */
  readonly ids: readonly string[];
}

/**
 * The functions that this side of a session lends to the other, by the ids
 * under which it calls them (rpc/SPEC.md, "Callbacks").
 */
export class CallbackTable {
  readonly #max: number;
  readonly #entries = new Map<string, Entry>();
  #prefix: string | undefined;
  #count = 0;
  #closed = false;

  /** Makes a table with room for that many. */
  constructor(max: number) {
    this.#max = max;
  }

  /** How many there are. */
  get size(): number {
    return this.#entries.size;
  }

  /**
   * Encodes a value that a codec has refused, with a pointer in the place of
   * each function. Codecs walk through every value anyway, so those without
   * functions cost nothing here.
   *
   * @param codec what refused it
   * @param value what was to be encoded
   * @param refusal what the codec threw
   * @param encode encodes it with pointers
   * @throws {unknown} `refusal`, if it was not for a function
   * @throws {CodecError} if there is something else that has no form
   * @throws {RpcError} `limit-exceeded`, `released`
   */
  lend<T>(
    codec: Codec,
    value: T,
    refusal: unknown,
    encode: (value: T) => ValueWriter,
  ): Lending {
    if (
      !(refusal instanceof CodecError) || refusal.code !== "unsupported-type"
    ) throw refusal;
    const ids: string[] = [];
    const pointers = new Pointers(codec.name, (fn) => {
      const keeper = keeperOf(fn);
      if (keeper !== undefined) return keeper.idIn(this);
      const id = this.add(fn, undefined);
      ids.push(id);
      return id;
    });
    try {
      const plain = pointers.normalize(value, DEFAULT_MAX_DEPTH);
      if (pointers.count === 0) throw refusal;
      return { message: encode(plain as T), ids };
    } catch (error) {
      this.release(ids);
      throw error;
    }
  }

  /** Adds a function; returns its id. */
  add(fn: AnyFunction, keeper: Keeper | undefined): string {
    if (this.#entries.size >= this.#max) {
      throw new RpcError(
        "limit-exceeded",
        `Cannot send function: the other side holds ${this.#max} already`,
      );
    }
    const id = this.#newId();
    // Nobody can call it over a session that is over.
    if (!this.#closed) {
      this.#entries.set(id, {
        handler: functionHandler(fn, undefined),
        keeper,
      });
    }
    return id;
  }

  /** The other side calls them no more. */
  release(ids: Iterable<string>): void {
    for (const id of ids) this.#entries.delete(id);
  }

  /** Forgets all: the session is over. */
  close(): void {
    this.#closed = true;
    for (const { keeper } of this.#entries.values()) keeper?.forget(this);
    this.#entries.clear();
  }

  /** Answers calls of callbacks, and their release; nothing else is found. */
  match(selector: string): Handler | undefined {
    if (selector.charCodeAt(1) !== UNDERSCORE) return undefined;
    const id = selector.slice(1);
    if (this.#isOurs(id)) return this.#entries.get(id)?.handler ?? released;
    if (!selector.startsWith(RELEASE_SELECTOR)) return undefined;
    const given = selector.slice(RELEASE_SELECTOR.length);
    return this.#isOurs(given) ? () => this.#givenBack(given) : undefined;
  }

  /** Whether it is an id of this table, of now or earlier. */
  #isOurs(id: string): boolean {
    return id.length === ID_LENGTH && this.#prefix !== undefined &&
      id.startsWith(this.#prefix);
  }

  #givenBack(id: string): void {
    // Its keeper may have sent it again, or be about to.
    if (this.#entries.get(id)?.keeper === undefined) this.#entries.delete(id);
  }

  #newId(): string {
    const prefix = this.#prefix ??= newPrefix();
    const count = (this.#count++).toString(32);
    return prefix + count.padStart(ID_LENGTH - PREFIX_LENGTH, "0");
  }
}

function newPrefix(): string {
  const random = crypto.getRandomValues(new Uint8Array(PREFIX_LENGTH - 1));
  return "_" + Array.from(random, (byte) => DIGITS[byte & 31]).join("");
}

const released: HandlerFunction = (call, respond) =>
  respond.return(
    new Error(
      `Cannot call callback "${call.selector.slice(1)}": it was released`,
    ),
  );

/** Leaves values as they are, but for functions. */
class Pointers extends Normalizer {
  /** How many there were. */
  count = 0;
  readonly #idOf: (fn: AnyFunction) => string;

  constructor(codec: string, idOf: (fn: AnyFunction) => string) {
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

  protected override other(value: unknown): unknown {
    if (typeof value !== "function") return super.other(value);
    this.count++;
    return { [POINTER_KEY]: this.#idOf(value as AnyFunction) };
  }
}

/** Finds the keeper of a function that `callback()` made. */
const keeper: unique symbol = Symbol("qtalk.callback");

function keeperOf(fn: AnyFunction): Keeper | undefined {
  return (fn as { [keeper]?: Keeper })[keeper];
}

/** Keeps a function callable over every session that it was sent over. */
class Keeper {
  readonly #fn: AnyFunction;
  readonly #ids = new Map<CallbackTable, string>();
  #released = false;

  constructor(fn: AnyFunction) {
    this.#fn = fn;
  }

  /** The id by which the other end of a session calls it. */
  idIn(table: CallbackTable): string {
    if (this.#released) {
      throw new RpcError("released", "Cannot send callback: it was released");
    }
    let id = this.#ids.get(table);
    if (id === undefined) {
      id = table.add(this.#fn, this);
      this.#ids.set(table, id);
    }
    return id;
  }

  /** The session of `table` is over. */
  forget(table: CallbackTable): void {
    this.#ids.delete(table);
  }

  release(): void {
    this.#released = true;
    for (const [table, id] of this.#ids) table.release([id]);
    this.#ids.clear();
  }
}

/** A function that the other side can call until it is released here. */
export type KeptCallback<F> = F & Disposable & {
  /** Ends it: the other side's calls fail from now on. Idempotent. */
  release(): void;
};

/**
 * Makes a function that the other side can call for longer than the call that
 * it is sent with: until it is released here, or the session ends.
 *
 * For peers that cannot `retain()` what they are given, such as one in Go, and
 * for whoever prefers that the sender decides.
 *
 * @example
 * ```ts
 * import { callback, handlerFrom, memoryPair } from "@qtalk/qtalk";
 * import type { Callback } from "@qtalk/qtalk";
 * import { assertEquals } from "@std/assert";
 *
 * let listener: Callback<(n: number) => number> | undefined;
 * const [client, server] = memoryPair();
 * await using _ = client;
 * server.handle("listen", handlerFrom((fn: Callback<(n: number) => number>) => {
 *   listener = fn.retain();
 * }));
 *
 * {
 *   using double = callback((n: number) => 2 * n);
 *   await client.call("listen", [double]);
 *   assertEquals(await listener!(21), 42);
 * }
 * const failed = await listener!(21).catch((error: Error) => error.message);
 * assertEquals(/it was released$/.test(String(failed)), true);
 * ```
 *
 * @param fn what the other side calls
 */
export function callback<Args extends unknown[], Result>(
  fn: (...args: Args) => Result,
): KeptCallback<(...args: Args) => Result> {
  const kept = new Keeper(fn as AnyFunction);
  const release = () => kept.release();
  return Object.assign((...args: Args): Result => fn(...args), {
    [keeper]: kept,
    release,
    [Symbol.dispose]: release,
  });
}
