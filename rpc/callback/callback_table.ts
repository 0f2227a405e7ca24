import {
  type Codec,
  CodecError,
  DEFAULT_MAX_DEPTH,
  type ValueWriter,
} from "../../codec/internal.ts";
import type { MemoryKind } from "../../mux/internal.ts";
import { CallError, RpcError } from "../errors.ts";
import { isServerCall } from "../handler/invoke.ts";
import type { AnyFunction } from "../remote/value_kinds.ts";
import type { Handler, HandlerFunction } from "../types.ts";
import { callbackIdIn, RELEASE_SELECTOR } from "../wire/selector.ts";
import type { ValueStream } from "../wire/value_source.ts";
import { type Keeper, keeperOf, type KeeperTable } from "./kept_callback.ts";
import {
  type Cut,
  isOneStream,
  kindOfStream,
  LentStream,
} from "./lent_stream.ts";
import {
  nameAfter,
  newId,
  PointerNormalizer,
  prefixOf,
  RandomDigits,
} from "./pointers.ts";

/**
 * Default limit for the functions that one session lends to its peer at the same
 * time. Each keeps a closure alive, so a peer that never releases what it gets
 * must be stopped somewhere.
 */
export const DEFAULT_MAX_CALLBACKS = 4_096;

/** What a function that the peer can call counts as, in bytes. */
const CALLBACK_SIZE = 512;

/** A function that the peer can call, or a stream that it can read. */
interface Entry {
  /** What the program sent. */
  readonly original: AnyFunction | ValueStream;
  readonly handler: HandlerFunction;
  /** If set, only its keeper can release the function, and not the peer. */
  readonly keeper: Keeper | undefined;
  readonly stream: LentStream | undefined;
  /** The selector of the latest call that it was sent with. */
  origin: string;
  /** How many times it is lent: it is removed with the last of them. */
  count: number;
}

/** An encoded message that lends functions. */
export interface LendingMessage {
  /** The message, in which pointers stand for the functions. */
  readonly message: ValueWriter;
  /**
   * The IDs of the functions that have no keeper: each as many times as it is in
   * the message.
   */
  readonly ids: readonly string[];
}

/** The session that functions are lent over, as far as they use it. */
export interface LendingSession {
  /** What all IDs of this side begin with. */
  readonly prefix: string;
  /** The functions that this side lends; made when it is first used. */
  readonly callbacks: CallbackTable;
  /** The selector of the call that functions in a call of `selector` come with. */
  originOf(selector: string): string;
  /** The ID of a function or stream of the peer that can be given back to it. */
  idOf(value: object): string | undefined;
  /** Called with the handlers of functions whose calls are to end. */
  readonly onGivenUp:
    | ((handlers: ReadonlySet<Handler>, reason: unknown) => void)
    | undefined;
}

/**
 * The functions and streams that this side of a session lends to its peer, by the
 * IDs that the peer calls (rpc/SPEC.md, "Callbacks"). Each has one ID, however
 * often it is sent.
 */
export class CallbackTable implements KeeperTable {
  readonly #max: number;
  readonly #memory: MemoryKind;
  readonly #handlerOf: (fn: AnyFunction) => HandlerFunction;
  readonly #session: LendingSession;
  readonly #entries = new Map<string, Entry>();
  /** The IDs of all that was ever sent, as long as the program has it. */
  readonly #ids = new WeakMap<object, string>();
  readonly #digits = new RandomDigits();
  #closed = false;

  /**
   * Makes a table.
   *
   * @param max how many functions it may hold
   * @param handlerOf makes the handler for calls of a function
   * @param memory what the functions count as held in
   * @param session the session whose peer can call them
   */
  constructor(
    max: number,
    handlerOf: (fn: AnyFunction) => HandlerFunction,
    memory: MemoryKind,
    session: LendingSession,
  ) {
    this.#max = max;
    this.#handlerOf = handlerOf;
    this.#memory = memory;
    this.#session = session;
  }

  /** How many functions there are. */
  get size(): number {
    return this.#entries.size;
  }

  /**
   * Encodes a value that a codec has refused, with pointers in place of its
   * functions and streams. Codecs inspect every value anyway, so values without
   * them never get here.
   *
   * @param codec the codec that refused the value
   * @param value the value to encode
   * @param refusal what the codec threw
   * @param encode encodes the value with pointers
   * @param selector what is called, or was
   * @throws {unknown} `refusal`, if a function was not the reason for it
   * @throws {CodecError} if something else in the value cannot be encoded
   * @throws {RpcError} `limit-exceeded`, `released`
   * @throws {TypeError} if a stream is locked
   */
  lend<T>(
    codec: Codec,
    value: T,
    refusal: unknown,
    encode: (value: T) => ValueWriter,
    selector: string,
  ): LendingMessage {
    if (
      !(refusal instanceof CodecError) || refusal.code !== "unsupported-type"
    ) throw refusal;
    const ids: string[] = [];
    const session = this.#session;
    const origin = session.originOf(selector);
    const normalizer = new PointerNormalizer(codec.name, (value) => {
      const own = session.idOf(value);
      if (own !== undefined) return own;
      const keeper = typeof value === "function" ? keeperOf(value) : undefined;
      const id = keeper !== undefined
        ? keeper.idIn(this)
        : typeof value === "function"
        ? this.add(value, undefined)
        : this.#addStream(value);
      if (keeper === undefined) ids.push(id);
      const entry = this.#entries.get(id);
      if (entry !== undefined) entry.origin = origin;
      return id;
    });
    try {
      const plain = normalizer.normalize(value, DEFAULT_MAX_DEPTH);
      return { message: encode(plain as T), ids };
    } catch (error) {
      this.release(ids);
      // If there is no function in it, the codec's own refusal is about the same part,
      // and says where it is.
      throw normalizer.count === 0 ? refusal : error;
    }
  }

  /**
   * Adds a function, once more if it is there; returns its ID.
   *
   * @throws {RpcError} `limit-exceeded`
   */
  add(fn: AnyFunction, keeper: Keeper | undefined): string {
    return this.#addOnce(fn, () => ({
      handler: this.#handlerOf(keeper?.fn ?? fn),
      keeper,
      stream: undefined,
    }));
  }

  #addStream(stream: ValueStream): string {
    return this.#addOnce(stream, (id) => {
      // Once it has been read, it is of no more use.
      const lent = new LentStream(stream, () => this.#delete(id));
      return { handler: lent.handler, keeper: undefined, stream: lent };
    });
  }

  #addOnce(
    original: AnyFunction | ValueStream,
    make: (id: string) => Pick<Entry, "handler" | "keeper" | "stream">,
  ): string {
    let id = this.#ids.get(original);
    // What can be iterated again is another stream each time.
    if (typeof original === "object" && !isOneStream(original)) id = undefined;
    const known = id === undefined ? undefined : this.#entries.get(id);
    if (known !== undefined) {
      known.count++;
      return id!;
    }
    if (this.#entries.size >= this.#max) {
      throw new RpcError(
        "limit-exceeded",
        `Cannot send function: the peer already holds ${this.#max}, the limit of "maxCallbacks"`,
      );
    }
    if (id === undefined) {
      const kind = typeof original === "function"
        ? "function"
        : kindOfStream(original);
      id = newId(this.#session.prefix, kind, this.#digits);
    }
    const made = make(id);
    this.#ids.set(original, id);
    // A session that has ended can bring no call of it.
    if (!this.#closed) {
      this.#entries.set(id, { original, ...made, origin: "", count: 1 });
      this.#memory.take(CALLBACK_SIZE);
    }
    return id;
  }

  /**
   * For the selector of a call that the peer makes of a function of this side, that
   * of the call that the function was sent with.
   */
  originOf(selector: string): string | undefined {
    return this.#entries.get(selector.slice(1))?.origin;
  }

  /** What errors call such a call. */
  nameOf(selector: string): string | undefined {
    const origin = this.originOf(selector);
    return origin === undefined
      ? undefined
      : nameAfter(selector.slice(1), origin);
  }

  /** What this side sent under an ID, and the peer gives back; else undefined. */
  original(id: string): AnyFunction | ValueStream | undefined {
    if (!this.#isOwnId(id)) return undefined;
    const entry = this.#entries.get(id);
    return entry && withLife(entry.stream?.take() ?? entry.original);
  }

  /**
   * Functions are lent once less: each ID stands for one time. The peer will not
   * call those any more that are not lent at all.
   */
  release(ids: Iterable<string>): void {
    for (const id of ids) this.#giveBack(id, 1);
  }

  /** As {@linkcode release}, and the streams among them end where they are. */
  cut(ids: Iterable<string>, cut: Cut): void {
    for (const id of ids) this.#giveBack(id, 1, cut);
  }

  /** Removes functions, however often they are lent. */
  remove(ids: Iterable<string>): void {
    for (const id of ids) this.#delete(id);
  }

  /**
   * As {@linkcode cut}, because the call that they were sent with was given up.
   * Calls of functions that are not lent any more end too: nothing waits for what
   * they return.
   */
  giveUp(ids: Iterable<string>, cut: Cut): void {
    const handlers = new Set<Handler>();
    for (const id of ids) {
      const entry = this.#entries.get(id);
      this.#giveBack(id, 1, cut);
      const isGone = entry !== undefined && !this.#entries.has(id);
      if (isGone && entry.stream === undefined) handlers.add(entry.handler);
    }
    if (handlers.size > 0) this.#session.onGivenUp?.(handlers, cut.reason);
  }

  /** Removes all functions, because the session has ended. */
  close(): void {
    this.#closed = true;
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    this.#memory.give(entries.length * CALLBACK_SIZE);
    for (const { keeper, stream } of entries) {
      keeper?.forget(this);
      stream?.letGo();
    }
  }

  /**
   * The handler for a selector that calls or releases a callback; undefined for
   * any other selector.
   */
  match(selector: string): Handler | undefined {
    const id = callbackIdIn(selector);
    if (!this.#isOwnId(id)) return undefined;
    return selector.startsWith(RELEASE_SELECTOR)
      ? async (call) => this.#releasedByPeer(id, await call.receive())
      : this.#entries.get(id)?.handler ?? released;
  }

  /** Whether this table has made an ID, even if its function was released. */
  #isOwnId(id: string): boolean {
    return prefixOf(id) === this.#session.prefix;
  }

  #releasedByPeer(id: string, count: unknown): void {
    // A keeper may have sent its function again, or may be about to.
    if (this.#entries.get(id)?.keeper !== undefined) return;
    this.#giveBack(id, Number.isSafeInteger(count) ? count as number : 1);
  }

  #giveBack(id: string, count: number, cut?: Cut): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    entry.count -= Math.max(count, 1);
    if (entry.count <= 0) this.#delete(id, cut);
  }

  #delete(id: string, cut?: Cut): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#entries.delete(id);
    this.#memory.give(CALLBACK_SIZE);
    if (entry.stream === undefined) return;
    // Sent again, it is what is left of it.
    this.#ids.delete(entry.original);
    entry.stream.letGo(cut);
  }
}

/**
 * Adds what its type says that a received function has. Here it has no effect: the
 * program that sent it can call it as long as it likes.
 */
function withLife<T extends AnyFunction | ValueStream>(original: T): T {
  const life = {
    retain: () => original,
    release: () => {},
    [Symbol.dispose]: () => {},
  };
  if (!Object.isExtensible(original)) return original;
  for (const key of Reflect.ownKeys(life)) {
    if (key in original) continue;
    Object.defineProperty(original, key, {
      value: life[key as keyof typeof life],
      configurable: true,
      writable: true,
    });
  }
  return original;
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
