/**
 * Connections with TLS by `node:tls`, which Deno and Bun have as well. Deno's own is
 * faster, but its clients trust the authorities of the runtime besides those in `ca` and
 * do not show the server's certificate, and its listeners cannot ask clients for
 * certificates.
 *
 * @module
 */
import { timeLimit } from "../../../../time_limit.ts";
import type { TlsInfo } from "../../types.ts";
import type { NodeServer, NodeSocket } from "../sockets.ts";
import { NodeTransport, systemError } from "../streams.ts";
import { certificateOf, type NodeCertificate } from "./certificate.ts";
import type { Middle } from "./middle.ts";
import { cut, refusalIn, tlsErrorOf } from "./tls_errors.ts";

/** What is used of a `tls.TLSSocket`. */
export interface TlsSocket extends NodeSocket {
  readonly authorized: boolean;
  readonly authorizationError?: unknown;
  readonly alpnProtocol: string | false | null;
  getPeerCertificate(): NodeCertificate | null | undefined;
  getProtocol?(): string | null;
}

/** What is used of a `tls.Server`. */
export interface TlsServer extends NodeServer {
  emit(event: string, argument: unknown): unknown;
  removeAllListeners(event: string): unknown;
}

/** What is used of `node:tls`. */
export interface TlsModule {
  connect(options: object): TlsSocket;
  checkServerIdentity(
    host: string,
    certificate: NodeCertificate,
  ): Error | undefined;
  createServer(options: object): TlsServer;
}

/** The protocol of sessions, for ALPN. */
export const PROTOCOL = "qtalk";
/**
 * Bytes of small frames that leave early. A write costs some 70 µs at both ends
 * together: with 64 calls in flight, this is 1.10 to 1.15 times as fast as 2 KiB. On one
 * core, 16 KiB is 1.23 times as fast as this, but on two 0.72 (tests/bench/LOG.md).
 */
const EARLY_WRITE = 4 * 1024;
/** Milliseconds to write the end of TLS. */
const END_TIME = 1_000;

/** A transport over TLS whose handshake is over. */
export function transportOf(
  tls: TlsSocket,
  socket: NodeSocket,
  middle: Middle,
  isClient: boolean,
): NodeTransport {
  return new NodeTransport(tls, tls, {
    startKeepAlive: () => void socket.setKeepAlive(true),
    // In Deno, a TLS socket that is paused when the other end ends may never end.
    flow: middle,
    flushed: () => middle.flushed(),
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
export async function endGently(tls: TlsSocket): Promise<void> {
  const closed = Promise.withResolvers<void>();
  const cancel = timeLimit(END_TIME, closed.resolve);
  tls.on("close", closed.resolve);
  tls.end(() => closed.resolve());
  await closed.promise;
  cancel();
  tls.destroy();
}

/** What is known of the TLS of a connection. */
export function infoOf(tls: TlsSocket): TlsInfo {
  return {
    alpnProtocol: tls.alpnProtocol || null,
    version: tls.getProtocol?.() ?? undefined,
    peerCertificate: certificateOf(tls.getPeerCertificate()),
  };
}

/** The error of options that the runtime refuses. */
export function optionError(cause: unknown): TypeError {
  const { message } = cause as Error;
  return new TypeError(`the options of TLS are not valid: ${message}`, {
    cause,
  });
}

/** The error of a connection that ended before its handshake did. */
export function endedEarly({ received }: Middle): Error {
  return new Error(
    received === 0
      ? "the server ended the connection without an answer, so it may not speak TLS"
      : "the connection ended during the TLS handshake",
  );
}
