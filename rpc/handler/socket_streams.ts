/**
 * Sockets, as streams that end one direction at a time.
 *
 * @module
 */

/** A pair of byte streams, whatever else it is. */
export interface BytePair {
  /** Bytes from it. */
  readonly readable: ReadableStream<Uint8Array>;
  /** Bytes to it. */
  readonly writable: WritableStream<Uint8Array>;
}

/** What a `Deno.Conn` has besides its streams. */
export interface Socket {
  /** Resolves to how many bytes it read, `null` at the end. */
  read(into: Uint8Array): Promise<number | null>;
  /** Resolves to how many bytes it wrote. */
  write(bytes: Uint8Array): Promise<number>;
  /** Ends the writing side. */
  closeWrite(): Promise<void>;
  /** Ends both sides. */
  close(): void;
}

/** Bytes read at once. */
const READ_SIZE = 64 * 1024;

/** Whether something is a connection with calls of its own. */
export function isSocket<T extends object>(
  value: T,
): value is T & Socket {
  const { read, write, closeWrite, close } = value as Partial<Socket>;
  return [read, write, closeWrite, close].every((method) =>
    typeof method === "function"
  );
}

/** The streams of a connection, and what ends it. */
export interface ConnectionStreams extends BytePair {
  /** Closes the connection, if nobody has. */
  close(): void;
}

/**
 * Drives a connection by its own calls. The streams that it has close all of it
 * at the end of either direction (denoland/deno#22258, #27510), and what is
 * still under way in the other one is lost.
 *
 * Whoever asked for the streams closes it when both have ended.
 */
export function streamsOf(connection: Socket): ConnectionStreams {
  return {
    readable: new ReadableStream<Uint8Array>({
      async pull(controller) {
        const buffer = new Uint8Array(READ_SIZE);
        const size = await connection.read(buffer);
        if (size === null) controller.close();
        else controller.enqueue(buffer.subarray(0, size));
      },
    }, { highWaterMark: 0 }),
    writable: new WritableStream<Uint8Array>({
      async write(bytes) {
        for (let at = 0; at < bytes.length;) {
          at += await connection.write(bytes.subarray(at));
        }
      },
      close: () => connection.closeWrite(),
    }),
    close() {
      try {
        connection.close();
      } catch {
        // It is closed.
      }
    },
  };
}
