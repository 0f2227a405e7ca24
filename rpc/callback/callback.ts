import { RpcError } from "../errors.ts";
import type { Link } from "./link.ts";
import { POINTER_KEY, RELEASE_SELECTOR } from "../wire/headers.ts";
import { RemoteCall } from "../remote/remote_call.ts";
import { isValueStream } from "../wire/value_source.ts";
import type { Caller } from "../types.ts";

/** What can be done with a callback besides calling it. */
export interface CallbackLife extends Disposable {
  /**
   * Keeps the callback beyond the call that it came with, until
   * {@linkcode release}. Has to be said before that call is answered: the answer
   * carries it. One that came with a response needs no such thing.
   *
   * @returns the callback itself
   * @throws {RpcError} `released` if it is too late
   */
  retain(): this;
  /** Gives the callback back: it cannot be called any more. Idempotent. */
  release(): void;
}

/** A function of the other side. */
export type CallbackFunction =
  & ((...args: unknown[]) => RemoteCall)
  & CallbackLife;

/**
 * Whether a value that was just decoded has pointers to functions in it. Costs
 * next to nothing where it has none: what has no objects in it is seen to be so,
 * and the rest is searched as bytes.
 *
 * @param value what `bytes` were decoded to
 * @param bytes the encoded value
 */
export function mayPoint(value: unknown, bytes: Uint8Array): boolean {
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

const POINTER_BYTES = new TextEncoder().encode(POINTER_KEY);
const DOLLAR = 0x24;

/** Bytes up to which a loop is faster than the call of a built-in function. */
const SHORT = 256;

function mentionsPointer(bytes: Uint8Array): boolean {
  for (let at = find(bytes, 0); at >= 0; at = find(bytes, at + 1)) {
    let same = 1;
    while (
      same < POINTER_BYTES.length && bytes[at + same] === POINTER_BYTES[same]
    ) same++;
    if (same === POINTER_BYTES.length) return true;
  }
  return false;
}

/** Where the next pointer may begin; -1 if nowhere. */
function find(bytes: Uint8Array, from: number): number {
  if (bytes.length > SHORT) return bytes.indexOf(DOLLAR, from);
  for (let at = from; at < bytes.length; at++) {
    if (bytes[at] === DOLLAR) return at;
  }
  return -1;
}

/**
 * Puts functions in the place of the pointers in a value, which may be changed
 * for it. (How deep it is nested was limited by its codec.)
 *
 * @param value what was decoded
 * @param make makes the function for an id
 */
export function revive(
  value: unknown,
  make: (id: string) => CallbackFunction,
): unknown {
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) value[i] = revive(value[i], make);
    return value;
  }
  if (!isPlain(value)) return value;
  const keys = Object.keys(value);
  const id = value[POINTER_KEY];
  if (keys.length === 1 && typeof id === "string" && id !== "") return make(id);
  for (const key of keys) {
    const member = value[key];
    const revived = revive(member, make);
    // Defined and not assigned: the key may be `__proto__`.
    if (revived !== member) {
      Object.defineProperty(value, key, { value: revived });
    }
  }
  return value;
}

function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** A function of the other side that came with a response: it is ours. */
export function ownedCallback(
  id: string,
  caller: Caller,
  link: Link,
): CallbackFunction {
  return functionOf(new RemoteFunction(id, caller, link, "owned"));
}

/**
 * The callbacks that came with one call. They live until it is answered; what
 * is retained by then, or being called, lives on.
 */
export class BorrowedCallbacks {
  readonly #caller: Caller;
  readonly #link: Link;
  readonly #functions: RemoteFunction[] = [];
  #answered = false;

  /** Makes the callbacks of a call that `caller` calls back. */
  constructor(caller: Caller, link: Link) {
    this.#caller = caller;
    this.#link = link;
  }

  /** Makes the function for an id. */
  take(id: string): CallbackFunction {
    // Behind a continued response nothing can be said of it any more.
    const state = this.#answered ? "passing" : "lent";
    const fn = new RemoteFunction(id, this.#caller, this.#link, state);
    if (state === "lent") this.#functions.push(fn);
    return functionOf(fn);
  }

  /** The ids that an answer has to name, which ends the call or does not. */
  kept(over: boolean): readonly string[] {
    return this.#functions.filter((fn) => fn.isKept(over)).map(({ id }) => id);
  }

  /** The answer that names these is on its way. */
  answered(kept: readonly string[], over: boolean): void {
    this.#answered = true;
    const named = new Set(kept);
    for (const fn of this.#functions.splice(0)) {
      fn.answered(named.has(fn.id), over);
    }
  }
}

/**
 * One function of the other side.
 *
 * - `lent`: it came with a call that is not answered; it dies with the answer.
 * - `retained`: the same, but it will not.
 * - `passing`: it came with a call that is answered, and goes on; the other side
 *   knows when it is over.
 * - `owned`: it lives until it is released.
 * - `released`: it cannot be called any more.
 */
class RemoteFunction {
  readonly id: string;
  readonly #caller: Caller;
  readonly #link: Link;
  #state: "lent" | "retained" | "passing" | "owned" | "released";
  #calling = 0;
  /** Whether the other side is to be told once nobody calls it any more. */
  #owed = false;

  constructor(
    id: string,
    caller: Caller,
    link: Link,
    state: "lent" | "passing" | "owned",
  ) {
    this.id = id;
    this.#caller = caller;
    this.#link = link;
    this.#state = state;
  }

  /**
   * Whether the answer has to name it. A call of it that is under way keeps it
   * too: that may not have arrived when the answer does.
   */
  isKept(over: boolean): boolean {
    return this.#state === "retained" || (over && this.#calling > 0);
  }

  call(args: unknown[]): RemoteCall {
    if (this.#state === "released") {
      return new RemoteCall(Promise.reject(this.#gone("call")), this.id);
    }
    const response = this.#caller.request(this.id, callArguments(args));
    this.#calling++;
    const done = () => {
      this.#calling--;
      this.#giveBack();
    };
    response.then(done, done);
    return new RemoteCall(response, this.id);
  }

  retain(): void {
    if (this.#state === "lent") this.#state = "retained";
    else if (this.#state === "released" || this.#state === "passing") {
      throw this.#gone("retain");
    }
  }

  release(): void {
    if (this.#state === "owned") this.#owed = true;
    this.#state = "released";
    this.#giveBack();
  }

  answered(named: boolean, over: boolean): void {
    if (this.#state === "retained") this.#state = "owned";
    else if (named) {
      this.#state = "released";
      this.#owed = true;
      this.#giveBack();
    } else if (this.#state === "lent") {
      this.#state = over ? "released" : "passing";
    }
  }

  #giveBack(): void {
    if (!this.#owed || this.#calling > 0) return;
    this.#owed = false;
    if (!this.#link.peerExtended) return;
    // If it fails the session is over, and so is the function.
    this.#caller.call(RELEASE_SELECTOR + this.id).catch(() => {});
  }

  #gone(what: string): RpcError {
    return new RpcError(
      "released",
      `Cannot ${what} callback "${this.id}": it was released`,
    );
  }
}

/** What a function call sends: an array, unless it is a stream alone. */
export function callArguments(args: unknown[]): unknown {
  return args.length === 1 && isValueStream(args[0]) ? args[0] : args;
}

function functionOf(fn: RemoteFunction): CallbackFunction {
  const callback = Object.assign(
    (...args: unknown[]) => fn.call(args),
    {
      retain() {
        fn.retain();
        return callback;
      },
      release: () => fn.release(),
      [Symbol.dispose]: () => fn.release(),
    },
  ) as CallbackFunction;
  return callback;
}
