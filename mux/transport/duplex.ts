import type { Duplex, Transport } from "../types.ts";

/** Drives a pair of web streams as a transport. It takes both locks. */
export function duplexTransport(duplex: Duplex): Transport {
  const reader = duplex.readable.getReader();
  const writer = duplex.writable.getWriter();
  // Both are awaited where they are used; their closing promises are not.
  reader.closed.catch(() => {});
  writer.closed.catch(() => {});
  /** The write under way. */
  let writing: PromiseWithResolvers<void> | undefined;
  let closing: Promise<void> | undefined;

  async function close(): Promise<void> {
    const ending = [reader.cancel()];
    if (writing === undefined) {
      // As with a socket, the other end reads a clean end of what it got.
      ending.push(writer.close());
    } else {
      // An abort waits for the write under way, and that may be for ever.
      writer.abort().catch(() => {});
      writing.reject(new TypeError("Cannot write: transport was closed"));
    }
    await Promise.allSettled(ending);
  }

  return {
    async read() {
      const { done, value } = await reader.read();
      if (done) return null;
      // Types do not keep a stream of something else away from here.
      if (value instanceof Uint8Array) return value;
      throw new TypeError("Cannot read: chunk is not a Uint8Array");
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
  };
}
