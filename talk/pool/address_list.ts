import { kindOf } from "../../check_option.ts";
import { limitedSignal, orAborted } from "../../time_limit.ts";
import { TalkError } from "../errors.ts";
import type { Environment } from "./dialed_member.ts";
import type { ListAddresses, PoolAddresses } from "./types.ts";

/** What an {@linkcode AddressList} needs of its pool. */
export interface AddressListHost {
  readonly environment: Pick<Environment, "wait">;
  /** Milliseconds between two calls of the function. */
  readonly refreshInterval: number;
  /** Milliseconds that the function may take. */
  readonly timeout: number;
  /** There is a new list. */
  onList(addresses: readonly string[]): void;
  /** There will be no other list. */
  onEnd(): void;
  /** There is no new list. */
  onError(error: unknown): void;
}

/** Where the addresses of a pool come from, until it is closed. */
export class AddressList {
  readonly #host: AddressListHost;
  readonly #stop = new AbortController();
  #iterator: AsyncIterator<readonly string[]> | undefined;
  /** Ends the wait for the next call. */
  #wake: (() => void) | undefined;
  #isAsked = false;

  /** Makes a list that has not begun. */
  constructor(host: AddressListHost) {
    this.#host = host;
  }

  /**
   * Begins to list.
   *
   * @throws {TypeError} if there can be no addresses
   */
  start(addresses: PoolAddresses): void {
    if (Array.isArray(addresses)) {
      checkAddresses(addresses);
      this.#host.onList(addresses);
      this.#host.onEnd();
    } else if (typeof addresses === "function") void this.#poll(addresses);
    else if (isAsyncIterable(addresses)) void this.#follow(addresses);
    else {
      throw new TypeError(
        `Cannot dial pool: the addresses must be an array, a function or an async iterable, and are ${
          kindOf(addresses)
        }`,
      );
    }
  }

  /** Calls the function again, now. */
  ask(): void {
    this.#isAsked = true;
    this.#wake?.();
  }

  /** Lists no more addresses. */
  stop(): void {
    this.#stop.abort();
    // A generator that is waiting ends only when it resumes.
    Promise.resolve(this.#iterator?.return?.()).catch(() => {});
  }

  async #poll(list: ListAddresses): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      this.#isAsked = false;
      try {
        const addresses = await this.#answerOf(list);
        checkAddresses(addresses);
        if (!signal.aborted) this.#host.onList(addresses);
      } catch (error) {
        if (!signal.aborted) this.#host.onError(error);
      }
      // If a call was requested in the meantime, there may be a newer list already.
      if (!this.#isAsked) await this.#pause();
    }
  }

  async #answerOf(list: ListAddresses): Promise<readonly string[]> {
    const { timeout } = this.#host;
    const limited = limitedSignal({
      signal: this.#stop.signal,
      timeout,
      onTimeout: () =>
        new TalkError(
          "timeout",
          `Cannot list the addresses of a pool: no answer within ${timeout} ms (option "timeout")`,
        ),
    });
    const { signal } = limited;
    try {
      return await orAborted(Promise.resolve(list({ signal })), signal);
    } finally {
      limited[Symbol.dispose]();
    }
  }

  async #pause(): Promise<void> {
    const { environment, refreshInterval } = this.#host;
    const early = new AbortController();
    this.#wake = () => early.abort();
    const { signal } = this.#stop;
    signal.addEventListener("abort", this.#wake, { once: true });
    if (signal.aborted) early.abort();
    await environment.wait(refreshInterval, early.signal);
    signal.removeEventListener("abort", this.#wake);
    this.#wake = undefined;
  }

  async #follow(lists: AsyncIterable<readonly string[]>): Promise<void> {
    const { signal } = this.#stop;
    try {
      const iterator = this.#iterator = lists[Symbol.asyncIterator]();
      for (;;) {
        const { done, value } = await iterator.next();
        if (signal.aborted) return;
        if (done) break;
        checkAddresses(value);
        this.#host.onList(value);
      }
    } catch (error) {
      if (signal.aborted) return;
      this.#host.onError(error);
    }
    this.#host.onEnd();
  }
}

function isAsyncIterable(
  value: unknown,
): value is AsyncIterable<readonly string[]> {
  return typeof value === "object" && value !== null &&
    Symbol.asyncIterator in value;
}

function checkAddresses(list: unknown): asserts list is readonly string[] {
  const wrong = Array.isArray(list)
    ? list.find((address) => typeof address !== "string")
    : list;
  const isRight = Array.isArray(list) && wrong === undefined &&
    !list.includes(undefined);
  if (isRight) return;
  throw new TypeError(
    `Cannot use the addresses of a pool: they must be an array of strings, ${
      Array.isArray(list) ? "one of them is" : "and are"
    } ${kindOf(wrong)}`,
  );
}
