// A peer that others dial by its name: see rendezvous.ts. Tried by
// tests/nat/nat_test.ts.
//
// Prints:
//
//   peer:bob@quic://HOST:4433#sha256:…

import { handlerFrom, listen } from "@qtalk/qtalk";

const [rendezvous, pin, keys = "keys/bob"] = Deno.args;

const listener = await listen(`peer:bob@${rendezvous}`, {
  tls: { cert: `${keys}/peer.pem`, key: `${keys}/peer.key` },
  rendezvous: { tls: { pin } },
  onPeer(peer, { tls }) {
    // The peer has proved that this certificate is its own.
    const { subject, fingerprint } = tls!.peerCertificate!;
    console.error(`${subject} (${fingerprint}), ${peer.way}`);
    return { name: subject };
  },
  handler: handlerFrom({
    add: (a: number, b: number) => a + b,
    echo: (text: string) => text,
  }),
});
console.log(listener.addr);
