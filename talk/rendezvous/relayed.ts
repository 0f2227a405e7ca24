/**
 * The way through the rendezvous: TLS from peer to peer, over a byte stream that it
 * passes on.
 *
 * @module
 */
import type {
  AbortableTransport,
  Channel,
  HandshakeLimit,
  KeptTransport,
  PeerWay,
  Pem,
  Transport,
} from "../../mux/internal.ts";
import {
  duplexTransport,
  Guard,
  socketOver,
  tlsOver,
} from "../../mux/internal_deno.ts";
import type { Identity } from "./identity.ts";
import { Messages, prove } from "./proof.ts";
import { PEER_PROTOCOL } from "./wire.ts";

/** A transport of TLS. */
type TlsTransport = AbortableTransport & KeptTransport;

/** A relayed connection of two peers. */
export class RelayedTransport implements AbortableTransport, KeptTransport {
  /** Which way it takes. */
  readonly way: PeerWay = "relayed";
  readonly #tls: TlsTransport;
  readonly #onClose: () => void;
  #rest: Uint8Array | undefined;
  #closing: Promise<void> | undefined;

  /**
   * Takes a connection on which the proof has been made.
   *
   * @param tls the connection
   * @param rest what has arrived after the proof
   * @param onClose called when it is closed
   */
  constructor(tls: TlsTransport, rest: Uint8Array, onClose: () => void) {
    this.#tls = tls;
    this.#rest = rest.length === 0 ? undefined : rest;
    this.#onClose = onClose;
  }

  get keepAlive(): KeptTransport["keepAlive"] {
    return this.#tls.keepAlive;
  }

  read(): Promise<Uint8Array | null> {
    const rest = this.#rest;
    if (rest === undefined) return this.#tls.read();
    this.#rest = undefined;
    return Promise.resolve(rest);
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#tls.write(bytes);
  }

  closeWrite(): Promise<void> {
    return this.#tls.closeWrite();
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  abort(): void {
    this.#tls.abort?.();
    void this.close();
  }

  async #close(): Promise<void> {
    await this.#tls.close();
    this.#onClose();
  }
}

/** A channel as a byte stream. */
export function channelTransport(channel: Channel): Transport {
  const stream = duplexTransport(channel);
  return {
    read: () => stream.read(),
    write: (bytes) => stream.write(bytes),
    closeWrite: () => stream.closeWrite(),
    async close() {
      await channel.close();
      stream.abort?.();
    },
  };
}

/**
 * Makes the handshake of the dialing peer.
 *
 * @param stream leads to the listening peer
 * @param fingerprint the certificate that it has to have
 * @param onClose called when the connection is closed
 * @throws {TlsError} if it is not who it should be, or does not trust this peer
 */
export async function dialOver(
  stream: Transport,
  fingerprint: string,
  identity: Identity,
  signal: AbortSignal,
  onClose: () => void,
): Promise<RelayedTransport> {
  const tls = await tlsOver(
    socketOver(stream),
    { pin: fingerprint, serverName: "peer", minVersion: "TLSv1.3" },
    signal,
    PEER_PROTOCOL,
  );
  const onAbort = () => tls.abort();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const messages = new Messages(tls);
    await prove(messages, identity, fingerprint);
    return new RelayedTransport(tls, messages.rest, onClose);
  } catch (error) {
    tls.abort();
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** Makes the handshakes of TLS of a listening peer. */
export function relayGuard(
  tls: { cert: Pem; key: Pem },
  handshake: HandshakeLimit,
): Guard {
  return new Guard(
    PEER_PROTOCOL,
    { cert: tls.cert, key: tls.key, minVersion: "TLSv1.3" },
    handshake,
  );
}
