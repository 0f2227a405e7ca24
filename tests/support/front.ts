import { pass } from "../conformance/relay.ts";
import { connTransport } from "../../mux/transport/deno/conn.ts";

/**
 * An address that stays while the servers it leads to come and go: it accepts
 * TCP connections and passes their bytes on, so that no port has to be released
 * and bound again. What it cannot pass on it closes.
 */
export class Front implements AsyncDisposable {
  /** The port of the server that is there now; undefined if there is none. */
  target: number | undefined;
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #serving: Promise<void>;
  readonly #passing = new Set<Promise<void>>();

  /** Starts to accept. */
  constructor() {
    this.#serving = this.#serve();
  }

  /** The port that stays. */
  get port(): number {
    return this.#listener.addr.port;
  }

  async #serve(): Promise<void> {
    for await (const conn of this.#listener) {
      const passing = this.#pass(conn).finally(() =>
        this.#passing.delete(passing)
      );
      this.#passing.add(passing);
    }
  }

  async #pass(conn: Deno.TcpConn): Promise<void> {
    const near = connTransport(conn);
    try {
      if (this.target === undefined) return;
      const port = this.target;
      const far = connTransport(
        await Deno.connect({ hostname: "127.0.0.1", port }),
      );
      // When either end goes away, the other hears of it at once.
      await Promise.race([pass(near, far), pass(far, near)]);
      await far.close();
    } catch {
      // The server is gone, which closes the connection.
    } finally {
      await near.close();
    }
  }

  /** Stops accepting, once its connections have ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#serving;
    await Promise.all(this.#passing);
  }
}
