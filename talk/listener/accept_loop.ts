import { reasonOf } from "../../abort_reason.ts";
import { rejectedBy } from "../../check_option.ts";
import { timeLimit } from "../../time_limit.ts";
import { TalkError } from "../errors.ts";
import { Queue } from "../../queue.ts";
import type { WaitOptions } from "../../mux/internal.ts";

/** Milliseconds until accepting is retried after an error, at first and at most. */
const RETRY_DELAY = { min: 50, max: 1_000 } as const;
/** Consecutive failures of the listening socket after which the loop gives up. */
const MAX_FAILURES = 100;
/** Milliseconds without a failure after which the next one is a new spell. */
const SPELL_GAP = 10_000;

/** Codes of errors that mean that the process or the system lacks a resource. */
const LACKING: readonly unknown[] = ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"];
/** Codes of errors of one connection, which ended before it was accepted. */
const ABORTED: readonly unknown[] = ["ECONNABORTED", "ECONNRESET", "EPROTO"];

/** The callbacks of an {@linkcode AcceptLoop}. */
export interface AcceptEvents<T> {
  /** Takes what was accepted. The next one is accepted when it resolves. */
  take(accepted: T): void | Promise<void>;
  /**
   * Called with `out-of-resources` when there is no file descriptor left for a
   * connection: once, until none was missing for ten seconds.
   */
  onExhausted(error: TalkError): void;
  /**
   * Called at each failure of a spell, so that it can free file descriptors. If it
   * resolves to true, accepting is retried at once.
   */
  whileExhausted?(): Promise<boolean>;
}

/**
 * Accepts connections until its source ends, even if the process runs out of files.
 *
 * A process that is out of files accepts again when it has free ones: clients wait
 * in the backlog of the socket, and the loop tries again, at first after 50 ms and
 * finally every second. A connection that ended before it was accepted is skipped.
 * Any other error concerns the socket, for example because it no longer exists: the
 * loop ends after 100 of these in a row.
 */
export class AcceptLoop<T> {
  readonly #source: { accept(): Promise<T | null> };
  readonly #events: AcceptEvents<T>;
  readonly #now: () => number;
  #failures = 0;
  #delay: number = RETRY_DELAY.min;
  #exhaustedAt = -Infinity;
  #stopped = false;
  #retryNow: (() => void) | undefined;

  /**
   * Makes a loop; {@linkcode run} starts it.
   *
   * @param source what to accept from: `null` is its end
   * @param events the callbacks
   * @param now the time in milliseconds
   */
  constructor(
    source: { accept(): Promise<T | null> },
    events: AcceptEvents<T>,
    now: () => number = () => performance.now(),
  ) {
    this.#source = source;
    this.#events = events;
    this.#now = now;
  }

  /**
   * Accepts until the source ends.
   *
   * @throws {unknown} the error of the listening socket, after which it cannot be
   * used
   */
  async run(): Promise<void> {
    for (;;) {
      let accepted: T | null;
      try {
        accepted = await this.#source.accept();
      } catch (error) {
        if (this.#stopped) return;
        await this.#failed(error);
        continue;
      }
      if (accepted === null) return;
      this.#failures = 0;
      this.#delay = RETRY_DELAY.min;
      await this.#events.take(accepted);
    }
  }

  /** Stops waiting for the next attempt: the source was closed. */
  stop(): void {
    this.#stopped = true;
    this.#retryNow?.();
  }

  async #failed(error: unknown): Promise<void> {
    const { code } = (error ?? {}) as { code?: unknown };
    // The delay lets the event loop turn. Each such error has used up a connection,
    // so a longer delay is not needed.
    if (ABORTED.includes(code)) return await this.#wait(0);
    if (!LACKING.includes(code)) {
      if (++this.#failures >= MAX_FAILURES) throw error;
      return await this.#wait(RETRY_DELAY.min);
    }
    const now = this.#now();
    const isNew = now - this.#exhaustedAt >= SPELL_GAP;
    this.#exhaustedAt = now;
    if (isNew) this.#events.onExhausted(outOfResources(error));
    if (await this.#events.whileExhausted?.()) return await this.#wait(0);
    const delay = this.#delay;
    this.#delay = Math.min(2 * delay, RETRY_DELAY.max);
    await this.#wait(delay);
  }

  /** Waits until accepting is to be retried, or the source was closed. */
  async #wait(ms: number): Promise<void> {
    const ended = Promise.withResolvers<void>();
    this.#retryNow = ended.resolve;
    if (this.#stopped) ended.resolve();
    const cancel = timeLimit(ms, ended.resolve);
    await ended.promise;
    cancel();
    this.#retryNow = undefined;
  }
}

function outOfResources(cause: unknown): TalkError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new TalkError(
    "out-of-resources",
    `Cannot accept connection: ${why}; it waits until some are free`,
    { cause },
  );
}

/** Items that an iterator keeps until they are taken; it skips any further. */
export const QUEUE_LENGTH = 128;

/** An item that a listener offers to all of its iterators. */
export interface Offer<T> {
  readonly item: T;
  /** Iterators that keep it until it is taken. */
  holders: number;
  /** Whether a loop has got it. */
  taken: boolean;
}

/** A call of `next()` that waits for an item. */
interface Waiter<T> {
  resolve(result: IteratorResult<T, undefined>): void;
}

/** Iterates over what a listener accepts. */
export class AcceptIterator<T>
  implements AsyncIterator<T, undefined, WaitOptions | undefined> {
  readonly #onReturn: (left: Iterable<Offer<T>>) => void;
  readonly #queue = new Queue<Offer<T>>();
  readonly #waiters = new Set<Waiter<T>>();
  #ended = false;

  /**
   * Makes an iterator.
   *
   * @param onReturn is called when the loop over it is left, with what it kept
   */
  constructor(onReturn: (left: Iterable<Offer<T>>) => void) {
    this.#onReturn = onReturn;
  }

  /** Gives the iterator an item; returns false if it skips it. */
  push(offer: Offer<T>): boolean {
    const [waiter] = this.#waiters;
    if (waiter !== undefined) {
      this.#waiters.delete(waiter);
      offer.taken = true;
      waiter.resolve({ done: false, value: offer.item });
    } else {
      if (this.#queue.length >= QUEUE_LENGTH) return false;
      offer.holders++;
      this.#queue.push(offer);
    }
    return true;
  }

  /** Ends the iterator after the items in its queue. */
  end(): void {
    this.#ended = true;
    for (const waiter of this.#waiters) {
      waiter.resolve({ done: true, value: undefined });
    }
    this.#waiters.clear();
  }

  next(
    { signal }: WaitOptions = {},
  ): Promise<IteratorResult<T, undefined>> {
    const rejected = rejectedBy(signal);
    if (rejected !== undefined) return rejected;
    const offer = this.#queue.shift();
    if (offer !== undefined) {
      offer.holders--;
      offer.taken = true;
      return Promise.resolve({ done: false, value: offer.item });
    }
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    const { promise, resolve, reject } = Promise.withResolvers<
      IteratorResult<T, undefined>
    >();
    if (signal === undefined) {
      this.#waiters.add({ resolve });
      return promise;
    }
    const waiter: Waiter<T> = {
      resolve(result) {
        signal.removeEventListener("abort", onAbort);
        resolve(result);
      },
    };
    const onAbort = () => {
      this.#waiters.delete(waiter);
      reject(reasonOf(signal));
    };
    signal.addEventListener("abort", onAbort, { once: true });
    this.#waiters.add(waiter);
    return promise;
  }

  return(): Promise<IteratorResult<T, undefined>> {
    const left = [...this.#queue];
    this.#queue.clear();
    this.end();
    for (const offer of left) offer.holders--;
    this.#onReturn(left);
    return Promise.resolve({ done: true, value: undefined });
  }
}
