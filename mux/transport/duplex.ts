import type { Duplex } from "../types.ts";
import type { AbortableTransport } from "./types.ts";

/** Makes a transport of a pair of web streams, and locks both. */
export function duplexTransport(duplex: Duplex): AbortableTransport {
  const reader = duplex.readable.getReader();
  const writer = duplex.writable.getWriter();
  // Their errors come out of read() and write().
  reader.closed.catch(() => {});
  writer.closed.catch(() => {});
  /** The pending write. */
  let writing: PromiseWithResolvers<void> | undefined;
  let closing: Promise<void> | undefined;
  /** Streams of a program may take forever to close. */
  const aborted = Promise.withResolvers<void>();

  async function close(): Promise<void> {
    const ending = [reader.cancel()];
    if (writing === undefined) {
      // As with a socket, the peer reads a clean end after what was written.
      ending.push(writer.close());
    } else {
      // An abort waits for the pending write, possibly forever.
      writer.abort().catch(() => {});
      writing.reject(new TypeError("Cannot write: the transport was closed"));
    }
    await Promise.race([Promise.allSettled(ending), aborted.promise]);
  }

  return {
    async read() {
      const { done, value } = await reader.read();
      if (done) return null;
      // Types alone do not guarantee a stream of bytes.
      if (value instanceof Uint8Array) return value;
      throw new TypeError("Cannot read: the chunk is not a Uint8Array");
    },
    async write(bytes) {
      const current = writing = Promise.withResolvers<void>();
      // A stream may keep a chunk after its write has resolved.
      writer.write(bytes.slice()).then(current.resolve, current.reject);
      try {
        await current.promise;
      } finally {
        writing = undefined;
      }
    },
    closeWrite: () => writer.close(),
    close: () => closing ??= close(),
    abort() {
      void (closing ??= close());
      aborted.resolve();
    },
  };
}
