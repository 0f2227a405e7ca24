import type { DenoPeer } from "../peer.ts";
import { connectPipe, listenPipes, type Pipe } from "./sockets.ts";

/** Bytes of one message, there and back: about what a small call takes. */
const MESSAGE_SIZE = 32;
/** A pipe begins with what it is for, and a number of bytes. */
const ECHO = 1, DISCARD = 2, SOURCE = 3;
const HEADER_SIZE = 9;

/**
 * Sockets and pipes without any protocol: what the machine and the runtime
 * allow. A call is a message of 32 bytes echoed, one at a time; bytes are
 * written and read with `conn.write()` and `conn.read()`. A stream has a
 * connection of its own.
 */
const peer: DenoPeer = {
  serve: (transport) => listenPipes(transport, answer),
  async connect(address) {
    const pipe = await ask(address, ECHO);
    const message = new Uint8Array(MESSAGE_SIZE);
    return {
      async call(value) {
        message[0] = value as number;
        await pipe.write(message);
        let reply: Uint8Array | null = null;
        for (let got = 0; got < MESSAGE_SIZE; got += reply.length) {
          reply = await pipe.read();
          if (reply === null) throw new Error("The connection ended");
        }
        return value;
      },
      async send(bytes, chunk) {
        const pipe = await ask(address, DISCARD);
        await writeMany(pipe, bytes, chunk);
        const reply = await pipe.read();
        pipe.close();
        return Number(new TextDecoder().decode(reply!));
      },
      async receive(bytes, took) {
        const pipe = await ask(address, SOURCE, bytes);
        await readAll(pipe, took);
        pipe.close();
      },
      async echo(bytes, chunk) {
        const pipe = await ask(address, ECHO);
        let counted = 0;
        await Promise.all([
          writeMany(pipe, bytes, chunk),
          readAll(pipe, (size) => counted += size),
        ]);
        pipe.close();
        return counted;
      },
      close: () => pipe.close(),
    };
  },
};
export default peer;

async function ask(address: string, what: number, bytes = 0): Promise<Pipe> {
  const pipe = await connectPipe(address, "raw");
  const header = new DataView(new ArrayBuffer(HEADER_SIZE));
  header.setUint8(0, what);
  header.setFloat64(1, bytes);
  await pipe.write(new Uint8Array(header.buffer));
  return pipe;
}

async function answer(pipe: Pipe): Promise<void> {
  const first = await pipe.read();
  if (first === null) return;
  const header = new DataView(first.buffer, first.byteOffset, HEADER_SIZE);
  const rest = first.subarray(HEADER_SIZE);
  switch (header.getUint8(0)) {
    case ECHO: {
      if (rest.length > 0) await pipe.write(rest);
      for (;;) {
        const bytes = await pipe.read();
        if (bytes === null) break;
        await pipe.write(bytes);
      }
      return await pipe.closeWrite();
    }
    case DISCARD: {
      let counted = rest.length;
      await readAll(pipe, (size) => counted += size);
      return await pipe.write(new TextEncoder().encode(String(counted)));
    }
    case SOURCE:
      return await writeMany(
        pipe,
        header.getFloat64(1),
        new Uint8Array(64 * 1024),
      );
  }
}

async function writeMany(
  pipe: Pipe,
  bytes: number,
  chunk: Uint8Array,
): Promise<void> {
  for (let left = bytes; left > 0; left -= chunk.length) {
    await pipe.write(chunk.subarray(0, left));
  }
  await pipe.closeWrite();
}

async function readAll(
  pipe: Pipe,
  took: (size: number) => void,
): Promise<void> {
  for (;;) {
    const bytes = await pipe.read();
    if (bytes === null) return;
    took(bytes.length);
  }
}
