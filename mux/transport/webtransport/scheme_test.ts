import { assert, assertEquals, assertRejects } from "@std/assert";
import { testTransport } from "../../../tests/conformance/transport_suite.ts";
import { loopbackCertificate } from "../../../tests/support/quic.ts";
import { webTransport } from "./scheme.ts";

const { signal } = new AbortController();
const { cert, key, fingerprint } = await loopbackCertificate();
const tls = { cert, key };

/** The part of an address after the scheme. */
function rest(addr: string): string {
  return addr.slice(addr.indexOf(":") + 1);
}

async function pair() {
  const listener = await webTransport.listen("//localhost:0/a/path", { tls });
  const [client, accepted] = await Promise.all([
    webTransport.connect(rest(listener.addr), signal, {
      tls: { pin: fingerprint },
    }),
    listener.accept(),
  ]);
  return { client, server: accepted!.transport, listener, accepted: accepted! };
}

testTransport("webTransport, client", async () => {
  const { client, server, listener } = await pair();
  return { a: client, b: server, close: () => listener.close() };
});

testTransport("webTransport, server", async () => {
  const { client, server, listener } = await pair();
  return { a: server, b: client, close: () => listener.close() };
});
