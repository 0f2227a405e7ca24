/**
 * Sessions over QUIC. Each channel is a stream of its own, so a channel that is
 * stalled, or has lost a packet, does not hold up the others.
 *
 * `dial()` and `listen()` of `@qtalk/qtalk` support QUIC with the scheme `quic:`,
 * in Deno with `--unstable-net`. This subpath is for programs that make their own
 * QUIC connections or endpoints: {@linkcode quicSession} makes a session from a
 * `Deno.QuicConn`, and with the option `endpoint`, `dial()` and `listen()` share
 * one UDP socket.
 *
 * @example One socket that listens and dials
 * ```ts ignore
 * import { dial, listen } from "@qtalk/qtalk";
 *
 * const endpoint = new Deno.QuicEndpoint({ hostname: "0.0.0.0", port: 4433 });
 * const listener = await listen("quic:", {
 *   endpoint,
 *   tls: { cert: "cert.pem", key: "key.pem" },
 *   handler: (call, respond) => respond.return(call.selector),
 * });
 * const peer = await dial("quic://example.com:4433", { endpoint });
 * ```
 *
 * @module
 */
export { QuicError, type QuicErrorCode } from "./errors.ts";
export { FRAMED_PROTOCOL, PLAIN_PROTOCOL } from "./protocol.ts";
export { quicSession } from "./session.ts";
export type {
  QuicAddrLike,
  QuicCloseInfoLike,
  QuicConnectTerms,
  QuicConnLike,
  QuicEndpointLike,
  QuicIncomingLike,
  QuicListenerLike,
  QuicListenTerms,
  QuicReceiveStreamLike,
  QuicRuntime,
  QuicSendStreamLike,
  QuicStreamLike,
  QuicTransportTerms,
} from "./types.ts";
