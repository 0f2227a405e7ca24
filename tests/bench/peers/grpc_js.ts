import { Buffer } from "node:buffer";
import type { DenoPeer } from "../peer.ts";
import { loadNpm } from "./npm.ts";
import { unixAddress } from "./sockets.ts";

/** How one method travels. */
interface Method {
  path: string;
  requestStream: boolean;
  responseStream: boolean;
  requestSerialize(value: unknown): Buffer;
  requestDeserialize(bytes: Buffer): unknown;
  responseSerialize(value: unknown): Buffer;
  responseDeserialize(bytes: Buffer): unknown;
}

type Callback = (error: Error | null, value?: unknown) => void;

/** A call of the client that streams its arguments. */
interface Upload {
  write(chunk: Uint8Array): boolean;
  once(event: "drain", callback: () => void): void;
  end(): void;
}

/** What is used of npm `@grpc/grpc-js`. */
interface Grpc {
  Server: new () => {
    addService(service: Record<string, Method>, methods: object): void;
    bindAsync(
      address: string,
      credentials: unknown,
      done: (error: Error | null, port: number) => void,
    ): void;
  };
  ServerCredentials: { createInsecure(): unknown };
  credentials: { createInsecure(): unknown };
  makeGenericClientConstructor(
    service: Record<string, Method>,
    name: string,
  ): new (address: string, credentials: unknown) => {
    Echo(value: unknown, done: Callback): void;
    Discard(done: Callback): Upload;
    close(): void;
  };
}

const grpc = await loadNpm<Grpc>("@grpc/grpc-js@1.14.7");

function method(name: string, requestStream: boolean): Method {
  const toJson = (value: unknown) => Buffer.from(JSON.stringify(value));
  const fromJson = (bytes: Buffer): unknown => JSON.parse(bytes.toString());
  const asBuffer = (chunk: unknown) => {
    const { buffer, byteOffset, length } = chunk as Uint8Array<ArrayBuffer>;
    return Buffer.from(buffer, byteOffset, length);
  };
  return {
    path: `/bench.Bench/${name}`,
    requestStream,
    responseStream: false,
    requestSerialize: requestStream ? asBuffer : toJson,
    requestDeserialize: requestStream ? asBuffer : fromJson,
    responseSerialize: toJson,
    responseDeserialize: fromJson,
  };
}

const service = {
  Echo: method("Echo", false),
  Discard: method("Discard", true),
};

/** gRPC over HTTP/2, in JavaScript; JSON, so that no schema is compiled. */
const peer: DenoPeer = {
  serve(transport) {
    const server = new grpc.Server();
    server.addService(service, {
      Echo: ({ request }: { request: unknown }, done: Callback) =>
        done(null, request),
      async Discard(call: AsyncIterable<Uint8Array>, done: Callback) {
        let bytes = 0;
        for await (const chunk of call) bytes += chunk.length;
        done(null, bytes);
      },
    });
    return new Promise((resolve, reject) => {
      const path = transport === "unix" ? `unix:${unixAddress()}` : undefined;
      server.bindAsync(
        path ?? "127.0.0.1:0",
        grpc.ServerCredentials.createInsecure(),
        (error, port) =>
          error ? reject(error) : resolve(path ?? `127.0.0.1:${port}`),
      );
    });
  },
  connect(address) {
    const Client = grpc.makeGenericClientConstructor(service, "Bench");
    const client = new Client(address, grpc.credentials.createInsecure());
    return Promise.resolve({
      call: (value) => settle((done) => client.Echo(value, done)),
      send: (bytes, chunk) =>
        settle<number>(async (done) => {
          const upload = client.Discard(done);
          for (let left = bytes; left > 0; left -= chunk.length) {
            if (upload.write(chunk.subarray(0, left))) continue;
            await new Promise<void>((resolve) => upload.once("drain", resolve));
          }
          upload.end();
        }),
      close: () => client.close(),
    });
  },
};
export default peer;

/** A promise for what Node's callbacks tell. */
function settle<T>(start: (done: Callback) => void): Promise<T> {
  return new Promise((resolve, reject) =>
    start((error, value) => error ? reject(error) : resolve(value as T))
  );
}
