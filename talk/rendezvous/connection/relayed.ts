/**
 * The way through the rendezvous: TLS from peer to peer, over a byte stream that the
 * rendezvous passes on.
 *
 * @module
 */
import {
  type AbortableTransport,
  type Channel,
  copyOf,
  type HandshakeLimit,
  type Pem,
  TlsError,
  type Transport,
} from "../../../mux/internal.ts";
import {
  BegunTransport,
  duplexTransport,
  Guard,
  socketOver,
  tlsOver,
} from "../../../mux/internal_deno.ts";
import type { Identity } from "../identity.ts";
import { Messages, prove } from "./proof.ts";
import { PEER_PROTOCOL } from "../wire.ts";

/** A relayed connection of two peers. */
export class RelayedTransport extends BegunTransport {
  readonly #onClose: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  /**
   * Takes a connection on which the proof has been made.
   *
   * @param tls the connection
   * @param rest what has arrived after the proof
   * @param onClose called when it is closed. Default: nothing is
   */
  constructor(
    tls: AbortableTransport,
    rest: Uint8Array,
    onClose?: () => void,
  ) {
    super(tls, rest.length === 0 ? undefined : Promise.resolve(rest));
    this.#onClose = onClose;
  }

  override close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  override abort(): void {
    super.abort();
    void this.close();
  }

  async #close(): Promise<void> {
    await super.close();
    this.#onClose?.();
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
 * @throws {TlsError} if the listening peer has another certificate, or does not trust
 * this peer
 */
export async function dialOver(
  stream: Transport,
  fingerprint: string,
  identity: Identity,
  signal: AbortSignal,
): Promise<RelayedTransport> {
  const tls = await tlsOver(
    socketOver(stream),
    { pin: fingerprint, serverName: "peer", minVersion: "TLSv1.3" },
    signal,
    PEER_PROTOCOL,
  ).catch(throwOfPeer);
  const onAbort = () => tls.abort();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const messages = new Messages(tls);
    await prove(messages, identity, fingerprint);
    return new RelayedTransport(tls, messages.rest);
  } catch (error) {
    tls.abort();
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** Fails with the error of the handshake, which says where the fingerprint is from. */
function throwOfPeer(error: unknown): never {
  if (!(error instanceof TlsError)) throw error;
  throw copyOf(
    error,
    error.message.replace("one of option", "that of the address or of option"),
  );
}

/** Makes the TLS handshakes of a listening peer. */
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
