import type { Clock } from "../flow/turns.ts";
import type { Transport } from "../types.ts";

/** Milliseconds for which a pair may keep the event loop busy. */
const SLICE = 4;

/** One direction: a write waits until its bytes have been read. */
class Pipe {
  readonly #clock: Clock;
  #pending: { bytes: Uint8Array | null; done: () => void } | undefined;
  #reader: ((bytes: Uint8Array | null) => void) | undefined;
  #readDone: (() => void) | undefined;
  #state: "open" | "ended" | "closed" = "open";
  #sliceStart: number;
  /** Ends the pause of a writer early. */
  #resume: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#sliceStart = clock();
  }

  read(): Promise<Uint8Array | null> {
    // The next read tells that the last bytes are no longer needed.
    this.#readDone?.();
    this.#readDone = undefined;
    const pending = this.#pending;
    if (pending !== undefined) {
      this.#pending = undefined;
      this.#readDone = pending.done;
      return Promise.resolve(pending.bytes);
    }
    if (this.#state !== "open") return Promise.resolve(null);
    return new Promise((resolve) => this.#reader = resolve);
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#state !== "open") {
      throw new TypeError("Cannot write to memory transport: it has ended");
    }
    await this.#yield();
    await new Promise<void>((done) => {
      if (this.#state !== "open") return done();
      if (this.#reader === undefined) this.#pending = { bytes, done };
      else {
        this.#readDone = done;
        this.#reader(bytes);
        this.#reader = undefined;
      }
    });
  }

  /** Ends the pipe after what was written. */
  end(): void {
    if (this.#state === "open") this.#state = "ended";
    this.#reader?.(null);
    this.#reader = undefined;
  }

  /** Ends the pipe at once: nothing more is read, and nothing waits. */
  close(): void {
    this.#state = "closed";
    this.#resume?.();
    this.#pending?.done();
    this.#pending = undefined;
    this.#readDone?.();
    this.#readDone = undefined;
    this.end();
  }

  /** Two ends in one thread run in microtasks; timers need a chance to run too. */
  async #yield(): Promise<void> {
    if (this.#clock() - this.#sliceStart < SLICE) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      this.#resume = resolve;
      timer = setTimeout(resolve, 0);
    });
    clearTimeout(timer);
    this.#resume = undefined;
    this.#sliceStart = this.#clock();
  }
}

/**
 * Makes two connected transports within one process. Nothing is copied or
 * buffered: a write waits until its bytes have been read.
 *
 * @example
 * ```ts
 * import { memoryTransports, qmux } from "@qtalk/qtalk/mux";
 *
 * const [left, right] = memoryTransports();
 * await using a = qmux(left);
 * await using b = qmux(right);
 * b.accept((channel) => channel.close());
 * const channel = await a.open();
 * await channel.closed;
 * ```
 */
export function memoryTransports(): [Transport, Transport] {
  return timedMemoryTransports(() => performance.now());
}

/** Makes a pair as {@linkcode memoryTransports} does, with the given clock. */
export function timedMemoryTransports(clock: Clock): [Transport, Transport] {
  const there = new Pipe(clock);
  const back = new Pipe(clock);
  return [end(there, back), end(back, there)];
}

function end(output: Pipe, input: Pipe): Transport {
  return {
    read: () => input.read(),
    write: (bytes) => output.write(bytes),
    closeWrite: () => Promise.resolve(output.end()),
    close() {
      output.close();
      input.close();
    },
  };
}
