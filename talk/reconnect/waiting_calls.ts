import { rejectedBy } from "../../check_option.ts";
import { offAbort, onAbort } from "../../abort_listeners.ts";
import { reasonOf } from "../../abort_reason.ts";
import { MuxError } from "../../mux/internal.ts";
import {
  type CallOptions,
  deadlineExceeded,
  markUnsent,
  RpcError,
  type TimeLimit,
} from "../../rpc/internal.ts";
import { limitedSignal } from "../../time_limit.ts";

/** What waits for a target. */
export interface Waiter<T, W> {
  /** What it waits with, such as a call. */
  readonly want: W | undefined;
  /** Goes on with the target; returns false if it does not wait any more. */
  resolve(target: T): boolean;
  /** Gives up with an error. */
  reject(reason: unknown): void;
}

/**
 * What waits for a connection, or for a member of a pool that has room: calls, and
 * programs that ask for a peer. Iterates over them in the order in which they came.
 *
 * @typeParam T what they wait for
 * @typeParam W what they wait with
 */
export class WaitingCalls<T, W = never> {
  readonly #max: number;
  readonly #now: () => number;
  readonly #target: string;
  readonly #waiting = new Set<Waiter<T, W>>();
  #end: { readonly reason: unknown } | undefined;

  /**
   * Makes an empty set.
   *
   * @param max how many may wait before calls are refused
   * @param now the time in milliseconds, from an arbitrary origin
   * @param target what errors say that they wait for
   */
  constructor(max: number, now: () => number, target = "connection") {
    this.#max = max;
    this.#now = now;
    this.#target = target;
  }

  /**
   * Makes a call when there is a connection, with the remaining time.
   *
   * @param limit what `timeLimitOf()` says about the options
   * @throws {MuxError} `limit-exceeded` if too many calls wait
   * @throws {RpcError} `timeout` or `deadline-exceeded`
   * @throws {unknown} `signal.reason`, or the reason of {@linkcode end}
   */
  async call<R>(
    selector: string,
    options: CallOptions,
    limit: TimeLimit,
    call: (target: T, options: CallOptions) => Promise<R>,
    want?: W,
  ): Promise<R> {
    if (this.#waiting.size >= this.#max) {
      const error = new MuxError(
        "limit-exceeded",
        `Cannot make call "${selector}": ${this.#waiting.size} calls already wait for a ${this.#target}, the limit of "maxWaitingCalls"`,
      );
      markUnsent(error);
      throw error;
    }
    const { signal, timeout } = options;
    if (limit.timeout === undefined) {
      return await call(await this.wait(signal, want), options);
    }
    const start = this.#now();
    const target = await this.#waitWithin(limit, selector, signal, want);
    if (timeout === undefined) return await call(target, options);
    const left = Math.max(0, timeout - (this.#now() - start));
    return await call(target, { ...options, timeout: left });
  }

  async #waitWithin(
    { timeout, inherited }: TimeLimit,
    selector: string,
    signal: AbortSignal | undefined,
    want: W | undefined,
  ): Promise<T> {
    const limited = limitedSignal({
      signal,
      timeout,
      onTimeout: () =>
        inherited ? deadlineExceeded(selector) : new RpcError(
          "timeout",
          `Cannot make call "${selector}": no ${this.#target} within ${timeout} ms (option "timeout")`,
        ),
    });
    try {
      return await this.wait(limited.signal, want);
    } finally {
      limited[Symbol.dispose]();
    }
  }

  /**
   * Waits for the next connection.
   *
   * @throws {unknown} `signal.reason`, or the reason of {@linkcode end}
   */
  wait(signal: AbortSignal | undefined, want?: W): Promise<T> {
    const rejected = rejectedBy(signal);
    if (rejected !== undefined) return rejected;
    if (this.#end !== undefined) return Promise.reject(this.#end.reason);
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const waiter: Waiter<T, W> = {
      want,
      resolve: (target) => {
        resolve(target);
        return this.#waiting.delete(waiter);
      },
      reject,
    };
    this.#waiting.add(waiter);
    if (signal === undefined) return promise;
    const giveUp = () => {
      this.#waiting.delete(waiter);
      reject(reasonOf(signal));
    };
    onAbort(signal, giveUp);
    return promise.finally(() => offAbort(signal, giveUp));
  }

  [Symbol.iterator](): Iterator<Waiter<T, W>> {
    return this.#waiting.values();
  }

  /** There is a connection: everything that waits continues. */
  release(target: T): void {
    for (const waiter of this) waiter.resolve(target);
  }

  /** There will be no more connections. */
  end(reason: unknown): void {
    if (this.#end !== undefined) return;
    this.#end = { reason };
    for (const waiter of this) waiter.reject(reason);
    this.#waiting.clear();
  }
}
