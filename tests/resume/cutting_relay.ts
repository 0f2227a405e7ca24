/**
 * A relay of TCP connections, each of which is cut after a number of bytes, in one of
 * the ways in which networks do it.
 *
 * @module
 */
import type { Cut } from "./line.ts";

/** When and how a connection is cut. */
export interface PlannedCut {
  /** Bytes of both directions that pass before. */
  readonly after: number;
  readonly cut: Cut;
}

/** Passes connections on to a port, and cuts them. */
export class CuttingRelay implements Disposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #open = new Set<Deno.Conn>();
  readonly #target: number;
  readonly #plan: () => PlannedCut;
  readonly #onCut: () => void;

  /**
   * Starts to accept connections.
   *
   * @param target the port
   * @param plan says for each connection when it is cut
   * @param onCut called when one is
   */
  constructor(target: number, plan: () => PlannedCut, onCut: () => void) {
    this.#target = target;
    this.#plan = plan;
    this.#onCut = onCut;
    void this.#run();
  }

  /** The port to connect to. */
  get port(): number {
    return this.#listener.addr.port;
  }

  [Symbol.dispose](): void {
    this.#listener.close();
    for (const conn of this.#open) conn.close();
    this.#open.clear();
  }

  async #run(): Promise<void> {
    try {
      for await (const near of this.#listener) void this.#join(near);
    } catch {
      // It was closed.
    }
  }

  async #join(near: Deno.Conn): Promise<void> {
    this.#open.add(near);
    const { after, cut } = this.#plan();
    let far: Deno.Conn;
    try {
      far = await Deno.connect({ hostname: "127.0.0.1", port: this.#target });
    } catch {
      return this.#close(near);
    }
    if (!this.#open.has(near)) return far.close();
    this.#open.add(far);
    let left = after;
    let isCut = false;
    const take = (bytes: number): number => {
      if (isCut) return 0;
      const passed = Math.min(bytes, left);
      left -= passed;
      return passed;
    };
    const check = () => {
      if (isCut || left > 0) return;
      isCut = true;
      this.#onCut();
      const isHalf = cut === "half-open there";
      if (cut !== "silence" && !isHalf) this.#close(near);
      if (cut === "close" || cut === "reset" || isHalf) this.#close(far);
    };
    await Promise.all([
      this.#pass(near, far, take, check, () => isCut),
      this.#pass(far, near, take, check, () => isCut),
    ]);
    if (isCut) return;
    this.#close(near);
    this.#close(far);
  }

  /** Passes bytes on; what comes after the cut is dropped. */
  async #pass(
    from: Deno.Conn,
    to: Deno.Conn,
    take: (bytes: number) => number,
    check: () => void,
    isCut: () => boolean,
  ): Promise<void> {
    const buffer = new Uint8Array(16 * 1024);
    try {
      for (;;) {
        const size = await from.read(buffer);
        if (size === null) {
          // After the cut, the other end does not see this either.
          return isCut() ? undefined : await to.closeWrite();
        }
        const passed = take(size);
        for (let at = 0; at < passed;) {
          at += await to.write(buffer.subarray(at, passed));
        }
        check();
      }
    } catch {
      // It was cut, or one of its ends has gone.
    }
  }

  #close(conn: Deno.Conn): void {
    if (this.#open.delete(conn)) conn.close();
  }
}
