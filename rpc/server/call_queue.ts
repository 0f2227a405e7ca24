import { startTimer } from "../../time_limit.ts";
import { Fifo, type Queued } from "../../queue.ts";

/** A call that a {@linkcode CallQueue} lets run. */
export interface QueuedCall extends Queued<QueuedCall> {
  /** Whether the call counts as running. */
  counts: boolean;
  /** Cancels the time limit of a call that waits. */
  cancelLimit: (() => void) | undefined;
}

/** What a {@linkcode CallQueue} keeps to. */
export interface CallQueueLimits {
  /** Calls that may run at the same time. */
  readonly maxConcurrentCalls: number;
  /** Calls that may wait. */
  readonly maxQueuedCalls: number;
  /** Milliseconds that a call may wait. */
  readonly callQueueTimeout: number;
}

/** What happens to the calls. */
export interface CallQueueEvents<T> {
  /** Whether a call may begin now, if there is room. */
  mayBegin(): boolean;
  /** It is the call's turn. */
  run(call: T): void;
  /** The call cannot wait, or has waited for too long. */
  refuse(call: T): void;
}

/**
 * Limits how many of the peer's calls run at the same time. The others wait in
 * order; nothing of them but the header has been read.
 */
export class CallQueue<T extends QueuedCall> {
  readonly #limits: CallQueueLimits;
  readonly #events: CallQueueEvents<T>;
  #running = 0;
  readonly #waiting = new Fifo<QueuedCall>();
  #scheduled = false;

  /** Makes a queue for calls of one session. */
  constructor(limits: CallQueueLimits, events: CallQueueEvents<T>) {
    this.#limits = limits;
    this.#events = events;
  }

  /** How many calls run. */
  get running(): number {
    return this.#running;
  }

  /** Whether a call waits for its turn. */
  isWaiting(call: T): boolean {
    return call.queue === this.#waiting;
  }

  /** Runs a call, now or when others have ended. */
  begin(call: T): void {
    const { maxQueuedCalls, callQueueTimeout } = this.#limits;
    if (this.#waiting.length === 0 && this.#hasRoom) {
      return this.#events.run(call);
    }
    if (this.#waiting.length >= maxQueuedCalls) {
      return this.#events.refuse(call);
    }
    this.#waiting.push(call);
    call.cancelLimit = startTimer(callQueueTimeout, () => {
      this.#waiting.remove(call);
      this.#events.refuse(call);
    });
  }

  /** A call that runs counts from now on: it takes a while. */
  add(call: T): void {
    call.counts = true;
    this.#running++;
  }

  /**
   * A call has ended, or its caller has given it up. It may have been removed
   * already.
   */
  remove(call: T): void {
    if (call.counts) {
      call.counts = false;
      this.#running--;
      this.runNextSoon();
    } else if (this.isWaiting(call)) {
      this.#waiting.remove(call);
      call.cancelLimit?.();
    }
  }

  get #hasRoom(): boolean {
    return this.#running < this.#limits.maxConcurrentCalls &&
      this.#events.mayBegin();
  }

  /**
   * Runs calls that wait if they may begin now, but not before the end of a
   * session has removed all of them.
   */
  runNextSoon(): void {
    if (this.#scheduled || this.#waiting.length === 0) return;
    this.#scheduled = true;
    queueMicrotask(() => this.#runNext());
  }

  #runNext(): void {
    this.#scheduled = false;
    while (this.#hasRoom) {
      const call = this.#waiting.shift();
      if (call === undefined) return;
      call.cancelLimit?.();
      this.#events.run(call as T);
    }
  }
}
