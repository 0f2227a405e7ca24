/**
 * A slow, distant link: a TCP relay on 127.0.0.1 that takes its time.
 *
 * @module
 */
import { LINK } from "./measures.ts";
import { writeAll } from "./peers/sockets.ts";

/** A relay that runs. */
export interface Relay extends Disposable {
  /** The address that it was made for, with its own port. */
  readonly address: string;
}

/** Milliseconds that a byte is under way, one way. */
const DELAY = LINK.roundTrip / 2;
/**
 * Bytes that the link holds, one way: those under way, and as many in a queue
 * in front of it, as routers have. What is more waits with its sender.
 */
const CAPACITY = 2 * LINK.rate * DELAY / 1_000;

/** Relays to `address`, whose last number is a port of 127.0.0.1. */
export function startRelay(address: string): Relay {
  const port = /\d+(?=\D*$)/;
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open = new Set<Deno.Conn>();
  (async () => {
    for await (const near of listener) {
      const far = await Deno.connect({
        hostname: "127.0.0.1",
        port: Number(port.exec(address)![0]),
      });
      for (const conn of [near, far]) {
        conn.setNoDelay(true);
        open.add(conn);
      }
      const end = () => {
        for (const conn of [near, far]) {
          if (open.delete(conn)) conn.close();
        }
      };
      // An end that breaks off is nothing to report: the other end will.
      Promise.all([pass(near, far), pass(far, near)]).catch(() => {})
        .finally(end);
    }
  })();
  return {
    address: address.replace(port, String(listener.addr.port)),
    [Symbol.dispose]() {
      listener.close();
      for (const conn of open) conn.close();
      open.clear();
    },
  };
}

/** Passes on what comes, each piece at its time, to the end of `from`. */
async function pass(from: Deno.TcpConn, to: Deno.TcpConn): Promise<void> {
  const link = new Link();
  async function fill(): Promise<void> {
    const buffer = new Uint8Array(64 * 1024);
    for (;;) {
      const read = await from.read(buffer);
      if (read === null) break;
      await link.put(buffer.slice(0, read));
    }
    await link.put(null);
  }
  async function drain(): Promise<void> {
    for (;;) {
      const bytes = await link.take();
      if (bytes === null) return await to.closeWrite();
      await writeAll(to, bytes);
    }
  }
  await Promise.all([fill(), drain()]);
}

/** What is under way in one direction; `null` is its end. */
class Link {
  #pieces: { bytes: Uint8Array | null; arrival: number }[] = [];
  #held = 0;
  /** When the last byte will have entered the link. */
  #free = 0;
  #changed = Promise.withResolvers<void>();

  async put(bytes: Uint8Array | null): Promise<void> {
    const size = bytes?.length ?? 0;
    while (this.#held > 0 && this.#held + size > CAPACITY) await this.#change();
    this.#free = Math.max(this.#free, performance.now()) +
      size / LINK.rate * 1_000;
    this.#pieces.push({ bytes, arrival: this.#free + DELAY });
    this.#held += size;
    this.#tell();
  }

  async take(): Promise<Uint8Array | null> {
    while (this.#pieces.length === 0) await this.#change();
    const { bytes, arrival } = this.#pieces[0]!;
    const wait = arrival - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    this.#pieces.shift();
    this.#held -= bytes?.length ?? 0;
    this.#tell();
    return bytes;
  }

  #change(): Promise<void> {
    return this.#changed.promise;
  }

  #tell(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}
