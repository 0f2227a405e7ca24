import type { DenoPeer } from "../peer.ts";
import { connectPipe, listenPipes, type Pipe } from "./sockets.ts";

/** A request, or the reply to the one of the same id. */
interface Message {
  id: number;
  method?: string;
  value: unknown;
}

/**
 * The least that an RPC can be: JSON with a length in front, a map of ids to
 * who waits, all that gathered in a turn written at once. No flow control, no
 * streams, no limits.
 */
const peer: DenoPeer = {
  serve(transport) {
    return Promise.resolve(listenPipes(transport, (pipe) => {
      const writer = new MessageWriter(pipe);
      return readMessages(pipe, ({ id, value }) => {
        // The one method there is.
        writer.send({ id, value });
      });
    }));
  },
  async connect(address) {
    const pipe = await connectPipe(address, "id_map");
    const writer = new MessageWriter(pipe);
    const waiting = new Map<number, (value: unknown) => void>();
    let nextId = 0;
    readMessages(pipe, ({ id, value }) => {
      waiting.get(id)?.(value);
      waiting.delete(id);
    }).catch(() => {}); // It is closed.
    return {
      call: (value) =>
        new Promise((resolve) => {
          const id = nextId++;
          waiting.set(id, resolve);
          writer.send({ id, method: "echo", value });
        }),
      close: () => pipe.close(),
    };
  },
};
export default peer;

/** Writes at once what was sent in one turn. */
class MessageWriter {
  readonly #pipe: Pipe;
  readonly #encoder = new TextEncoder();
  #gathered: Uint8Array[] = [];
  #busy = false;

  constructor(pipe: Pipe) {
    this.#pipe = pipe;
  }

  send(message: Message): void {
    this.#gathered.push(this.#encoder.encode(JSON.stringify(message)));
    if (this.#busy) return;
    this.#busy = true;
    queueMicrotask(() => void this.#flush());
  }

  async #flush(): Promise<void> {
    while (this.#gathered.length > 0) {
      const messages = this.#gathered;
      this.#gathered = [];
      let size = 0;
      for (const message of messages) size += 4 + message.length;
      const out = new Uint8Array(size);
      const view = new DataView(out.buffer);
      let at = 0;
      for (const message of messages) {
        view.setUint32(at, message.length);
        out.set(message, at + 4);
        at += 4 + message.length;
      }
      await this.#pipe.write(out);
    }
    this.#busy = false;
  }
}

/** Reads messages to the end of the pipe. */
async function readMessages(
  pipe: Pipe,
  take: (message: Message) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  let buffer = new Uint8Array(64 * 1024);
  let length = 0;
  for (;;) {
    const bytes = await pipe.read();
    if (bytes === null) return;
    if (length + bytes.length > buffer.length) {
      const grown = new Uint8Array(2 * (length + bytes.length));
      grown.set(buffer.subarray(0, length));
      buffer = grown;
    }
    buffer.set(bytes, length);
    length += bytes.length;
    const view = new DataView(buffer.buffer);
    let at = 0;
    while (length - at >= 4 && length - at >= 4 + view.getUint32(at)) {
      const end = at + 4 + view.getUint32(at);
      take(JSON.parse(decoder.decode(buffer.subarray(at + 4, end))));
      at = end;
    }
    buffer.copyWithin(0, at, length);
    length -= at;
  }
}
