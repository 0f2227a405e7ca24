// The rendezvous at which two peers behind NATs meet. It runs on a machine that
// both can reach. Tried by tests/nat/nat_test.ts.
//
// First, each of the three gets a key, and keeps it:
//
//   qtalk cert peer --out keys/meet --name meet
//   qtalk cert peer --out keys/bob --name bob
//   qtalk cert peer --out keys/ann --name ann
//
// Then, on three machines (`qtalk rendezvous` is the same as this file):
//
//   deno run -A --unstable-net examples/rendezvous/rendezvous.ts quic://0.0.0.0:4433 keys/meet
//   deno run -A --unstable-net examples/rendezvous/listener.ts quic://HOST:4433 FINGERPRINT keys/bob
//   deno run -A --unstable-net examples/rendezvous/dialer.ts ADDRESS FINGERPRINT keys/ann
//
// HOST is the first machine, FINGERPRINT is printed there, and ADDRESS is printed
// by the listener.
//
// Prints:
//
//   quic://0.0.0.0:4433
//   sha256:…

import { listen } from "@qtalk/qtalk";
import { rendezvousService } from "@qtalk/qtalk/rendezvous";
import { X509Certificate } from "node:crypto";

const [address = "quic://127.0.0.1:4433", keys = "keys/meet"] = Deno.args;

const service = rendezvousService();
const listener = await listen(address, {
  tls: { cert: `${keys}/peer.pem`, key: `${keys}/peer.key` },
  handler: service,
});
console.log(listener.addr);

// What the peers trust.
const certificate = new X509Certificate(Deno.readFileSync(`${keys}/peer.pem`));
const digits = certificate.fingerprint256.replaceAll(":", "").toLowerCase();
console.log(`sha256:${digits}`);

Deno.addSignalListener("SIGINT", async () => {
  console.log(service.stats);
  await listener.close();
  Deno.exit();
});
