/**
 * Connections in memory that are cut after a number of bytes, in each of the ways in
 * which networks do it.
 *
 * @module
 */
import { memoryTransports } from "../../mux/transport/memory.ts";
import type { AbortableTransport } from "../../mux/transport/types.ts";
import type { Transport } from "../../mux/types.ts";

/** How a connection is cut. */
export type Cut =
  /** Both ends see the end of the stream. */
  | "close"
  /** Both ends get an error. */
  | "reset"
  /** Neither end sees anything, and nothing arrives. */
  | "silence"
  /** The dialer sees the end, the listener nothing. */
  | "half-open"
  /** The listener sees the end, the dialer nothing. */
  | "half-open there";

/** All of them. */
export const CUTS: readonly Cut[] = [
  "close",
  "reset",
  "silence",
  "half-open",
  "half-open there",
];

/** What an end sees of a cut. */
type Sight = "end" | "error" | "nothing";

const SIGHTS: Record<Cut, readonly [dialer: Sight, listener: Sight]> = {
  close: ["end", "end"],
  reset: ["error", "error"],
  silence: ["nothing", "nothing"],
  "half-open": ["end", "nothing"],
  "half-open there": ["nothing", "end"],
};

/** One connection. */
export class Line {
  readonly dialer: FaultyEnd;
  readonly listener: FaultyEnd;
  readonly #cut: Cut;
  readonly #onCut: () => void;
  #left: number;

  /**
   * Makes a connection.
   *
   * @param left the bytes of both directions that pass before the cut
   * @param cut how it is cut
   * @param onCut called when it is
   */
  constructor(left: number, cut: Cut, onCut: () => void = () => {}) {
    const [dialer, listener] = memoryTransports();
    this.dialer = new FaultyEnd(dialer, this);
    this.listener = new FaultyEnd(listener, this);
    this.#left = left;
    this.#cut = cut;
    this.#onCut = onCut;
  }

  /** How many of so many bytes pass. */
  pass(bytes: number): number {
    const passed = Math.min(bytes, this.#left);
    this.#left -= passed;
    return passed;
  }

  /** Cuts it now. */
  cut(): void {
    this.#left = 0;
    const [dialer, listener] = SIGHTS[this.#cut];
    if (!this.dialer.isCut) this.#onCut();
    this.dialer.cut(dialer);
    this.listener.cut(listener);
  }
}

/** One end of a {@linkcode Line}. */
class FaultyEnd implements AbortableTransport {
  /** Makes sessions watch it as a connection. */
  readonly keepAlive = { signs: 0 };
  readonly #inner: Transport;
  readonly #line: Line;
  #sight: Sight | undefined;
  /** Settles what waits, by the cut or by `close()`. */
  readonly #seen = Promise.withResolvers<null>();
  #isClosed = false;

  constructor(inner: Transport, line: Line) {
    this.#inner = inner;
    this.#line = line;
    this.#seen.promise.catch(() => {});
  }

  get isCut(): boolean {
    return this.#sight !== undefined;
  }

  cut(sight: Sight): void {
    if (this.#sight !== undefined || this.#isClosed) return;
    this.#sight = sight;
    if (sight === "end") this.#seen.resolve(null);
    if (sight === "error") this.#seen.reject(new Error("reset by the test"));
  }

  read(): Promise<Uint8Array | null> {
    if (this.#sight !== undefined) return this.#seen.promise;
    const read = this.#inner.read();
    read.catch(() => {});
    // What arrives after the cut is not seen.
    const arrived = read.then((bytes) =>
      this.#sight === undefined ? bytes : this.#seen.promise
    );
    return Promise.race([arrived, this.#seen.promise]);
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#sight === undefined) {
      const passed = this.#line.pass(bytes.length);
      const writing = passed === 0
        ? Promise.resolve()
        : this.#inner.write(bytes.subarray(0, passed));
      writing.catch(() => {});
      await Promise.race([writing, this.#seen.promise]);
      if (passed < bytes.length) this.#line.cut();
    }
    if (this.#sight === undefined) return;
    await this.#seen.promise;
    throw new Error("written after the cut");
  }

  async closeWrite(): Promise<void> {
    if (this.#sight === undefined) await this.#inner.closeWrite();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#seen.resolve(null);
    // A cut line does not tell the other end.
    if (this.#sight === undefined) void this.#inner.close();
  }

  abort(): void {
    this.close();
  }
}
