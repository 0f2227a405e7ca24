/**
 * Sockets as pairs of streams of which each ends on its own.
 *
 * @module
 */

/** A pair of byte streams. */
export interface BytePair {
  /** Bytes from it. */
  readonly readable: ReadableStream<Uint8Array>;
  /** Bytes to it. */
  readonly writable: WritableStream<Uint8Array>;
}

/** The methods of a `Deno.Conn`. */
export interface Socket {
  /** Resolves to the number of bytes read, `null` at the end. */
  read(into: Uint8Array): Promise<number | null>;
  /** Resolves to the number of bytes written. */
  write(bytes: Uint8Array): Promise<number>;
  /** Ends the writing direction. */
  closeWrite(): Promise<void>;
  /** Ends both directions. */
  close(): void;
}

/** Bytes to read at once. */
const READ_SIZE = 64 * 1024;

/** Whether an object has the methods of a socket. */
export function isSocket<T extends object>(
  value: T,
): value is T & Socket {
  const { read, write, closeWrite, close } = value as Partial<Socket>;
  return [read, write, closeWrite, close].every((method) =>
    typeof method === "function"
  );
}

/** The streams of a socket. */
export interface SocketStreams extends BytePair {
  /** Closes the socket, if it is still open. */
  close(): void;
}

/**
 * Makes streams that use the methods of a socket. The socket's own streams close
 * both directions when either ends (denoland/deno#22258, #27510), which loses
 * the bytes of the other direction.
 *
 * The streams do not close the socket: call `close()` when both have ended.
 */
export function socketStreams(socket: Socket): SocketStreams {
  return {
    readable: new ReadableStream<Uint8Array>({
      async pull(controller) {
        const buffer = new Uint8Array(READ_SIZE);
        const size = await socket.read(buffer);
        if (size === null) controller.close();
        else controller.enqueue(buffer.subarray(0, size));
      },
    }, { highWaterMark: 0 }),
    writable: new WritableStream<Uint8Array>({
      async write(bytes) {
        for (let at = 0; at < bytes.length;) {
          at += await socket.write(bytes.subarray(at));
        }
      },
      close: () => socket.closeWrite(),
    }),
    close() {
      try {
        socket.close();
      } catch {
        // It is closed already.
      }
    },
  };
}
