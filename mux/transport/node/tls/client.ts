import "../../../internal.ts"; // Keeps bundles in few chunks.
import { TlsError } from "../../../errors.ts";
import { nextPass } from "../../../flow/turns.ts";
import type { TlsDialOptions, TlsVersion } from "../../types.ts";
import { builtinModule, requiredModule } from "../builtin.ts";
import { connectSocket, type NodeSocket } from "../sockets.ts";
import type { NodeTransport } from "../streams.ts";
import {
  certificateOf,
  isForAddress,
  type NodeCertificate,
  problemOfTime,
} from "./certificate.ts";
import {
  endedEarly,
  endGently,
  optionError,
  PROTOCOL,
  type TlsModule,
  type TlsSocket,
  transportOf,
} from "./connection.ts";
import { expecting, isAnswer } from "./first_bytes.ts";
import { type Middle, middleOf } from "./middle.ts";
import { clientErrorOf, tlsErrorOf } from "./tls_errors.ts";
import {
  credentialsOf,
  minVersionOf,
  pinsOf,
  serverNameOf,
} from "./tls_options.ts";

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
  // A certificate has no zone.
  const { serverName = place.host.replace(/%.*/, "") } = options;
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
    serverName: serverNameOf(options.serverName),
    minVersion: minVersionOf(options.minVersion),
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
  const ready = Promise.withResolvers<void>();
  const middle = middleOf(socket, expecting(isAnswer, ready));
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
  await secured(client, socket, middle, hasCertificate, signal, ready);
  const problem = problemOf(client, pins);
  if (problem !== undefined) {
    await endGently(client);
    throw problem;
  }
  return transportOf(client, socket, middle, true);
}

/**
 * Waits for the end of a handshake; closes the connection if it fails.
 *
 * @param ready settled with it, or earlier if it can only fail
 */
async function secured(
  tls: TlsSocket,
  socket: NodeSocket,
  middle: Middle,
  hasCertificate: boolean,
  signal: AbortSignal,
  ready: PromiseWithResolvers<void>,
): Promise<void> {
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
  const time = certificate && problemOfTime(certificate);
  if (time !== undefined) {
    return new TlsError(time[0], `the certificate ${time[1]}`);
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

function isAddress(host: string): boolean {
  const net = builtinModule<{ isIP(host: string): number }>("node:net");
  return net?.isIP(host) !== 0;
}
