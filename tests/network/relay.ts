/** A TCP relay, as a proxy or a router is one, that may fall silent. */
export class Relay implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #conns = new Set<Deno.TcpConn>();
  readonly #done = new Set<Promise<void>>();
  /** What it does with bytes: passes them on, lets them wait, or drops them. */
  #state: "open" | "deaf" | "hole" | "closed" = "open";
  readonly #closed = Promise.withResolvers<void>();
  #accepting: Promise<void> | undefined;

  /** Passes connections on to a port of this machine; returns its own. */
  to(port: number): number {
    this.#accepting = this.#accept(port);
    return (this.#listener.addr as Deno.NetAddr).port;
  }

  /** From now on, nothing arrives. */
  fall(kind: "deaf" | "hole"): void {
    this.#state = kind;
  }

  async #accept(port: number): Promise<void> {
    try {
      for await (const near of this.#listener) {
        const far = await Deno.connect({ hostname: "127.0.0.1", port });
        this.#conns.add(near).add(far);
        this.#done.add(this.#pass(near, far)).add(this.#pass(far, near));
      }
    } catch {
      // It is closed.
    }
  }

  async #pass(from: Deno.TcpConn, to: Deno.TcpConn): Promise<void> {
    const buffer = new Uint8Array(64 * 1024);
    try {
      for (;;) {
        const read = await from.read(buffer);
        if (read === null) break;
        // What it has read when it falls silent is lost.
        if (this.#state === "deaf") await this.#closed.promise;
        for (let at = 0; at < read && this.#state === "open";) {
          at += await to.write(buffer.subarray(at, read));
        }
      }
    } catch {
      // One of the two ends has gone.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#state = "closed";
    this.#closed.resolve();
    this.#listener.close();
    for (const conn of this.#conns) conn.close();
    await Promise.all([this.#accepting, ...this.#done]);
  }
}
