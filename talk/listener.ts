import type {
  Accepted,
  Transport,
  TransportListener,
} from "../mux/internal.ts";
import { Iteration } from "./accept_iterator.ts";
import type { CloseOptions } from "./peer.ts";

/** Who connects, as far as one can tell before anything is said. */
export interface ConnectionInfo {
  /** Where it comes from, in the form of an address. */
  remoteAddr: string;
}

/** Choices for accepting. */
export interface ListenerOptions {
  /**
   * Asked about every connection before a byte of it is read; `false`, or a
   * throw, closes it. Others are accepted while it thinks.
   */
  accept?: (connection: ConnectionInfo) => boolean | Promise<boolean>;
}

/** Milliseconds to wait after an accept that failed, such as for want of files. */
const RETRY_DELAY = 50;
/** Failures in a row after which listening is over. */
const MAX_FAILURES = 100;

/** What a listener makes of a connection: a peer, or a session. */
export interface Served {
  /** Settles when it has ended. */
  readonly closed: Promise<void>;
  /** Ends it. */
  close(options?: CloseOptions): Promise<void>;
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
  /** What is open: accepted, or still to be decided on. */
  readonly #active = new Set<Served>();
  readonly #iterations = new Set<Iteration<T>>();
  readonly #closed = Promise.withResolvers<void>();
  #state: "open" | "closing" | "ended" = "open";
  #retry: (() => void) | undefined;
  /** Why accepting failed for good. */
  #failure: unknown;

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

  /**
   * Stops accepting and closes all that was accepted, peers as it says in
   * `Peer.close()`. Idempotent.
   *
   * @param options whether peers wait for the calls under way
   */
  async close(options: CloseOptions = {}): Promise<void> {
    if (this.#state === "open") {
      this.#state = "closing";
      this.#source.close();
      this.#retry?.();
    }
    await Promise.all([...this.#active].map((item) => item.close(options)));
    await this.#closed.promise.catch(() => {});
  }

  /** Same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Gives what is accepted from now on, until the listener is closed. */
  [Symbol.asyncIterator](): AsyncIterator<T, undefined> {
    const iteration: Iteration<T> = new Iteration(() => {
      this.#iterations.delete(iteration);
    });
    if (this.#state === "open") this.#iterations.add(iteration);
    else iteration.end();
    return iteration;
  }

  async #run(): Promise<void> {
    for (let failures = 0; failures < MAX_FAILURES;) {
      try {
        const accepted = await this.#source.accept();
        if (accepted === null) break;
        failures = 0;
        if (this.#allow === undefined) this.#serve(accepted.transport);
        else void this.#ask(this.#allow, accepted);
      } catch (error) {
        // One connection gone before it was accepted, or no files left for now.
        if (++failures === MAX_FAILURES) this.#failure = error;
        else await this.#pause();
      }
    }
    this.#source.close();
    while (this.#active.size > 0) {
      await Promise.allSettled([...this.#active].map((item) => item.closed));
    }
    this.#state = "ended";
    for (const iteration of this.#iterations) iteration.end();
    this.#iterations.clear();
    if (this.#failure === undefined) this.#closed.resolve();
    else this.#closed.reject(this.#failure);
  }

  /** Serves a connection if the hook lets it; closing does not wait for that. */
  async #ask(
    allow: NonNullable<ListenerOptions["accept"]>,
    { transport, remoteAddr }: Accepted,
  ): Promise<void> {
    const decided = Promise.withResolvers<void>();
    const drop = async () => {
      decided.resolve();
      await discard(transport);
    };
    this.#hold({ closed: decided.promise, close: drop });
    let allowed = false;
    try {
      allowed = await allow({ remoteAddr });
    } catch {
      // A hook that throws refuses.
    }
    if (!allowed) return await drop();
    this.#serve(transport);
    decided.resolve();
  }

  #serve(transport: Transport): void {
    if (this.#state !== "open") return void discard(transport);
    let item: T;
    try {
      item = this.#make(transport);
    } catch (error) {
      // No connection is to blame: the next ones would fail alike.
      void discard(transport);
      this.#failure = error;
      return this.#source.close();
    }
    this.#hold(item);
    for (const iteration of this.#iterations) iteration.push(item);
  }

  #hold(item: Served): void {
    this.#active.add(item);
    const ended = () => this.#active.delete(item);
    item.closed.then(ended, ended);
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

/** Closes a connection that nobody uses. */
async function discard(transport: Transport): Promise<void> {
  try {
    await transport.close();
  } catch {
    // It is gone either way.
  }
}
