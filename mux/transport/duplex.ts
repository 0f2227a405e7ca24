import type { Duplex, Transport } from "../types.ts";

/** Drives a pair of web streams as a transport. It takes both locks. */
export function duplexTransport(duplex: Duplex): Transport {
  const reader = duplex.readable.getReader();
  const writer = duplex.writable.getWriter();
  // Both are awaited where they are used; their closing promises are not.
  reader.closed.catch(() => {});
  writer.closed.catch(() => {});
  let closed = false;
  return {
    async read() {
      const { done, value } = await reader.read();
      return done ? null : value;
    },
    async write(bytes) {
      // A stream may keep a chunk after its write has resolved.
      await writer.write(bytes.slice());
    },
    closeWrite: () => writer.close(),
    async close() {
      if (closed) return;
      closed = true;
      await Promise.allSettled([reader.cancel(), writer.abort()]);
    },
  };
}
