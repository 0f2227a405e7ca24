import type { RawChannel } from "../../mux/internal.ts";
import { timeLimit } from "../../time_limit.ts";
import { Fifo, type Queued } from "../wire/fifo.ts";

/** What takes the place of one of the calls that run: the server's own object. */
export interface RunningCall extends Queued<RunningCall> {
  /** The call's channel. */
  readonly channel: RawChannel;
  /** Whether the queue learns when the caller gives the call up. */
  watched: boolean;
}

/** A call that waits until another one ends. */
class WaitingCall implements Queued<WaitingCall> {
  queue: Fifo<WaitingCall> | undefined;
  previous: WaitingCall | undefined;
  next: WaitingCall | undefined;
  cancelLimit: (() => void) | undefined;
  readonly run: () => void;

  constructor(run: () => void) {
    this.run = run;
  }
}

/** What {@linkcode CallQueue} keeps to. */
export interface CallQueueLimits {
  /** Calls that may run at the same time. */
  readonly maxConcurrentCalls: number;
  /** Calls that may wait. */
  readonly maxQueuedCalls: number;
  /** Milliseconds that a call may wait. */
  readonly callQueueTimeout: number;
}

/**
 * Limits how many of the peer's calls run at the same time. The others wait in
 * order; nothing of them but the header has been read.
 *
 * A call that its caller has given up does not count, even if its handler runs
 * on. Channels call back when they close, but to ask every channel for that would
 * make calls slower, so the queue asks only while calls wait.
 */
export class CallQueue {
  readonly #limits: CallQueueLimits;
  readonly #running = new Fifo<RunningCall>();
  readonly #waiting = new Fifo<WaitingCall>();

  /** Makes a queue for calls of one session. */
  constructor(limits: CallQueueLimits) {
    this.#limits = limits;
  }

  /** How many calls run. */
  get running(): number {
    return this.#running.length;
  }

  /** Whether another call may run at once. */
  get hasRoom(): boolean {
    const { maxConcurrentCalls } = this.#limits;
    if (this.#running.length < maxConcurrentCalls) {
      return this.#waiting.length === 0;
    }
    if (this.#waiting.length === 0) this.#removeGivenUp();
    return this.#running.length < maxConcurrentCalls &&
      this.#waiting.length === 0;
  }

  /** A call runs, and its handler has not finished. */
  add(call: RunningCall): void {
    this.#running.push(call);
    if (this.#waiting.length > 0) this.#watch(call);
  }

  /** The handler of a call has finished. */
  remove(call: RunningCall): void {
    // One that was given up has been removed already.
    if (call.queue === undefined) return;
    this.#running.remove(call);
    if (this.#waiting.length > 0) this.#runNext();
  }

  /**
   * Lets a call wait until another one ends; returns false if too many wait.
   *
   * @param run called when it is the call's turn
   * @param expired called if that takes too long
   */
  wait(channel: RawChannel, run: () => void, expired: () => void): boolean {
    const { maxQueuedCalls, callQueueTimeout } = this.#limits;
    if (this.#waiting.length >= maxQueuedCalls) return false;
    if (this.#waiting.length === 0) {
      for (let call = this.#running.first; call !== undefined;) {
        const { next } = call;
        this.#watch(call);
        call = next;
      }
    }
    const call = new WaitingCall(run);
    this.#waiting.push(call);
    call.cancelLimit = timeLimit(callQueueTimeout, () => {
      this.#waiting.remove(call);
      expired();
    });
    channel.whenClosed(() => {
      if (call.queue === undefined) return;
      call.cancelLimit?.();
      this.#waiting.remove(call);
      channel.discard();
    });
    return true;
  }

  #runNext(): void {
    while (this.#running.length < this.#limits.maxConcurrentCalls) {
      const call = this.#waiting.shift();
      if (call === undefined) return;
      call.cancelLimit?.();
      call.run();
    }
  }

  #watch(call: RunningCall): void {
    if (call.watched) return;
    call.watched = true;
    call.channel.whenClosed(() => this.remove(call));
  }

  #removeGivenUp(): void {
    for (let call = this.#running.first; call !== undefined;) {
      const { next } = call;
      if (call.channel.peerClosed) this.#running.remove(call);
      call = next;
    }
  }
}
