import { nextPass } from "../../flow/turns.ts";
import { requiredModule } from "./builtin.ts";
import type { NodeSocket } from "./sockets.ts";

/** What is used of a `stream.Duplex`. */
interface Duplex {
  on(event: string, listener: (...args: never[]) => void): unknown;
  push(chunk: Uint8Array | null): boolean;
  destroy(error?: Error): unknown;
}

/** What is used of `node:stream`. */
interface StreamModule {
  Duplex: new (options: object) => Duplex;
}

/** A socket as a stream that TLS runs on, whose end can be told. */
export interface Middle {
  /** The stream for TLS. */
  readonly stream: object;
  /** Whether the socket has ended before TLS did, by a message of its own. */
  readonly truncated: boolean;
  /** Bytes that have arrived. */
  readonly received: number;
  /** Names what runs on it, once that exists. */
  runs(tls: object): void;
}

/**
 * Puts a stream between a socket and TLS. On a socket itself, TLS ends in the same
 * way whether the other end said so (`close_notify`) or the connection was cut: Node,
 * Bun and Deno do not tell. Here, the end of TLS comes before that of the socket
 * if it was said.
 */
export function middleOf(socket: NodeSocket): Middle {
  const { Duplex } = requiredModule<StreamModule>("node:stream");
  let tls: { _readableState?: { ended: boolean }; readableEnded?: boolean } =
    {};
  let truncated = false;
  let received = 0;
  const stream = new Duplex({
    allowHalfOpen: true,
    read: () => void socket.resume(),
    write: (bytes: Uint8Array, _: unknown, done: (error?: unknown) => void) =>
      void socket.write(bytes, done),
    final: (done: (error?: unknown) => void) => void socket.end(done),
    destroy(error: unknown, done: (error?: unknown) => void) {
      socket.destroy();
      done(error);
    },
  });
  // The first listener, so that it looks before TLS hears of this end.
  stream.on("end", () => {
    truncated = !(tls._readableState?.ended ?? tls.readableEnded);
  });
  socket.on("data", (bytes: Uint8Array) => {
    received += bytes.length;
    if (!stream.push(bytes)) socket.pause();
  });
  // TLS may decrypt what came last in a turn of its own.
  let ended = false;
  socket.on("end", () => {
    ended = true;
    void nextPass().then(() => stream.push(null));
  });
  socket.on("error", (error: Error) => stream.destroy(error));
  // What came before an end is still to be read.
  socket.on("close", () => {
    if (!ended) stream.destroy();
  });
  return {
    stream,
    get truncated() {
      return truncated;
    },
    get received() {
      return received;
    },
    runs: (what) => tls = what,
  };
}
