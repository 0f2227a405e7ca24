/**
 * Messages between two ends, as the hand-written protocol sends them: all that
 * gathered in a turn goes at once, whatever carries it.
 *
 * @module
 */
import type { Transport } from "../measures.ts";
import { startWorker } from "../peer.ts";
import { connectPipe, listenPipes, type Pipe } from "./sockets.ts";
import { listenWebSocket, openWebSocket } from "./websocket.ts";

/** A request, or the reply to the one of the same id. */
export interface Message {
  id: number;
  method?: string;
  value: unknown;
}

/** One end. */
export interface Link {
  send(message: Message): void;
  close(): void;
}

/** What comes, and where a reply goes. */
export type Take = (message: Message, link: Link) => void;

/** Characters above which a message of Deno's WebSocket client stalls. */
const SOCKET_LIMIT = 1_024;

/** Takes what comes by any link; resolves to the address to connect to. */
export async function listenLinks(
  transport: Transport,
  take: Take,
): Promise<string> {
  switch (transport) {
    case "ws":
      return listenWebSocket((socket) => socketLink(socket, Infinity, take));
    case "worker":
      portLink(self as unknown as MessagePort, () => {}, take);
      return transport;
    default:
      return await listenPipes(transport, (pipe) => pipeLink(pipe, take).ended);
  }
}

/** Connects to what {@linkcode listenLinks} returned, of the peer `file`. */
export async function connectLink(
  address: string,
  file: string,
  take: Take,
): Promise<Link> {
  if (address.startsWith("ws:")) {
    return socketLink(await openWebSocket(address), SOCKET_LIMIT, take);
  }
  if (address === "worker") {
    const worker = await startWorker(file);
    return portLink(worker, () => worker.terminate(), take);
  }
  const link = pipeLink(await connectPipe(address, file), take);
  link.ended.catch(() => {}); // It is closed.
  return link;
}

/** Hands what gathered in a turn to `flush`, in one piece. */
function gather(flush: (messages: Message[]) => void | Promise<void>) {
  let gathered: Message[] = [];
  let busy = false;
  async function flushAll() {
    while (gathered.length > 0) {
      const messages = gathered;
      gathered = [];
      await flush(messages);
    }
    busy = false;
  }
  return (message: Message) => {
    gathered.push(message);
    if (busy) return;
    busy = true;
    queueMicrotask(flushAll);
  };
}

/**
 * A link over a WebSocket.
 *
 * @param limit the most characters of a message
 */
export function socketLink(
  socket: Pick<WebSocket, "send" | "close" | "addEventListener">,
  limit: number,
  take: Take,
): Link {
  const send = gather((messages) => {
    let text = "";
    for (const message of messages) {
      const more = JSON.stringify(message);
      if (text.length + more.length + 2 > limit && text !== "") {
        socket.send(`[${text}]`);
        text = "";
      }
      text += text === "" ? more : `,${more}`;
    }
    socket.send(`[${text}]`);
  });
  const link = { send, close: () => socket.close() };
  socket.addEventListener("message", ({ data }) => {
    for (const message of JSON.parse(data)) take(message, link);
  });
  return link;
}

function portLink(
  port: Pick<MessagePort, "postMessage" | "addEventListener">,
  close: () => void,
  take: Take,
): Link {
  const link = {
    send: gather((messages) => port.postMessage(messages)),
    close,
  };
  port.addEventListener("message", ({ data }) => {
    for (const message of data) take(message, link);
  });
  return link;
}

/** A link over bytes, with the length of each message in front. */
export function pipeLink(
  pipe: Pipe,
  take: Take,
): Link & { ended: Promise<void> } {
  const writer = new MessageWriter(pipe);
  const link = {
    send: (message: Message) => writer.send(message),
    close: () => pipe.close(),
  };
  const ended = readMessages(pipe, (message) => take(message, link));
  return { ...link, ended };
}

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
