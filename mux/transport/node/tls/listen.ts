import "../../../internal.ts"; // Keeps bundles in few chunks.
import type {
  HandshakeLimit,
  TlsListenOptions,
  TlsRenewal,
  TransportListener,
} from "../../types.ts";
import { requiredModule } from "../builtin.ts";
import {
  type ListenPlace,
  NodeListener,
  type NodeServer,
  type NodeSocket,
} from "../sockets.ts";
import { Guard } from "./guard.ts";

/** The time of a handshake, unless a program says. */
const HANDSHAKE: HandshakeLimit = { timeout: 30_000, onTimeout() {} };

/**
 * Listens with TLS.
 *
 * @param place the host and the port, and whether others may listen there
 * @param scheme of the address of the listener
 * @param protocol what ALPN offers
 * @param options the certificate, and which clients are welcome
 * @param handshake limits the time of a handshake
 * @param renewal where the options of later connections come from, if they change
 * @throws {TypeError} if an option is missing or not valid
 */
export async function listenTls(
  place: ListenPlace,
  scheme: string,
  protocol: string,
  options: TlsListenOptions | undefined,
  handshake: HandshakeLimit = HANDSHAKE,
  renewal?: TlsRenewal,
): Promise<TransportListener> {
  const net = requiredModule<{
    createServer(
      options: object,
      listener: (socket: NodeSocket) => void,
    ): NodeServer;
  }>("node:net");
  const guard = new Guard(protocol, options, handshake, renewal);
  const accepting = new NodeListener();
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    void guard.shake(socket, accepting);
  });
  await accepting.start(server, place, scheme);
  return {
    addr: accepting.addr,
    accept: () => accepting.accept(),
    close() {
      accepting.close();
      guard.close();
    },
  };
}
