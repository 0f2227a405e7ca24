import { nextPass } from "../../../flow/turns.ts";
import { requiredModule } from "../builtin.ts";
import type { NodeSocket } from "../sockets.ts";
import { HEAD_SIZE } from "./first_bytes.ts";

/** What is used of a `stream.Duplex`. */
interface Duplex {
  readonly writableLength: number;
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
  readonly stream: {
    on(event: "close" | "end", listener: () => void): unknown;
    destroy(): unknown;
  };
  /** Whether the socket has ended before TLS did, by a message of its own. */
  readonly truncated: boolean;
  /** Bytes that have arrived. */
  readonly received: number;
  /** Bytes that TLS has written. */
  readonly sent: number;
  /**
   * Names what runs on it, once that exists. From then on, the socket is closed with
   * the stream. Before, a server may have to say first why it closes the socket.
   */
  runs(tls: object): void;
  /**
   * Resolves when the system has what TLS has written; undefined if it has, or if TLS
   * itself waits for that. Bun's says that a write is done when it is encrypted.
   */
  flushed(): Promise<void> | undefined;
  /** Takes no more bytes from the socket. */
  pause(): void;
  /** Takes bytes from the socket again. */
  resume(): void;
}

/**
 * Puts a stream between a socket and TLS. On a socket itself, TLS ends in the same
 * way whether the other end said so (`close_notify`) or the connection was cut: Node,
 * Bun and Deno do not tell. Here, the end of TLS comes before that of the socket
 * if it was said.
 *
 * It costs more than anything else in TLS: without it, Deno makes 1.2 to 1.3 times as
 * many calls with 64 in flight, and moves 1.4 to 1.5 times as many bytes. A stream with
 * fewer layers on the same socket gains nothing (tests/bench/LOG.md).
 *
 * @param isExpected whether TLS may see the first bytes of the other end
 */
export function middleOf(
  socket: NodeSocket,
  isExpected: (bytes: Uint8Array) => boolean,
): Middle {
  const { Duplex } = requiredModule<StreamModule>("node:stream");
  let tls: { _readableState?: { ended: boolean }; readableEnded?: boolean } =
    {};
  let truncated = false;
  let received = 0;
  let isForeign = false;
  let isPaused = false;
  let sent = 0;
  let ownsSocket = false;
  let destroyed = false;
  let flushing: PromiseWithResolvers<void> | undefined;
  const isBun = "Bun" in globalThis;
  /** What is called at the end of a write. */
  const after = (done: (error?: unknown) => void) => {
    if (!isBun) return done;
    return (error?: unknown) => {
      done(error);
      if (error || stream.writableLength > 0) return;
      flushing?.resolve();
      flushing = undefined;
    };
  };
  const stream = new Duplex({
    allowHalfOpen: true,
    read() {
      if (!isPaused) socket.resume();
    },
    write(bytes: Uint8Array, _: unknown, done: (error?: unknown) => void) {
      sent += bytes.length;
      socket.write(bytes, after(done));
    },
    // Node's TLS passes a record on in several pieces. Each would be a packet.
    writev(
      pieces: { chunk: Uint8Array }[],
      done: (error?: unknown) => void,
    ) {
      socket.cork();
      pieces.forEach(({ chunk }, i) => {
        sent += chunk.length;
        // The last piece fails if another one does.
        socket.write(chunk, i < pieces.length - 1 ? () => {} : after(done));
      });
      socket.uncork();
    },
    final(done: (error?: unknown) => void) {
      if (ownsSocket) return void socket.end(done);
      done();
      void nextPass().then(() => socket.end(() => {}));
    },
    destroy(error: unknown, done: (error?: unknown) => void) {
      destroyed = true;
      if (ownsSocket) socket.destroy();
      done(error);
    },
  });
  // The first listener, so that it looks before TLS hears of this end.
  stream.on("end", () => {
    truncated = !(tls._readableState?.ended ?? tls.readableEnded);
  });
  socket.on("data", (bytes: Uint8Array) => {
    isForeign ||= received < HEAD_SIZE && !isExpected(bytes);
    received += bytes.length;
    if (destroyed || isForeign) return;
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
    get sent() {
      return sent;
    },
    runs(what) {
      tls = what;
      ownsSocket = true;
      if (destroyed) socket.destroy();
    },
    flushed() {
      if (!isBun || stream.writableLength === 0) return undefined;
      flushing ??= Promise.withResolvers();
      return flushing.promise;
    },
    pause() {
      isPaused = true;
      socket.pause();
    },
    resume() {
      isPaused = false;
      socket.resume();
    },
  };
}
