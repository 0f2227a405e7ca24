/**
 * Clients of a TCP server that sends back what it gets.
 *
 * @module
 */
import { within } from "./within.ts";

/** Milliseconds between two connections of a {@linkcode SteadyClient}. */
const PACE = 20;

/** Connects to the port and exchanges something; false if it was not served. */
export async function isServed(port: number, text: string): Promise<boolean> {
  let conn: Deno.TcpConn;
  try {
    conn = await Deno.connect({ hostname: "127.0.0.1", port });
  } catch {
    return false;
  }
  using _ = conn;
  try {
    const sent = new TextEncoder().encode(text);
    await conn.write(sent);
    await conn.closeWrite();
    let got = "";
    const buffer = new Uint8Array(1_024);
    for (;;) {
      const size = await within(conn.read(buffer), "the echo");
      if (size === null) return got === text;
      got += new TextDecoder().decode(buffer.subarray(0, size));
    }
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionReset) return false;
    throw error;
  }
}

/** A client that connects again and again, whatever becomes of it. */
export class SteadyClient implements AsyncDisposable {
  #over = false;
  #running: Promise<void> = Promise.resolve();
  #served = Promise.withResolvers<void>();
  /** The longest time between two that were, in milliseconds. */
  longest = 0;

  /** Starts to connect. */
  start(port: number): void {
    this.#running = this.#run(port);
  }

  /** Waits until it was served once more. */
  async servedAgain(): Promise<void> {
    await within(this.#served.promise, "the client to be served");
  }

  async #run(port: number): Promise<void> {
    let last = performance.now();
    while (!this.#over) {
      if (await isServed(port, "again")) {
        this.#served.resolve();
        this.#served = Promise.withResolvers();
        this.longest = Math.max(this.longest, performance.now() - last);
        last = performance.now();
      }
      await new Promise((resolve) => setTimeout(resolve, PACE));
    }
  }

  async [Symbol.asyncDispose]() {
    this.#over = true;
    await this.#running;
  }
}
