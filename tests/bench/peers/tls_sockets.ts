/**
 * TLS between two processes as raw peers use it: by `node:tls`, since Deno's own
 * delays the second of two small writes.
 *
 * @module
 */
import type { AddressInfo } from "node:net";
import tls from "node:tls";
import { nodePipe } from "./node_pipe.ts";
import type { Pipe } from "./sockets.ts";

/** Certificates for 127.0.0.1, and of who signed them. */
const FOLDER = new URL("../../support/tls/", import.meta.url);

/** What the server shows, and whom the client trusts. */
export function credentials(): { cert: string; key: string; ca: string } {
  const [cert, key, ca] = ["cert", "key", "ca"].map((name) =>
    Deno.readTextFileSync(new URL(`${name}.pem`, FOLDER))
  ) as [string, string, string];
  return { cert, key, ca };
}

/** Serves every connection; resolves to the address. */
export function listenTls(handle: (pipe: Pipe) => void): Promise<string> {
  const { cert, key } = credentials();
  const options = { cert, key, allowHalfOpen: true };
  const server = tls.createServer(options, (socket) => {
    handle(nodePipe(socket));
  });
  return new Promise((resolve) => {
    server.listen({ host: "127.0.0.1", port: 0 }, () => {
      const { port } = server.address() as AddressInfo;
      resolve(`tls://127.0.0.1:${port}`);
    });
  });
}

/** Connects to what {@linkcode listenTls} resolved to. */
export function connectTls(address: string): Promise<Pipe> {
  const { port } = new URL(address);
  const { ca } = credentials();
  return new Promise((resolve, reject) => {
    const options = {
      ...{ host: "127.0.0.1", port: Number(port), ca, allowHalfOpen: true },
    };
    const socket = tls.connect(options, () => resolve(nodePipe(socket)));
    socket.on("error", reject);
  });
}
