/**
 * TLS by `node:tls`, which Deno and Bun have as well. Deno's own is faster, but its
 * clients trust the authorities of the runtime besides those in `ca` and do not show
 * the server's certificate, and its listeners cannot ask clients for certificates.
 *
 * @module
 */
import "../../../internal.ts"; // Keeps bundles in few chunks.
import { Handshakes } from "../../handshakes.ts";
import { nextPass } from "../../../flow/turns.ts";
import { timeLimit } from "../../../../time_limit.ts";
import { TlsError } from "../../../errors.ts";
import type {
  Accepted,
  HandshakeLimit,
  Scheme,
  TlsDialOptions,
  TlsInfo,
  TlsListenOptions,
  TlsVersion,
  TransportListener,
} from "../../types.ts";
import { builtinModule, requiredModule } from "../builtin.ts";
import {
  certificateOf,
  isForAddress,
  type NodeCertificate,
} from "./certificate.ts";
import { type Middle, middleOf } from "./middle.ts";
import {
  connectSocket,
  type ListenPlace,
  NodeListener,
  type NodeServer,
  type NodeSocket,
  remoteAddrOf,
  remotePlace,
  tcpPlace,
} from "../sockets.ts";
import { NodeTransport, systemError } from "../streams.ts";
import { credentialsOf, pinsOf } from "./tls_options.ts";
import {
  alertOf,
  clientErrorOf,
  cut,
  refusalIn,
  refusalText,
  serverErrorOf,
  tlsErrorOf,
} from "./tls_errors.ts";

/** What is used of a `tls.TLSSocket`. */
interface TlsSocket extends NodeSocket {
  readonly authorized: boolean;
  readonly authorizationError?: unknown;
  readonly alpnProtocol: string | false | null;
  getPeerCertificate(): NodeCertificate | null | undefined;
  getProtocol?(): string | null;
}

/** What is used of a `tls.Server`. */
interface TlsServer extends NodeServer {
  emit(event: string, argument: unknown): unknown;
  removeAllListeners(event: string): unknown;
}

/** What is used of `node:tls`. */
interface TlsModule {
  connect(options: object): TlsSocket;
  checkServerIdentity(
    host: string,
    certificate: NodeCertificate,
  ): Error | undefined;
  createServer(options: object): TlsServer;
}

/** The protocol of sessions, for ALPN. */
const PROTOCOL = "qtalk";
/** The default of `minVersion`. */
const MIN_VERSION: TlsVersion = "TLSv1.2";
/**
 * Bytes of small frames that leave early. A write costs some 70 µs at both ends
 * together: with 64 calls in flight, this is 1.10 to 1.15 times as fast as 2 KiB. On one
 * core, 16 KiB is 1.23 times as fast as this, but on two 0.72 (tests/bench/LOG.md).
 */
const EARLY_WRITE = 4 * 1024;
/** Milliseconds to write the end of TLS. */
const END_TIME = 1_000;
/** Milliseconds that a client has to read why it is refused. */
const REFUSAL_TIME = 1_000;
/** The time of a handshake, unless a program says. */
const HANDSHAKE: HandshakeLimit = { timeout: 30_000, onTimeout() {} };

/** `tls://host:port`. */
export const tls: Scheme = {
  async connect(rest, signal, { tls } = {}) {
    return await connectTls(remotePlace("tls", rest), tls, signal);
  },
  listen(rest, { tls, reusePort } = {}, handshake) {
    const place = { ...tcpPlace("tls", rest), reusePort };
    return listenTls(place, "tls", PROTOCOL, tls, handshake);
  },
};

// --- Clients -----------------------------------------------------------------

/**
 * Connects, and makes sure that the other end is who it should be.
 *
 * @throws {TlsError} if it is not, or does not speak TLS
 * @throws {TypeError} if an option is not valid
 */
export async function connectTls(
  place: { host: string; port: number },
  options: TlsDialOptions = {},
  signal: AbortSignal,
  protocol: string = PROTOCOL,
): Promise<NodeTransport> {
  const { serverName = place.host } = options;
  // Checked first: a connection that was made would have to be closed.
  const terms = termsOf({ ...options, serverName }, protocol);
  const socket = await connectSocket(place, signal);
  return await secureClient(socket, terms, signal);
}

/**
 * Makes the handshake of a client on a connection that there is already.
 *
 * @param socket the connection, which belongs to the transport
 * @throws {TlsError} if the other end is not who it should be
 * @throws {TypeError} if an option is not valid
 */
export async function tlsOver(
  socket: NodeSocket,
  options: TlsDialOptions & { serverName: string },
  signal: AbortSignal,
  protocol: string,
): Promise<NodeTransport> {
  return await secureClient(socket, termsOf(options, protocol), signal);
}

/** What a client needs for a handshake. */
interface ClientTerms {
  readonly module: TlsModule;
  readonly pins: readonly string[] | undefined;
  readonly serverName: string;
  readonly minVersion: TlsVersion;
  readonly credentials: { cert?: string };
  readonly protocol: string;
}

function termsOf(
  options: TlsDialOptions & { serverName: string },
  protocol: string,
): ClientTerms {
  return {
    module: requiredModule<TlsModule>("node:tls"),
    pins: pinsOf(options.pin),
    serverName: options.serverName,
    minVersion: options.minVersion ?? MIN_VERSION,
    credentials: credentialsOf(options),
    protocol,
  };
}

async function secureClient(
  socket: NodeSocket,
  { module, pins, serverName, minVersion, credentials, protocol }: ClientTerms,
  signal: AbortSignal,
): Promise<NodeTransport> {
  socket.setNoDelay(true);
  const middle = middleOf(socket);
  let client: TlsSocket;
  try {
    client = module.connect({
      socket: middle.stream,
      ...credentials,
      // The name that a certificate is checked for. An address is not sent.
      host: serverName,
      ...(!isAddress(serverName) && { servername: serverName }),
      ALPNProtocols: [protocol],
      minVersion,
      allowHalfOpen: true,
      checkServerIdentity: (host: string, certificate: NodeCertificate) =>
        isForAddress(certificate, serverName)
          ? undefined
          : module.checkServerIdentity(host, certificate),
      // What is wrong is found below, in the same way in every runtime.
      rejectUnauthorized: false,
    });
  } catch (error) {
    socket.destroy();
    throw optionError(error);
  }
  middle.runs(client);
  const hasCertificate = credentials.cert !== undefined;
  await secured(client, socket, middle, hasCertificate, signal);
  const problem = problemOf(client, pins);
  if (problem !== undefined) {
    await endGently(client);
    throw problem;
  }
  return transportOf(client, socket, middle, true);
}

/** Waits for the end of a handshake; closes the connection if it fails. */
async function secured(
  tls: TlsSocket,
  socket: NodeSocket,
  middle: Middle,
  hasCertificate: boolean,
  signal: AbortSignal,
): Promise<void> {
  const ready = Promise.withResolvers<void>();
  const onAbort = () => ready.reject(signal.reason);
  tls.on("secureConnect", ready.resolve);
  tls.on("error", (error: unknown) => ready.reject(error));
  // TLS tells first why it has closed the connection, if it knows.
  const onClose = () =>
    void nextPass().then(() => ready.reject(endedEarly(middle)));
  tls.on("close", onClose);
  socket.on("close", onClose);
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    await ready.promise;
  } catch (error) {
    tls.destroy();
    if (signal.aborted) throw error;
    const { code } = error as { code?: unknown };
    throw code === "ECONNRESET"
      ? endedEarly(middle)
      : clientErrorOf(error, middle.received, hasCertificate);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

function endedEarly({ received }: Middle): Error {
  return new Error(
    received === 0
      ? "the server ended the connection without an answer, so it may not speak TLS"
      : "the connection ended during the TLS handshake",
  );
}

/** What is wrong with the server of a client; undefined if nothing is. */
function problemOf(
  client: TlsSocket,
  pins: readonly string[] | undefined,
): Error | undefined {
  const certificate = certificateOf(client.getPeerCertificate());
  const fingerprint = certificate?.fingerprint;
  if (pins !== undefined) {
    if (pins.includes(fingerprint!)) return undefined;
    return new TlsError(
      "wrong-fingerprint",
      `the certificate is not one of option "tls.pin": its fingerprint is "${fingerprint}"`,
    );
  }
  if (client.authorized) return undefined;
  const { authorizationError } = client;
  const code = (authorizationError as Error & { code?: string } | null)?.code ??
    String(authorizationError);
  const names = certificate?.names.join(", ") || "no names";
  const error = tlsErrorOf({
    code,
    message: `the certificate is for another name: it has ${names}`,
  });
  // Not every runtime looks at the time before it looks at the issuer.
  const now = new Date();
  if (certificate !== undefined && certificate.validTo < now) {
    return new TlsError("expired", "the certificate has expired");
  }
  if (certificate !== undefined && certificate.validFrom > now) {
    return new TlsError("not-yet-valid", "the certificate is not valid yet");
  }
  if (error instanceof TlsError) {
    return error.code !== "unknown-issuer" ? error : new TlsError(
      error.code,
      `${error.message}: option "tls.ca" adds it, or "tls.pin" trusts "${fingerprint}"`,
    );
  }
  return new TlsError(
    "bad-certificate",
    `the certificate is not valid: ${code}`,
  );
}

// --- Servers -----------------------------------------------------------------

/**
 * Listens with TLS.
 *
 * @param place the host and the port, and whether others may listen there
 * @param scheme of the address of the listener
 * @param protocol what ALPN offers
 * @param options the certificate, and which clients are welcome
 * @param handshake limits the time of a handshake
 * @throws {TypeError} if an option is missing or not valid
 */
export async function listenTls(
  place: ListenPlace,
  scheme: string,
  protocol: string,
  options: TlsListenOptions | undefined,
  handshake: HandshakeLimit = HANDSHAKE,
): Promise<TransportListener> {
  const net = requiredModule<{
    createServer(
      options: object,
      listener: (socket: NodeSocket) => void,
    ): NodeServer;
  }>("node:net");
  const guard = new Guard(protocol, options, handshake);
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

// --- Both --------------------------------------------------------------------

function transportOf(
  tls: TlsSocket,
  socket: NodeSocket,
  middle: Middle,
  isClient: boolean,
): NodeTransport {
  return new NodeTransport(tls, tls, {
    startKeepAlive: () => void socket.setKeepAlive(true),
    // In Deno, a TLS socket that is paused when the other end ends may never end.
    flow: middle,
    endFailure: () => middle.truncated ? cut() : undefined,
    failureOf(error) {
      const { code } = error as { code?: unknown };
      // For TCP, a reset may be a clean end. Here it is none that was said.
      return code === "ECONNRESET" ? cut() : tlsErrorOf(systemError(error));
    },
    closeGently: () => endGently(tls),
    earlyWrite: EARLY_WRITE,
    ...isClient && { refusalIn },
  });
}

/** Tells the other side that this one ends TLS, and closes the connection. */
async function endGently(tls: TlsSocket): Promise<void> {
  const closed = Promise.withResolvers<void>();
  const cancel = timeLimit(END_TIME, closed.resolve);
  tls.on("close", closed.resolve);
  tls.end(() => closed.resolve());
  await closed.promise;
  cancel();
  tls.destroy();
}

/** What is known of the TLS of a connection. */
function infoOf(tls: TlsSocket): TlsInfo {
  return {
    alpnProtocol: tls.alpnProtocol || null,
    version: tls.getProtocol?.() ?? undefined,
    peerCertificate: certificateOf(tls.getPeerCertificate()),
  };
}

function optionError(cause: unknown): TypeError {
  const { message } = cause as Error;
  return new TypeError(`the options of TLS are not valid: ${message}`, {
    cause,
  });
}

function isAddress(host: string): boolean {
  const net = builtinModule<{ isIP(host: string): number }>("node:net");
  return net?.isIP(host) !== 0;
}
