import { untilAborted } from "../../time_limit.ts";
import type { SchemeOptions } from "../transport/types.ts";
import {
  pinsOf,
  readPem,
  serverNameOf,
} from "../transport/node/tls/tls_options.ts";
import { QuicConnection } from "./connection.ts";
import { hashOf } from "./certificate_hash.ts";
import { clientEndpoint, quicRuntime, transportOptions } from "./endpoint.ts";
import { handshakeError } from "./errors.ts";
import { PROTOCOLS } from "./protocol.ts";
import type { QuicConnectTerms, QuicConnLike } from "./types.ts";

/**
 * Connects to a server. It may be one of qtalk-go, which may open `2 * maxChannels + 8`
 * streams, because their number is set before the server chooses the dialect.
 *
 * @param place the host and the port
 * @param signal aborts the attempt
 * @param options the certificates to trust, the socket to use, and the limits of the
 * session
 * @throws {QuicError} if there is no QUIC, or no answer
 * @throws {TlsError} if the server is not who it should be
 * @throws {TypeError} if an option is not valid
 */
export async function connectQuic(
  place: { hostname: string; port: number },
  signal: AbortSignal,
  options: SchemeOptions = {},
): Promise<QuicConnection> {
  const runtime = quicRuntime();
  const trust = trustOf(options);
  const { session = {}, endpoint } = options;
  const own = endpoint === undefined ? clientEndpoint(runtime) : undefined;
  const socket = endpoint ?? own;
  const connecting = runtime.connectQuic({
    ...place,
    ...trust,
    ...transportOptions(session),
    alpnProtocols: [...PROTOCOLS],
    ...(socket !== undefined && { endpoint: socket }),
  });
  try {
    const conn = await untilAborted(connecting, signal);
    if (own !== undefined) closeAfter(conn, () => own.close());
    return new QuicConnection(conn, session);
  } catch (error) {
    own?.close();
    if (signal.aborted) throw signal.reason;
    throw handshakeError(error, trust.serverCertificateHashes !== undefined);
  }
}

/** Which certificates to trust, as options of Deno. */
function trustOf(
  { tls = {} }: SchemeOptions,
): Pick<
  QuicConnectTerms,
  "caCerts" | "serverCertificateHashes" | "serverName"
> {
  if (tls.cert !== undefined || tls.key !== undefined) {
    throw new TypeError(
      'Cannot use option "tls.cert" with quic: Deno cannot ask clients for certificates',
    );
  }
  const pins = pinsOf(tls.pin);
  const { ca, serverName } = tls;
  return {
    ...(serverName !== undefined && { serverName: serverNameOf(serverName) }),
    ...(ca !== undefined &&
      { caCerts: [ca].flat().map((pem) => readPem(pem, "ca")) }),
    ...(pins !== undefined && { serverCertificateHashes: pins.map(hashOf) }),
  };
}

/** Calls back when a connection has ended. */
function closeAfter(conn: QuicConnLike, callback: () => void): void {
  conn.closed.then(callback, callback);
}
