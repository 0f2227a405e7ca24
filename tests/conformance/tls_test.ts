import { listeningPair, type PairTls } from "./listening_pair.ts";
import { testSession } from "./session_suite.ts";

const pem = (name: string) =>
  new URL(`../support/tls/${name}.pem`, import.meta.url);
const tls: PairTls = {
  dial: { ca: pem("ca") },
  listen: { cert: pem("cert"), key: pem("key") },
};

testSession("session over TLS", listeningPair("tls://127.0.0.1:0", tls));

testSession(
  "session over WebSocket over TLS",
  listeningPair("wss://127.0.0.1:0/path", tls),
);
