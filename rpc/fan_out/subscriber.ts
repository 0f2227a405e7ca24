import { reasonOf } from "../../abort_reason.ts";
import { Queue } from "../../queue.ts";
import { CallError } from "../errors.ts";
import type { WhenFull } from "./types.ts";

/** What a subscriber tells its fan-out. */
export interface SubscriberHost {
  /** So many values were dropped. */
  onDrop(count: number): void;
  /** It takes no more values. */
  onLeave(): void;
}

/** A value and what it counts as. */
interface Entry<T> {
  readonly value: T;
  readonly size: number;
}

/** One subscriber of a fan-out: a bounded buffer, and the stream that empties it. */
export class Subscriber<T> {
  /** What the program reads. */
  readonly stream: ReadableStream<T>;
  readonly #buffer: number;
  readonly #whenFull: WhenFull;
  readonly #host: SubscriberHost;
  readonly #queue = new Queue<Entry<T>>();
  /** The sum of the sizes in the queue. */
  #used = 0;
  #controller!: ReadableStreamDefaultController<T>;
  /** Ends a read that waits for a value. */
  #wake: (() => void) | undefined;
  #end: { readonly error?: unknown } | undefined;
  /** Whether it takes no more values. */
  #left = false;
  #signal: AbortSignal | undefined;

  /** Makes a subscriber with an empty buffer. */
  constructor(buffer: number, whenFull: WhenFull, host: SubscriberHost) {
    this.#buffer = buffer;
    this.#whenFull = whenFull;
    this.#host = host;
    this.stream = new ReadableStream<T>({
      start: (controller) => void (this.#controller = controller),
      pull: () => this.#pull(),
      cancel: () => this.#leave(),
      // The only buffer is the queue, whose limit the program has chosen.
    }, { highWaterMark: 0 });
  }

  /** Ends it with the reason of the signal. */
  endAt(signal: AbortSignal | undefined): void {
    if (signal === undefined) return;
    if (signal.aborted) return this.#fail(reasonOf(signal));
    this.#signal = signal;
    signal.addEventListener("abort", this.#onAbort, { once: true });
  }

  readonly #onAbort = (): void => this.#fail(reasonOf(this.#signal!));

  /**
   * Takes a value, or drops one as the rule says.
   *
   * @param always whether it takes the value in any case
   */
  give(value: T, size: number, always = false): void {
    if (this.#left) return;
    if (this.#wake !== undefined) {
      this.#controller.enqueue(value);
      return this.#wakeUp();
    }
    const isFull = this.#queue.length > 0 && this.#used + size > this.#buffer;
    if (isFull && !always && !this.#makeRoom(size)) return;
    this.#queue.push({ value, size });
    this.#used += size;
  }

  /** Makes room for a value; returns whether there is room. */
  #makeRoom(size: number): boolean {
    switch (this.#whenFull) {
      case "end":
        this.#fail(
          new CallError(
            `Cannot continue stream: it is read too slowly, and ${this.#queue.length} values wait (option "buffer")`,
            { code: "too-slow" },
          ),
        );
        return false;
      case "drop-newest":
        this.#host.onDrop(1);
        return false;
      case "keep-latest":
        this.#host.onDrop(this.#queue.length);
        this.#drop();
        return true;
      case "drop-oldest":
        while (this.#queue.length > 0 && this.#used + size > this.#buffer) {
          this.#host.onDrop(1);
          this.#used -= this.#queue.shift()!.size;
        }
        return true;
    }
  }

  /**
   * The source has ended or failed: so does the stream, once the buffer is empty.
   */
  end(end: { readonly error?: unknown }): void {
    if (this.#left) return;
    this.#left = true;
    this.#end = end;
    if (this.#queue.length === 0) this.#finish();
  }

  #pull(): Promise<void> | void {
    const entry = this.#queue.shift();
    if (entry === undefined) {
      return new Promise((resolve) => this.#wake = resolve);
    }
    this.#used -= entry.size;
    this.#controller.enqueue(entry.value);
    if (this.#end !== undefined && this.#queue.length === 0) this.#finish();
  }

  /** Ends the stream as the source has. */
  #finish(): void {
    this.#unlisten();
    if ("error" in this.#end!) this.#controller.error(this.#end.error);
    else this.#controller.close();
    this.#wakeUp();
  }

  #fail(reason: unknown): void {
    this.#drop();
    this.#controller.error(reason);
    this.#wakeUp();
    this.#leave();
  }

  #leave(): void {
    this.#drop();
    this.#unlisten();
    if (this.#left) return;
    this.#left = true;
    this.#host.onLeave();
  }

  #unlisten(): void {
    this.#signal?.removeEventListener("abort", this.#onAbort);
  }

  #drop(): void {
    this.#queue.clear();
    this.#used = 0;
  }

  #wakeUp(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}
