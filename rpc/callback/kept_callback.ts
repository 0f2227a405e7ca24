import { RpcError } from "../errors.ts";
import type { AnyFunction } from "../remote/value_kinds.ts";
import { checkFunction } from "../../check_option.ts";

/** The functions that one session lends to its peer: what a keeper needs of it. */
export interface KeeperTable {
  /** Adds a function of a keeper; returns the ID that the peer calls. */
  add(fn: AnyFunction, keeper: Keeper): string;
  /** Removes functions by their IDs. */
  remove(ids: Iterable<string>): void;
}

/** Keeps one function callable in every session that it is sent over. */
export class Keeper {
  /** The function. */
  readonly fn: AnyFunction;
  /** What the program sends for it. */
  callback!: AnyFunction;
  readonly #ids = new Map<KeeperTable, string>();
  #released = false;
  readonly #others: Disposable[] = [];

  /** Makes the keeper of a function. */
  constructor(fn: AnyFunction) {
    this.fn = fn;
  }

  /**
   * The ID by which the peer of a session calls the function.
   *
   * @throws {RpcError} `released`, `limit-exceeded`
   */
  idIn(table: KeeperTable): string {
    if (this.#released) {
      throw new RpcError(
        "released",
        "Cannot send callback: it was released; make another one with callback()",
      );
    }
    let id = this.#ids.get(table);
    if (id === undefined) {
      id = table.add(this.callback, this);
      this.#ids.set(table, id);
    }
    return id;
  }

  /** Releases another callback when it releases its own. */
  keepToo<T extends Disposable>(other: T): T {
    if (this.#released) other[Symbol.dispose]();
    else this.#others.push(other);
    return other;
  }

  /** The session of `table` has ended. */
  forget(table: KeeperTable): void {
    this.#ids.delete(table);
  }

  /** Removes the function from all sessions, for good. */
  release(): void {
    this.#released = true;
    for (const [table, id] of this.#ids) table.remove([id]);
    this.#ids.clear();
    for (const other of this.#others.splice(0)) other[Symbol.dispose]();
  }
}

/** The key of a function's keeper. */
const keeperKey: unique symbol = Symbol("qtalk.keeper");

/** The keeper of a function that {@linkcode callback} returned. */
export function keeperOf(fn: AnyFunction): Keeper | undefined {
  return (fn as { [keeperKey]?: Keeper })[keeperKey];
}

/** A function that the peer can call until this side releases it. */
export type KeptCallback<F> = F & Disposable & {
  /** Ends it: calls by the peer fail from now on. Idempotent. */
  release(): void;
};

/**
 * Makes a function that the peer can call even after the call that it is sent with
 * has ended: until this side releases it or the session ends.
 *
 * Use it for peers that cannot `retain()` a callback, such as those in Go, or
 * when the sender should decide how long the callback lives.
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
 * assertEquals(/it was released/.test(String(failed)), true);
 * ```
 *
 * @param fn the function that the peer calls
 * @throws {TypeError} if `fn` is not a function
 */
export function callback<Args extends unknown[], Result>(
  fn: (...args: Args) => Result,
): KeptCallback<(...args: Args) => Result> {
  checkFunction("argument of callback()", fn);
  const keeper = new Keeper(fn);
  const release = () => keeper.release();
  const kept = Object.assign((...args: Args): Result => fn(...args), {
    [keeperKey]: keeper,
    release,
    [Symbol.dispose]: release,
  });
  keeper.callback = kept;
  return kept;
}
