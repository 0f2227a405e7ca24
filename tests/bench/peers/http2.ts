import { Buffer } from "node:buffer";
import {
  type ClientHttp2Session,
  connect,
  constants,
  createServer,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import type { DenoPeer } from "../peer.ts";

const { HTTP2_HEADER_METHOD: METHOD, HTTP2_HEADER_PATH: PATH } = constants;

/** HTTP/2 without TLS, as `node:http2` has it: another mux with windows. */
const peer: DenoPeer = {
  serve() {
    const server = createServer();
    server.on("stream", (stream, headers) => {
      stream.on("error", () => {});
      stream.respond({ ":status": 200 });
      void answer(stream, String(headers[PATH]));
    });
    return new Promise((resolve) => {
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo;
        resolve(`http://127.0.0.1:${port}`);
      });
    });
  },
  async connect(address) {
    const session = connect(address);
    await new Promise<void>((resolve, reject) => {
      session.once("connect", () => resolve());
      session.once("error", reject);
    });
    return {
      async call(value) {
        const stream = post(session, "/echo");
        stream.end(JSON.stringify(value));
        return JSON.parse(await text(stream));
      },
      async send(bytes, chunk) {
        const stream = post(session, "/discard");
        await writeMany(stream, bytes, chunk);
        return Number(await text(stream));
      },
      async receive(bytes, took) {
        const stream = post(session, `/source?${bytes}`);
        stream.end();
        await readAll(stream, ({ length }) => took(length));
      },
      close: () => session.close(),
    };
  },
};
export default peer;

function post(session: ClientHttp2Session, path: string): Duplex {
  return session.request({ [METHOD]: "POST", [PATH]: path });
}

async function answer(stream: ServerHttp2Stream, path: string): Promise<void> {
  const [name, bytes] = path.split("?");
  if (name === "/echo") stream.end(await text(stream));
  if (name === "/source") {
    await writeMany(stream, Number(bytes), new Uint8Array(64 * 1024));
  }
  if (name === "/discard") {
    let counted = 0;
    await readAll(stream, ({ length }) => counted += length);
    stream.end(String(counted));
  }
}

async function writeMany(
  stream: Duplex,
  bytes: number,
  chunk: Uint8Array,
): Promise<void> {
  for (let left = bytes; left > 0; left -= chunk.length) {
    if (stream.write(chunk.subarray(0, left))) continue;
    await new Promise<void>((resolve) => stream.once("drain", resolve));
  }
  stream.end();
}

function readAll(stream: Duplex, took: (chunk: Buffer) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.on("data", took);
    stream.on("end", resolve);
    stream.on("error", reject);
  });
}

async function text(stream: Duplex): Promise<string> {
  const chunks: Buffer[] = [];
  await readAll(stream, (chunk) => chunks.push(chunk));
  return Buffer.concat(chunks).toString();
}
