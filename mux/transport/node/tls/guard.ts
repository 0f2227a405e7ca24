import { timeLimit } from "../../../../time_limit.ts";
import { TlsError } from "../../../errors.ts";
import { nextPass } from "../../../flow/turns.ts";
import { Handshakes } from "../../handshakes.ts";
import type {
  Accepted,
  HandshakeLimit,
  TlsListenOptions,
} from "../../types.ts";
import { requiredModule } from "../builtin.ts";
import { type NodeSocket, remoteAddrOf } from "../sockets.ts";
import { certificateOf } from "./certificate.ts";
import {
  endedEarly,
  infoOf,
  MIN_VERSION,
  optionError,
  type TlsModule,
  type TlsServer,
  type TlsSocket,
  transportOf,
} from "./connection.ts";
import { type Middle, middleOf } from "./middle.ts";
import { alertOf, refusalText, serverErrorOf } from "./tls_errors.ts";
import { credentialsOf, pinsOf } from "./tls_options.ts";

/** Milliseconds that a client has to read why it is refused. */
const REFUSAL_TIME = 1_000;

/** Takes the connections that a {@linkcode Guard} has secured. */
export interface SecuredConnections {
  /** Takes one. */
  push(accepted: Accepted): void;
}

/** Makes the handshakes of a listener. */
export class Guard {
  readonly #options: TlsListenOptions;
  readonly #clientCert: "none" | "optional" | "required";
  readonly #pins: readonly string[] | undefined;
  readonly #serverOptions: object;
  readonly #handshake: HandshakeLimit;
  /** Servers of Node without a handshake: their events do not tell of which. */
  readonly #idle: TlsServer[] = [];
  readonly #handshakes = new Handshakes();

  /**
   * Checks the options.
   *
   * @throws {TypeError} if one of them is missing or not valid
   */
  constructor(
    protocol: string,
    options: TlsListenOptions | undefined,
    handshake: HandshakeLimit,
  ) {
    if (options?.cert === undefined || options.key === undefined) {
      throw new TypeError('the options "tls.cert" and "tls.key" are missing');
    }
    const { clientCert = "none", minVersion = MIN_VERSION } = options;
    if (!["none", "optional", "required"].includes(clientCert)) {
      throw new TypeError(
        `Cannot use option "tls.clientCert": "${clientCert}" is not "none", "optional" or "required"`,
      );
    }
    const trusted = [options.ca ?? [], options.pin ?? []].flat(2);
    if (clientCert !== "none" && trusted.length === 0) {
      // The runtime would trust every certificate of a public CA.
      throw new TypeError(
        'Cannot use option "tls.clientCert" without "tls.ca" or "tls.pin": no client would be trusted',
      );
    }
    if (options.clientCert === undefined && trusted.length > 0) {
      // A server that names trusted clients is not meant to accept all.
      throw new TypeError(
        'Cannot use option "tls.ca" or "tls.pin" without "tls.clientCert": no client would be asked for a certificate',
      );
    }
    this.#options = options;
    this.#clientCert = clientCert;
    this.#pins = pinsOf(options.pin);
    this.#handshake = handshake;
    this.#serverOptions = {
      ...credentialsOf(options),
      ALPNProtocols: [protocol],
      minVersion,
      allowHalfOpen: true,
      requestCert: clientCert !== "none",
      // See Guard.#problemOf().
      rejectUnauthorized: false,
      handshakeTimeout: 2 ** 31 - 1,
    };
    // The first one finds out whether the options are valid.
    this.#idle.push(this.#newServer());
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
    const middle = middleOf(socket);
    try {
      const client = await this.#secure(socket, middle);
      const problem = this.#problemOf(client);
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

  #newServer(): TlsServer {
    const { createServer } = requiredModule<TlsModule>("node:tls");
    try {
      return createServer(this.#serverOptions);
    } catch (error) {
      throw optionError(error);
    }
  }

  async #secure(socket: NodeSocket, middle: Middle): Promise<TlsSocket> {
    const server = this.#idle.pop() ?? this.#newServer();
    const ready = Promise.withResolvers<TlsSocket>();
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
    this.#idle.push(server);
    return client;
  }

  /** What is wrong with a client; undefined if nothing is. */
  #problemOf(client: TlsSocket): TlsError | undefined {
    if (this.#clientCert === "none") return undefined;
    const certificate = certificateOf(client.getPeerCertificate());
    if (certificate === undefined) {
      return this.#clientCert === "optional" ? undefined : new TlsError(
        "no-client-certificate",
        "the client has no certificate",
      );
    }
    const { fingerprint, subject } = certificate;
    if (this.#pins?.includes(fingerprint)) return undefined;
    if (this.#options.ca !== undefined && client.authorized) return undefined;
    return new TlsError(
      "wrong-client-certificate",
      `the client certificate is not trusted: "${subject}" with the fingerprint "${fingerprint}"`,
    );
  }
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
