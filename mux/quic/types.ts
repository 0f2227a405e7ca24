/**
 * The parts of Deno's QUIC that this package uses. They are declared here because
 * Deno has the API only with `--unstable-net`, and other runtimes do not have it.
 *
 * @module
 */

/** A `Deno.QuicReceiveStream`. */
export type QuicReceiveStreamLike = ReadableStream<Uint8Array<ArrayBuffer>>;

/** A `Deno.QuicSendStream`. */
export type QuicSendStreamLike = WritableStream<Uint8Array<ArrayBufferLike>>;

/** A `Deno.QuicBidirectionalStream`. */
export interface QuicStreamLike {
  /** Bytes from the peer. */
  readonly readable: QuicReceiveStreamLike;
  /** Bytes to the peer. */
  readonly writable: QuicSendStreamLike;
}

/** How a connection was closed: a `Deno.QuicCloseInfo`. */
export interface QuicCloseInfoLike {
  /** The code, for programs. */
  closeCode: number;
  /** The reason, as text. */
  reason: string;
}

/** An address: a `Deno.NetAddr`. */
export interface QuicAddrLike {
  /** The IP address. */
  readonly hostname: string;
  /** The UDP port. */
  readonly port: number;
}

/** A connection: a `Deno.QuicConn`. */
export interface QuicConnLike {
  /** The protocol that both sides agreed on by ALPN. */
  readonly protocol: string | undefined;
  /** The address of the other side. */
  readonly remoteAddr: QuicAddrLike;
  /** Resolves when either side has closed it; rejects when it was lost. */
  readonly closed: Promise<QuicCloseInfoLike>;
  /** The streams that the other side opens. */
  readonly incomingBidirectionalStreams: ReadableStream<QuicStreamLike>;
  /** The one-way streams that the other side opens. */
  readonly incomingUnidirectionalStreams: ReadableStream<QuicReceiveStreamLike>;
  /** Opens a stream. */
  createBidirectionalStream(
    options?: { waitUntilAvailable?: boolean },
  ): Promise<QuicStreamLike>;
  /** Opens a one-way stream. */
  createUnidirectionalStream(
    options?: { waitUntilAvailable?: boolean },
  ): Promise<QuicSendStreamLike>;
  /** Closes it at once. */
  close(info?: QuicCloseInfoLike): void;
}

/** A connection that has not been accepted yet: a `Deno.QuicIncoming`. */
export interface QuicIncomingLike {
  /** Performs the handshake. */
  accept(): QuicConnLike | Promise<QuicConnLike>;
  /** Refuses the connection, which the client learns. */
  refuse(): void;
}

/** Accepts connections: a `Deno.QuicListener`. */
export interface QuicListenerLike {
  /** The next connection; rejects once the listener is stopped. */
  incoming(): Promise<QuicIncomingLike>;
  /** Accepts no more connections. */
  stop(): void;
}

/** Limits of connections: `Deno.QuicTransportOptions`. */
export interface QuicTransportTerms {
  /** Milliseconds after which a silent connection sends a packet. */
  keepAliveInterval?: number;
  /** Milliseconds of silence after which a connection is lost; 0 for no limit. */
  maxIdleTimeout?: number;
  /** Streams that the other side may have open. */
  maxConcurrentBidirectionalStreams?: number;
  /** One-way streams that the other side may have open. */
  maxConcurrentUnidirectionalStreams?: number;
}

/** Options for connecting: `Deno.ConnectQuicOptions`. */
export interface QuicConnectTerms extends QuicTransportTerms {
  /** The host to connect to. */
  hostname: string;
  /** The UDP port. */
  port: number;
  /** The name that the certificate must have. */
  serverName?: string;
  /** The protocols to offer. */
  alpnProtocols: string[];
  /** The certificates of authorities, in PEM. */
  caCerts?: string[];
  /** Hashes of the certificates that are trusted. */
  serverCertificateHashes?: { algorithm: string; value: Uint8Array }[];
  /** The socket to use. */
  endpoint?: QuicEndpointLike;
}

/** Options for listening: `Deno.QuicListenOptions`. */
export interface QuicListenTerms extends QuicTransportTerms {
  /** The protocols to accept, in order of preference. */
  alpnProtocols: string[];
  /** The certificate, in PEM. */
  cert: string;
  /** Its key, in PEM. */
  key: string;
}

/** A UDP socket for connections in both directions: a `Deno.QuicEndpoint`. */
export interface QuicEndpointLike {
  /** The address of the socket. */
  readonly addr: QuicAddrLike;
  /** Accepts connections. */
  listen(options: QuicListenTerms): QuicListenerLike;
  /** Closes the socket, and the connections at once. */
  close(info?: QuicCloseInfoLike): void;
}

/** The part of `Deno` that QUIC needs. */
export interface QuicRuntime {
  /** Makes an endpoint. */
  QuicEndpoint: new (
    options?: { hostname?: string; port?: number },
  ) => QuicEndpointLike;
  /** Connects. */
  connectQuic(options: QuicConnectTerms): Promise<QuicConnLike>;
}
