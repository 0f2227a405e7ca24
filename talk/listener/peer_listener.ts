import type { Carried } from "../../codec/internal.ts";
import {
  type HandshakeLimit,
  type Pem,
  sessionOver,
  type TransportListener,
} from "../../mux/internal.ts";
import { timeLimit } from "../../time_limit.ts";
import { errorPrinter } from "../error_printer.ts";
import {
  ConnectionListener,
  type ListenerOptions,
  type PeerListenerOptions,
  type ResolvedSharedLimits,
} from "./listener.ts";
import { TalkError, tookTooLong } from "../errors.ts";
import { admit, Peer, type PeerOptions, type PeerWith, uses } from "../peer.ts";

/** Makes a peer of each connection, and asks `onPeer` about it. */
export function peerListener<C extends Carried, Context>(
  source: TransportListener,
  options:
    & PeerOptions<C, NoInfer<Context>>
    & PeerListenerOptions<C, Context>
    & Pick<ListenerOptions, "accept">
    & { readonly tls?: { readonly cert: Pem } | undefined },
  limits: ResolvedSharedLimits,
): ConnectionListener<PeerWith<C, Context>> {
  // One for all peers: it prints at a limited rate.
  const { accept, onPeer, onError = errorPrinter() } = options;
  const shared = { ...options, onError } as PeerOptions<C>;
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
          options.tls?.cert,
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

/** How a transport limits its handshakes, and reports those that take too long. */
export function handshakeLimit(
  { handshakeTimeout: timeout }: ResolvedSharedLimits,
  onError: ListenerOptions["onError"],
): HandshakeLimit {
  return {
    timeout,
    onTimeout(remoteAddr) {
      const what = `accept connection from "${remoteAddr}"`;
      const error = tookTooLong(what, "its handshake", timeout);
      onError?.(error, { peer: undefined, selector: undefined });
    },
    onFailure(cause, remoteAddr) {
      const message =
        `Cannot accept connection from "${remoteAddr}": ${cause.message}`;
      const error = new TalkError("handshake-failed", message, { cause });
      onError?.(error, { peer: undefined, selector: undefined });
    },
  };
}
