import type { Transport } from "../types.ts";

/** Milliseconds that a pair may keep the event loop to itself. */
const SLICE = 4;

/** One direction: a write waits until what it wrote has been read. */
class Pipe {
  #waiting: { bytes: Uint8Array | null; taken: () => void } | undefined;
  #reader: ((bytes: Uint8Array | null) => void) | undefined;
  #acknowledge: (() => void) | undefined;
  #state: "open" | "ended" | "closed" = "open";
  #sliceStart = performance.now();
  /** Ends a pause of a writer before its time. */
  #resume: (() => void) | undefined;

  read(): Promise<Uint8Array | null> {
    // Asking for more says that the last bytes are done with.
    this.#acknowledge?.();
    this.#acknowledge = undefined;
    const waiting = this.#waiting;
    if (waiting !== undefined) {
      this.#waiting = undefined;
      this.#acknowledge = waiting.taken;
      return Promise.resolve(waiting.bytes);
    }
    if (this.#state !== "open") return Promise.resolve(null);
    return new Promise((resolve) => this.#reader = resolve);
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#state !== "open") throw new TypeError("Cannot write: pipe ended");
    await this.#yield();
    await new Promise<void>((taken) => {
      if (this.#state !== "open") return taken();
      if (this.#reader === undefined) this.#waiting = { bytes, taken };
      else {
        this.#acknowledge = taken;
        this.#reader(bytes);
        this.#reader = undefined;
      }
    });
  }

  /** The writer is done: what it wrote can be read, then the end. */
  end(): void {
    if (this.#state === "open") this.#state = "ended";
    this.#reader?.(null);
    this.#reader = undefined;
  }

  /** Either end is gone: nothing more is read, and nobody waits. */
  close(): void {
    this.#state = "closed";
    this.#resume?.();
    this.#waiting?.taken();
    this.#waiting = undefined;
    this.#acknowledge?.();
    this.#acknowledge = undefined;
    this.end();
  }

  /** Two ends in one thread live in microtasks: let timers have a turn. */
  async #yield(): Promise<void> {
    if (performance.now() - this.#sliceStart < SLICE) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      this.#resume = resolve;
      timer = setTimeout(resolve, 0);
    });
    clearTimeout(timer);
    this.#resume = undefined;
    this.#sliceStart = performance.now();
  }
}

/**
 * Two transports in one process, each the other's far end. Nothing is copied
 * and nothing is buffered: a write waits until it has been read.
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
  const there = new Pipe();
  const back = new Pipe();
  return [end(there, back), end(back, there)];
}

function end(out: Pipe, input: Pipe): Transport {
  return {
    read: () => input.read(),
    write: (bytes) => out.write(bytes),
    closeWrite: () => Promise.resolve(out.end()),
    close() {
      out.close();
      input.close();
    },
  };
}
