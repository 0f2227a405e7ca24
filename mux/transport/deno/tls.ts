import type { Transport } from "../../types.ts";
import type { TlsError } from "../../errors.ts";
import { untilAborted } from "../../../time_limit.ts";
import {
  advised,
  cut,
  isRefusal,
  noClientCertificate,
  refusalIn,
  refusedHandshake,
  tlsErrorOf,
} from "../node/tls/tls_errors.ts";
import { type ConnLike, connTransport } from "./conn.ts";

/**
 * Makes the handshake of a client by Deno's own TLS, which takes less time than
 * `node:tls`. It has no option that matters here: it trusts the authorities in
 * `caCerts` besides those of the runtime, and does not show the server's certificate.
 *
 * @param conn a connection of TCP without delay: that of `Deno.connectTls()` has one
 * @param hostname what the certificate is checked for
 * @param protocol what ALPN offers
 * @throws {TlsError} if the other end is not who it should be
 */
export async function startTls(
  conn: ConnLike,
  hostname: string,
  protocol: string,
  signal: AbortSignal,
): Promise<Transport> {
  let starting: Promise<Deno.TlsConn>;
  try {
    starting = Deno.startTls(conn as Deno.TcpConn, {
      hostname,
      alpnProtocols: [protocol],
    });
  } catch (error) {
    conn.close();
    throw error;
  }
  const tls = await untilAborted(starting, signal);
  try {
    await untilAborted(tls.handshake().then(() => tls), signal);
  } catch (error) {
    tls.close();
    throw signal.aborted ? error : handshakeError(error);
  }
  return refusable(connTransport(tls, failureOf));
}

/** Lets the first bytes be a refusal, which a server sends after the handshake. */
function refusable(transport: Transport): Transport {
  const read = transport.read.bind(transport);
  transport.read = async () => {
    const bytes = await read();
    transport.read = read;
    const refusal = bytes === null ? undefined : refusalIn(bytes);
    if (refusal !== undefined) throw refusal;
    return bytes;
  };
  return transport;
}

function handshakeError(cause: unknown): Error {
  if (cause instanceof Deno.errors.UnexpectedEof) {
    return new Error(
      "the server ended the connection during the TLS handshake, so it may not speak TLS",
      { cause },
    );
  }
  return advised(refusalOr(cause));
}

/** The error for one of the runtime; an alert about a certificate wants one. */
function refusalOr(cause: unknown): Error {
  const error = tlsErrorOf(cause);
  const { code } = error as Partial<TlsError>;
  // The client has none that could be bad.
  if (code === "bad-certificate" && /fatal alert/.test(`${cause}`)) {
    return noClientCertificate(cause);
  }
  if (code !== "handshake-failed" || !isRefusal(cause)) return error;
  // TLS 1.2 has one alert for both, and Deno does not tell how far it came.
  return refusedHandshake(
    "it may demand a client certificate, or both may have no cipher in common",
    cause,
  );
}

/** The error for one after the handshake. */
function failureOf(cause: unknown): unknown {
  return cause instanceof Deno.errors.UnexpectedEof ||
      cause instanceof Deno.errors.ConnectionReset
    ? cut(cause)
    : refusalOr(cause);
}
