/**
 * What tests of QUIC share: a certificate for loopback, and pairs of connections
 * and sessions.
 *
 * @module
 */
import type { SessionOptions } from "../../mux/options.ts";
import { clientEndpoint, quicRuntime } from "../../mux/quic/endpoint.ts";
import { transportOptions } from "../../mux/quic/endpoint.ts";
import { FRAMED_PROTOCOL } from "../../mux/quic/protocol.ts";
import { QuicSession } from "../../mux/quic/session.ts";
import type { QuicConnLike, QuicRuntime } from "../../mux/quic/types.ts";
import {
  type Authority,
  type Credentials,
  makeAuthority,
} from "./certificates.ts";

/** A certificate, and the authority that has issued it. */
export interface LoopbackCertificate extends Credentials {
  readonly authority: Authority;
}

let made: Promise<LoopbackCertificate> | undefined;

/** The certificate of servers on loopback, made once for each file of tests. */
export function loopbackCertificate(): Promise<LoopbackCertificate> {
  return made ??= make();
}

async function make(): Promise<LoopbackCertificate> {
  const authority = await makeAuthority("Authority of tests");
  const names = ["localhost", "127.0.0.1"];
  return { authority, ...await authority.issue("CN=localhost", { names }) };
}

/** Both ends of a connection on loopback. */
export interface QuicPair<T> {
  /** The end that dialed. */
  near: T;
  /** The other one. */
  far: T;
  /** Closes both sockets, and the connection. */
  close(): void;
}

/** The QUIC of the runtime, for scripts that are at one end. */
export function runtimeQuic(): QuicRuntime {
  return quicRuntime();
}

/**
 * Connects two ends.
 *
 * @param protocol what they agree on
 * @param a the limits of a session at the near end
 * @param b the limits of one at the far end
 */
export async function quicConnections(
  protocol: string = FRAMED_PROTOCOL,
  a: SessionOptions = {},
  b: SessionOptions = {},
): Promise<QuicPair<QuicConnLike>> {
  const runtime = quicRuntime();
  const { cert, key, authority } = await loopbackCertificate();
  const server = new runtime.QuicEndpoint({ hostname: "127.0.0.1", port: 0 });
  const client = clientEndpoint(runtime)!;
  const alpnProtocols = [protocol];
  const listener = server.listen({
    cert,
    key,
    alpnProtocols,
    ...transportOptions(b),
  });
  const accepting = listener.incoming().then((incoming) => incoming.accept());
  const near = await runtime.connectQuic({
    ...server.addr,
    caCerts: [authority.cert],
    alpnProtocols,
    endpoint: client,
    ...transportOptions(a),
  });
  return {
    near,
    far: await accepting,
    close() {
      client.close();
      server.close();
    },
  };
}

/** Connects two sessions; the parameters are those of {@linkcode quicConnections}. */
export async function quicSessions(
  protocol: string = FRAMED_PROTOCOL,
  a: SessionOptions = {},
  b: SessionOptions = {},
): Promise<QuicPair<QuicSession>> {
  const { near, far, close } = await quicConnections(protocol, a, b);
  return {
    near: new QuicSession(near, a),
    far: new QuicSession(far, b),
    close,
  };
}
