import type { Accepted, TransportListener } from "../mux/transport/types.ts";
import type { Transport } from "../mux/types.ts";

/** Who connects, as far as one can tell before anything is said. */
export interface Connection {
  /** Where it comes from, in the form of an address. */
  remoteAddr: string;
}

/** Choices for accepting. */
export interface ListenerOptions {
  /**
   * Asked about every connection before a byte of it is read; `false`, or a
   * throw, closes it. Others are accepted while it thinks.
   */
  accept?: (connection: Connection) => boolean | Promise<boolean>;
}

/** Peers that wait for one iterator; the next ones pass it by. */
const ITERATOR_QUEUE = 128;
/** Milliseconds to wait after an accept that failed, such as for want of files. */
const RETRY_DELAY = 50;
/** Failures in a row after which listening is over. */
const MAX_FAILURES = 100;

/** What a listener makes of a connection: a peer, or a session. */
export interface Served {
  /** Settles when it has ended. */
  readonly closed: Promise<void>;
  /** Ends it. */
  close(): Promise<void>;
}

/** One loop over a listener. */
interface Iteration<T> {
  queue: T[];
  waiting: ((item: T | undefined) => void) | undefined;
}

/**
 * Accepts connections and serves them. Iterating it gives what is accepted from
 * then on; leaving the loop ends the loop only.
 */
export class Listener<T extends Served>
  implements AsyncIterable<T>, AsyncDisposable {
  /** The address to dial. */
  readonly addr: string;
  readonly #source: TransportListener;
  readonly #make: (transport: Transport) => T;
  readonly #allow: ListenerOptions["accept"];
  readonly #active = new Set<T>();
  readonly #iterations = new Set<Iteration<T>>();
  readonly #closed = Promise.withResolvers<void>();
  #state: "open" | "closing" | "ended" = "open";
  #retry: (() => void) | undefined;

  /** Listeners are made by `listen()` and `listenSession()`. */
  constructor(
    source: TransportListener,
    make: (transport: Transport) => T,
    options: ListenerOptions,
  ) {
    this.addr = source.addr;
    this.#source = source;
    this.#make = make;
    this.#allow = options.accept;
    this.#closed.promise.catch(() => {});
    void this.#run();
  }

  /**
   * Resolves when nothing is accepted any more and everything accepted has
   * ended; rejects if accepting failed. Never an unhandled rejection.
   */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** Stops accepting and closes all that was accepted. Idempotent. */
  async close(): Promise<void> {
    if (this.#state === "open") {
      this.#state = "closing";
      this.#source.close();
      this.#retry?.();
    }
    await Promise.all([...this.#active].map((item) => item.close()));
    await this.#closed.promise.catch(() => {});
  }

  /** Same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Gives what is accepted from now on, until the listener is closed. */
  [Symbol.asyncIterator](): AsyncIterator<T, undefined> {
    const iteration: Iteration<T> = { queue: [], waiting: undefined };
    if (this.#state === "open") this.#iterations.add(iteration);
    return {
      next: async () => {
        const value = iteration.queue.shift() ?? await this.#next(iteration);
        return value === undefined
          ? { done: true, value: undefined }
          : { done: false, value };
      },
      return: () => {
        this.#iterations.delete(iteration);
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }

  #next(iteration: Iteration<T>): Promise<T | undefined> {
    if (!this.#iterations.has(iteration)) return Promise.resolve(undefined);
    return new Promise((resolve) => iteration.waiting = resolve);
  }

  async #run(): Promise<void> {
    let failure: unknown;
    for (let failures = 0; failures < MAX_FAILURES;) {
      try {
        const accepted = await this.#source.accept();
        failure = undefined;
        failures = 0;
        if (accepted === null) break;
        void this.#admit(accepted);
      } catch (error) {
        // One connection gone before it was accepted, or no files left for now.
        failure = error;
        failures++;
        await this.#pause();
      }
    }
    this.#source.close();
    await Promise.allSettled([...this.#active].map((item) => item.closed));
    this.#state = "ended";
    for (const { waiting } of this.#iterations) waiting?.(undefined);
    this.#iterations.clear();
    if (failure === undefined) this.#closed.resolve();
    else this.#closed.reject(failure);
  }

  async #admit({ transport, remoteAddr }: Accepted): Promise<void> {
    try {
      const allowed = this.#allow === undefined ||
        await this.#allow({ remoteAddr });
      if (!allowed || this.#state !== "open") return void transport.close();
    } catch {
      return void transport.close();
    }
    const item = this.#make(transport);
    this.#active.add(item);
    const ended = () => this.#active.delete(item);
    item.closed.then(ended, ended);
    for (const iteration of this.#iterations) {
      if (iteration.waiting !== undefined) {
        iteration.waiting(item);
        iteration.waiting = undefined;
      } else if (iteration.queue.length < ITERATOR_QUEUE) {
        iteration.queue.push(item);
      }
    }
  }

  /** A wait that closing ends. */
  async #pause(): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      if (this.#state !== "open") return resolve();
      this.#retry = resolve;
      timer = setTimeout(resolve, RETRY_DELAY);
    });
    clearTimeout(timer);
    this.#retry = undefined;
  }
}
