/**
 * A relay of TCP connections that can be cut.
 *
 * @module
 */

/** Passes connections on to a port, until they are cut. */
export class Relay implements Disposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #connections = new Set<Deno.Conn>();
  readonly #target: () => number | string;
  #isClosed = false;
  /** Connections there were. */
  accepted = 0;
  /** Bytes from the target that were passed on. */
  passed = 0;
  /** Called when some were. */
  onPassed: () => void = () => {};

  /** Relays to a port, or to the path of a Unix socket. */
  constructor(target: () => number | string) {
    this.#target = target;
    void this.#run();
  }

  /** The port to connect to. */
  get port(): number {
    return (this.#listener.addr as Deno.NetAddr).port;
  }

  /** Cuts all connections. */
  cut(): void {
    for (const conn of this.#connections) conn.close();
    this.#connections.clear();
  }

  [Symbol.dispose](): void {
    if (!this.#isClosed) this.#listener.close();
    this.#isClosed = true;
    this.cut();
  }

  async #run(): Promise<void> {
    try {
      for await (const near of this.#listener) {
        this.accepted++;
        void this.#join(near);
      }
    } catch {
      // It was closed.
    }
  }

  async #join(near: Deno.Conn): Promise<void> {
    this.#connections.add(near);
    let far: Deno.Conn;
    try {
      const target = this.#target();
      far = typeof target === "string"
        ? await Deno.connect({ transport: "unix", path: target })
        : await Deno.connect({ hostname: "127.0.0.1", port: target });
    } catch {
      return this.#end(near);
    }
    if (!this.#connections.has(near)) return far.close();
    this.#connections.add(far);
    await Promise.all([
      this.#pass(near, far, () => {}),
      this.#pass(far, near, (bytes) => {
        this.passed += bytes;
        this.onPassed();
      }),
    ]);
    this.#end(near);
    this.#end(far);
  }

  async #pass(
    from: Deno.Conn,
    to: Deno.Conn,
    count: (bytes: number) => void,
  ): Promise<void> {
    const buffer = new Uint8Array(64 * 1024);
    try {
      for (;;) {
        const size = await from.read(buffer);
        if (size === null) return await to.closeWrite();
        for (let at = 0; at < size;) {
          at += await to.write(buffer.subarray(at, size));
        }
        count(size);
      }
    } catch {
      // It was cut, or one of its ends has gone.
      this.#end(from);
      this.#end(to);
    }
  }

  #end(conn: Deno.Conn): void {
    if (this.#connections.delete(conn)) conn.close();
  }
}
