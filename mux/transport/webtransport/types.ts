/**
 * The parts of WebTransport that this package uses. They are declared here because
 * some runtimes lack WebTransport, and Deno has it only with `--unstable-net`.
 *
 * @module
 */
import type { QuicConnLike } from "../../quic/types.ts";

/** A `WebTransportBidirectionalStream`. */
export interface WebTransportStreamLike {
  /** Bytes from the peer. */
  readonly readable: ReadableStream<Uint8Array>;
  /** Bytes to the peer. */
  readonly writable: WritableStream<Uint8Array>;
}

/** How a session ended: a `WebTransportCloseInfo`. */
export interface WebTransportCloseInfoLike {
  /** The code, for programs. */
  closeCode?: number;
  /** The reason, in words. */
  reason?: string;
}

/** A `WebTransport`: a session over HTTP/3. */
export interface WebTransportLike {
  /** Resolves when the session is established. */
  readonly ready: Promise<unknown>;
  /** Resolves when either side has closed it; rejects when it was lost. */
  readonly closed: Promise<WebTransportCloseInfoLike>;
  /** The streams that the peer opens. */
  readonly incomingBidirectionalStreams: ReadableStream<WebTransportStreamLike>;
  /** The one-way streams that the peer opens. */
  readonly incomingUnidirectionalStreams: ReadableStream<
    ReadableStream<Uint8Array>
  >;
  /** Opens a stream. */
  createBidirectionalStream(): Promise<WebTransportStreamLike>;
  /** Opens a one-way stream. */
  createUnidirectionalStream(): Promise<WritableStream<Uint8Array>>;
  /** Closes the session at once: what is on its way is lost. */
  close(info?: WebTransportCloseInfoLike): void;
}

/** The constructor `WebTransport`. */
export type WebTransportConstructor = new (
  url: string,
  options?: {
    serverCertificateHashes?: { algorithm: string; value: Uint8Array }[];
  },
) => WebTransportLike;

/** The part of `Deno` that is for servers. */
export interface UpgradeRuntime {
  /** Waits for the request of a session on a connection. */
  upgradeWebTransport(
    conn: QuicConnLike,
  ): Promise<WebTransportLike & { readonly url: string }>;
}
