import { timeLimit } from "../../../../time_limit.ts";
import { TlsError } from "../../../errors.ts";
import { nextPass } from "../../../flow/turns.ts";
import { Handshakes } from "../../handshakes.ts";
import type {
  Accepted,
  HandshakeLimit,
  TlsListenOptions,
  TlsRenewal,
} from "../../types.ts";
import { type NodeSocket, remoteAddrOf } from "../sockets.ts";
import {
  endedEarly,
  infoOf,
  type TlsSocket,
  transportOf,
} from "./connection.ts";
import { expecting, isHello } from "./first_bytes.ts";
import { type Middle, middleOf } from "./middle.ts";
import { alertOf, refusalText, serverErrorOf } from "./tls_errors.ts";
import { RenewedTerms } from "./renewed_terms.ts";
import type { ServerTerms } from "./server_terms.ts";

/** Milliseconds that a client has to read why it is refused. */
const REFUSAL_TIME = 1_000;

/** Takes the connections that a {@linkcode Guard} has secured. */
export interface SecuredConnections {
  /** Takes one. */
  push(accepted: Accepted): void;
}

/** Makes the handshakes of a listener. */
export class Guard {
  readonly #terms: RenewedTerms;
  readonly #handshake: HandshakeLimit;
  readonly #handshakes = new Handshakes();

  /**
   * Checks the options.
   *
   * @param renewal where the options of later connections come from, if they change
   * @throws {TypeError} if one of them is missing or not valid
   */
  constructor(
    protocol: string,
    options: TlsListenOptions | undefined,
    handshake: HandshakeLimit,
    renewal?: TlsRenewal,
  ) {
    this.#terms = new RenewedTerms(protocol, options, renewal);
    this.#handshake = handshake;
  }

  /** Makes a handshake, and passes the connection on. */
  async shake(
    socket: NodeSocket,
    accepting: SecuredConnections,
  ): Promise<void> {
    const remoteAddr = remoteAddrOf(socket);
    socket.setNoDelay(true);
    const { timeout, onTimeout, onFailure } = this.#handshake;
    let late = false;
    /** Ends a refusal, which is all that is left to do then. */
    let endRefusal: (() => void) | undefined;
    const handshake = this.#handshakes.begin(() => {
      if (endRefusal !== undefined) return endRefusal();
      late = true;
      socket.destroy();
    });
    const cancel = timeLimit(timeout, () => {
      handshake.giveUp();
      onTimeout(remoteAddr);
    });
    const ready = Promise.withResolvers<TlsSocket>();
    const middle = middleOf(socket, expecting(isHello, ready));
    try {
      const terms = this.#terms.current();
      const client = await secured(socket, middle, terms, ready);
      const problem = terms.problemOf(client);
      if (problem === undefined) {
        const info = infoOf(client);
        const transport = transportOf(client, socket, middle, false);
        accepting.push({ transport, remoteAddr, tls: info });
      } else {
        onFailure?.(problem, remoteAddr);
        cancel();
        const ended = Promise.withResolvers<void>();
        endRefusal = ended.resolve;
        await refuse(client, refusalText(problem.code), ended);
      }
    } catch (error) {
      // That a connection ended early is no more than that of others.
      if (!late && error instanceof TlsError) {
        onFailure?.(error, remoteAddr);
        cancel();
        const ended = Promise.withResolvers<void>();
        endRefusal = ended.resolve;
        const alert = middle.sent === 0 ? alertOf(error.code) : undefined;
        await refuse(socket, alert, ended);
      }
      // Otherwise Bun keeps what TLS has of a client that ended, for
      // `handshakeTimeout` of the server: a timer, the stream and the socket.
      middle.stream.destroy();
      socket.destroy();
    } finally {
      cancel();
      handshake.finish();
    }
  }

  /** Ends the handshakes. */
  close(): void {
    this.#handshakes.giveUpAll();
  }
}

/**
 * Makes the handshake of a server.
 *
 * @param ready settled with it, or earlier if it can only fail
 */
async function secured(
  socket: NodeSocket,
  middle: Middle,
  terms: ServerTerms,
  ready: PromiseWithResolvers<TlsSocket>,
): Promise<TlsSocket> {
  const server = terms.takeServer();
  server.on("secureConnection", ready.resolve);
  server.on("tlsClientError", (error: unknown, client?: NodeSocket) => {
    client?.on("error", () => {});
    ready.reject(serverErrorOf(error, middle.sent));
  });
  const onClose = () =>
    void nextPass().then(() => ready.reject(endedEarly(middle)));
  socket.on("close", onClose);
  middle.stream.on("close", onClose);
  // A client that ends first, such as a check of a port, makes no handshake.
  middle.stream.on("end", onClose);
  server.emit("connection", middle.stream);
  const client = await ready.promise;
  middle.runs(client);
  client.on("error", () => {});
  server.removeAllListeners("secureConnection");
  server.removeAllListeners("tlsClientError");
  terms.giveBack(server);
  return client;
}

/**
 * Tells a client why it is refused, and closes the connection.
 *
 * @param socket the connection, or TLS on it
 * @param reason what is still to be sent, if anything is
 * @param ended resolves when the client has heard; to resolve it ends the wait
 */
async function refuse(
  socket: NodeSocket,
  reason: Uint8Array | undefined,
  ended: PromiseWithResolvers<void>,
): Promise<void> {
  const cancel = timeLimit(REFUSAL_TIME, ended.resolve);
  // To close a socket with unread bytes resets it, and the reason could be lost.
  socket.on("end", ended.resolve);
  socket.on("close", ended.resolve);
  socket.resume();
  if (reason !== undefined) socket.write(reason, () => {});
  socket.end(() => {});
  await ended.promise;
  cancel();
  socket.destroy();
}
