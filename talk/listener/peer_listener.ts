import type { Carried } from "../../codec/internal.ts";
import { sessionOver, type TransportListener } from "../../mux/internal.ts";
import { Server } from "../../rpc/internal_server.ts";
import { timeLimit } from "../../time_limit.ts";
import { errorPrinter } from "../errors.ts";
import {
  admit,
  type CertificateOptions,
  loadedServer,
  uses,
} from "../peer_keys.ts";
import { Peer, type PeerOptions, type PeerWith } from "../peer.ts";
import { type ResolvedSharedLimits, tookTooLong } from "./limits.ts";
import { ConnectionListener } from "./listener.ts";
import type { ListenerOptions, PeerListenerOptions } from "./types.ts";

/**
 * Makes a peer of each connection, and asks `onPeer` about it.
 *
 * @param tls the options with the certificate that the listener shows, if it has one
 */
export function peerListener<C extends Carried, Context>(
  source: TransportListener,
  options:
    & PeerOptions<C, NoInfer<Context>>
    & PeerListenerOptions<C, Context>
    & Pick<ListenerOptions, "accept">,
  limits: ResolvedSharedLimits,
  tls: () => CertificateOptions | undefined = () => undefined,
): ConnectionListener<PeerWith<C, Context>> {
  // One for all peers: it prints at a limited rate.
  const { accept, onPeer, onError = errorPrinter() } = options;
  const shared = { ...options, onError, [loadedServer]: Server } as PeerOptions<
    C
  >;
  const { handshakeTimeout } = limits;
  return new ConnectionListener<PeerWith<C, Context>>(
    source,
    (transport) =>
      new Peer(sessionOver(transport, limits.session), shared) as PeerWith<
        C,
        Context
      >,
    { accept, onError },
    limits,
    {
      uses: (peer) => peer[uses],
      admit(peer, connection, report) {
        const admitted = peer[admit](
          connection,
          onPeer && (() => onPeer(peer, connection)),
          tls(),
        );
        if (typeof admitted === "boolean") return admitted;
        const cancel = timeLimit(handshakeTimeout, () => {
          report(tookTooLong("admit peer", '"onPeer"', handshakeTimeout), peer);
          void peer.close();
        });
        void peer.closed.then(cancel, cancel);
        return admitted.finally(cancel);
      },
    },
  );
}
