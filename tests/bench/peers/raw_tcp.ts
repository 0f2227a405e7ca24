import type { DenoPeer } from "../peer.ts";
import { connectTcp, listenTcp, writeAll } from "./tcp.ts";

/** Bytes of one message, there and back: about what a small call takes. */
const MESSAGE_SIZE = 32;
/** The first byte says what the connection is for. */
const PING = 1, DISCARD = 2;

/**
 * Sockets without any protocol: what the machine and the runtime allow. A call
 * is a message of 32 bytes echoed, one at a time; bytes are written and read
 * with `conn.write()` and `conn.read()`.
 */
const peer: DenoPeer = {
  serve() {
    return Promise.resolve(listenTcp(async (conn) => {
      const buffer = new Uint8Array(256 * 1024);
      // One byte and no more: the first message may be right behind it.
      await conn.read(buffer.subarray(0, 1));
      if (buffer[0] === PING) return await echo(conn, buffer);
      let counted = 0;
      for (;;) {
        const read = await conn.read(buffer);
        if (read === null) break;
        counted += read;
      }
      const reply = new TextEncoder().encode(String(counted));
      await writeAll(conn, reply);
    }));
  },
  async connect(address) {
    const conn = await connectTcp(address);
    await writeAll(conn, Uint8Array.of(PING));
    const message = new Uint8Array(MESSAGE_SIZE);
    const buffer = new Uint8Array(MESSAGE_SIZE);
    return {
      async call(value) {
        message[0] = value;
        await writeAll(conn, message);
        for (let at = 0; at < MESSAGE_SIZE;) {
          const read = await conn.read(buffer.subarray(at));
          if (read === null) throw new Error("The connection ended");
          at += read;
        }
        return buffer[0];
      },
      async send(bytes, chunk) {
        using bulk = await connectTcp(address);
        await writeAll(bulk, Uint8Array.of(DISCARD));
        for (let left = bytes; left > 0; left -= chunk.length) {
          await writeAll(bulk, chunk.subarray(0, left));
        }
        await bulk.closeWrite();
        return Number(await new Response(bulk.readable).text());
      },
      close: () => conn.close(),
    };
  },
};
export default peer;

async function echo(conn: Deno.Conn, buffer: Uint8Array): Promise<void> {
  for (;;) {
    const read = await conn.read(buffer);
    if (read === null) return;
    await writeAll(conn, buffer.subarray(0, read));
  }
}
