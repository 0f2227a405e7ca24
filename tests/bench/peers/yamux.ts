import type { DenoPeer } from "../peer.ts";
import { loadNpm } from "./npm.ts";

/** Bytes in pieces. */
interface List {
  byteLength: number;
  subarray(): Uint8Array;
}

/** A yamux stream; iterating it ends with the other side's writing. */
interface Stream extends AsyncIterable<List> {
  /** Returns false if one should wait for the drain. */
  send(bytes: Uint8Array | List): boolean;
  onDrain(): Promise<void>;
  /** Ends this side's writing. */
  close(): Promise<void>;
}

interface Muxer {
  createStream(): Promise<Stream>;
  addEventListener(
    type: "stream",
    take: (event: { detail: Stream }) => void,
  ): void;
  close(): Promise<void>;
}

interface Multiaddr {
  toString(): string;
}

/** What libp2p makes of a connection; here, the connection itself. */
interface Upgrader {
  upgradeOutbound(connection: unknown): Promise<unknown>;
  upgradeInbound(connection: unknown): Promise<unknown>;
}

/** What is used of the npm packages of libp2p. */
interface Yamux {
  yamux(): () => { createStreamMuxer(connection: unknown): Muxer };
}
interface Tcp {
  tcp(): (components: { logger: unknown }) => {
    dial(
      address: Multiaddr,
      options: { upgrader: Upgrader; signal: AbortSignal },
    ): Promise<unknown>;
    createListener(options: { upgrader: Upgrader }): {
      listen(address: Multiaddr): Promise<void>;
      getAddrs(): Multiaddr[];
    };
  };
}
interface Logger {
  defaultLogger(): unknown;
}
interface Addresses {
  multiaddr(text: string): Multiaddr;
}

const [{ yamux }, { tcp }, { defaultLogger }, { multiaddr }] = await Promise
  .all([
    loadNpm<Yamux>("@chainsafe/libp2p-yamux@8.0.1"),
    loadNpm<Tcp>("@libp2p/tcp@11"),
    loadNpm<Logger>("@libp2p/logger@6"),
    loadNpm<Addresses>("@multiformats/multiaddr@13"),
  ]);

/** The connection as it is: neither encrypted nor negotiated. */
function upgrader(take: (connection: unknown) => void = () => {}): Upgrader {
  const upgrade = (connection: unknown) => {
    take(connection);
    return Promise.resolve(connection);
  };
  return { upgradeInbound: upgrade, upgradeOutbound: upgrade };
}

/** What a stream begins with, if it is not a value: JSON has no such byte. */
const DISCARD = 0, ECHO = 1;

/** The other JavaScript mux: libp2p's yamux over its TCP, a stream each call. */
const peer: DenoPeer = {
  async serve() {
    const listener = tcp()({ logger: defaultLogger() }).createListener({
      upgrader: upgrader((connection) => {
        yamux()().createStreamMuxer(connection)
          .addEventListener("stream", ({ detail }) => void answer(detail));
      }),
    });
    await listener.listen(multiaddr("/ip4/127.0.0.1/tcp/0"));
    return listener.getAddrs()[0]!.toString();
  },
  async connect(address) {
    const connection = await tcp()({ logger: defaultLogger() }).dial(
      multiaddr(address),
      { upgrader: upgrader(), signal: new AbortController().signal },
    );
    const muxer = yamux()().createStreamMuxer(connection);
    return {
      async call(value) {
        const stream = await muxer.createStream();
        stream.send(encode(value));
        void stream.close();
        return await decode(stream);
      },
      async send(bytes, chunk) {
        const stream = await muxer.createStream();
        stream.send(Uint8Array.of(DISCARD));
        await writeMany(stream, bytes, chunk);
        return await decode(stream) as number;
      },
      async echo(bytes, chunk) {
        const stream = await muxer.createStream();
        stream.send(Uint8Array.of(ECHO));
        const written = writeMany(stream, bytes, chunk);
        let counted = 0;
        for await (const list of stream) counted += list.byteLength;
        await written;
        return counted;
      },
      close: () => muxer.close(),
    };
  },
};
export default peer;

async function writeMany(
  stream: Stream,
  bytes: number,
  chunk: Uint8Array,
): Promise<void> {
  for (let left = bytes; left > 0; left -= chunk.length) {
    if (!stream.send(chunk.subarray(0, left))) await stream.onDrain();
  }
  void stream.close();
}

/** Echoes a value, counts bytes or echoes them, as the first byte says. */
async function answer(stream: Stream): Promise<void> {
  let size = 0;
  let text = "";
  let what: number | undefined;
  for await (const list of stream) {
    size += list.byteLength;
    if (what === ECHO) {
      if (!stream.send(list)) await stream.onDrain();
      continue;
    }
    const bytes = list.subarray();
    what ??= bytes[0]!;
    if (what === ECHO) stream.send(bytes.subarray(1));
    else if (what !== DISCARD) text += new TextDecoder().decode(bytes);
  }
  if (what !== ECHO) {
    stream.send(encode(what === DISCARD ? size - 1 : JSON.parse(text)));
  }
  await stream.close();
}

function encode(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

async function decode(stream: Stream): Promise<unknown> {
  let text = "";
  for await (const list of stream) {
    text += new TextDecoder().decode(list.subarray());
  }
  return JSON.parse(text);
}
