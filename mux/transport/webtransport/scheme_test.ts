import { assert, assertEquals, assertRejects } from "@std/assert";
import { testTransport } from "../../../tests/conformance/transport_suite.ts";
import { DatagramRelay } from "../../../tests/resume/datagram_relay.ts";
import { loopbackCertificate } from "../../../tests/support/quic.ts";
import { within } from "../../../tests/support/within.ts";
import { MuxError, TlsError } from "../../errors.ts";
import { hashOf } from "../../quic/certificate_hash.ts";
import { pinsOf } from "../node/tls/tls_options.ts";
import type { AbortableTransport, SchemeListenTerms } from "../types.ts";
import { webTransport } from "./scheme.ts";
import { OPENING } from "./transport.ts";

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

Deno.test("webTransport: a listener accepts a client with its request, and ends with its endpoint", async () => {
  const { client, server, listener, accepted } = await pair();
  assert(/^wt:\/\/localhost:\d+\/a\/path$/.test(listener.addr), listener.addr);
  assertEquals(new URL(accepted.request!.url).pathname, "/a/path");
  assertEquals(accepted.tls?.version, "TLSv1.3");
  assert(accepted.remoteAddr.startsWith("udp://127.0.0.1:"));
  listener.close();
  assertEquals(await listener.accept(), null);
  await client.write(new Uint8Array([1]));
  assertEquals(await server.read(), new Uint8Array([1]));
  await Promise.all([client.close(), server.close()]);
});

Deno.test("webTransport: both ends miss the other one after the idle time that the listener has set", async () => {
  const listener = await webTransport.listen("//localhost:0/", {
    tls,
    session: { keepAlive: { interval: 1_000, timeout: 1_000 } },
  });
  using relay = new DatagramRelay(Number(new URL(listener.addr).port));
  const [client, accepted] = await Promise.all([
    webTransport.connect(`//127.0.0.1:${relay.port}/`, signal, {
      tls: { pin: fingerprint },
    }),
    listener.accept(),
  ]);
  const server = accepted!.transport;
  await client.write(new Uint8Array([1]));
  assertEquals(await server.read(), new Uint8Array([1]));
  relay.cut();
  for (const end of [client, server]) {
    await assertRejects(() => within(end.read(), "the end"), Error);
  }
  (client as AbortableTransport).abort?.();
  (server as AbortableTransport).abort?.();
  listener.close();
});

Deno.test("webTransport: an address of the wrong form is a SyntaxError", async () => {
  for (const wrong of ["", "/path", "//", "//host:70000", "//u:p@host/"]) {
    await assertRejects(
      async () => await webTransport.connect(wrong, signal),
      SyntaxError,
      "expected wt://host[:port]/path",
    );
  }
});

Deno.test("webTransport: a path or a host that is not served is refused, and others are served meanwhile", async () => {
  const { client, server, listener } = await pair();
  const trust = { tls: { pin: fingerprint } };
  await assertRejects(
    async () =>
      await webTransport.connect(
        rest(listener.addr).replace("a/path", "other"),
        signal,
        trust,
      ),
    Error,
    "no WebTransport session was established",
  );
  await client.write(new Uint8Array([1]));
  assertEquals(await server.read(), new Uint8Array([1]));
  await Promise.all([client.close(), server.close()]);
  listener.close();
});

Deno.test("webTransport: a certificate that is not trusted is a TlsError", async () => {
  const failures: string[] = [];
  const reported = Promise.withResolvers<void>();
  const listener = await webTransport.listen("//localhost:0/", { tls }, {
    timeout: 30_000,
    onTimeout() {},
    onFailure: (error) => {
      failures.push((error as TlsError).code);
      if (failures.length === 2) reported.resolve();
    },
  });
  for (
    const [pin, code] of [
      ["00".repeat(32), "wrong-fingerprint"],
      [undefined, "unknown-issuer"],
    ] as const
  ) {
    const error = await assertRejects(
      async () =>
        await webTransport.connect(rest(listener.addr), signal, {
          tls: { pin },
        }),
      TlsError,
    );
    assertEquals(error.code, code);
  }
  await within(reported.promise, "the listener's reports");
  assertEquals(failures, ["bad-certificate", "bad-certificate"]);
  listener.close();
});

Deno.test("webTransport: options that WebTransport does not have are errors", async () => {
  const { pin: _, ...rest } = { pin: fingerprint, ca: cert };
  await assertRejects(
    async () =>
      await webTransport.connect("//localhost:1/", signal, { tls: rest }),
    TypeError,
    'Cannot use option "tls.ca"',
  );
  for (
    const [options, text] of [
      [{}, '"tls.cert" and "tls.key" are missing'],
      [{ tls: { ...tls, clientCert: "required" } }, '"tls.clientCert"'],
    ] as [SchemeListenTerms, string][]
  ) {
    await assertRejects(
      async () => await webTransport.listen("//localhost:0/", options),
      TypeError,
      text,
    );
  }
});

Deno.test({
  name: "webTransport: an abort rejects with its reason",
  // Deno goes on with an attempt until its own timeout: a session that is not
  // established cannot be closed.
  sanitizeOps: false,
  async fn() {
    const silent = Deno.listenDatagram({
      transport: "udp",
      hostname: "127.0.0.1",
      port: 0,
    });
    const controller = new AbortController();
    const dialing = webTransport.connect(
      `//127.0.0.1:${(silent.addr as Deno.NetAddr).port}/`,
      controller.signal,
      { tls: { pin: fingerprint } },
    );
    const failed = dialing.catch((error) => error);
    await silent.receive();
    controller.abort("enough");
    assertEquals(await failed, "enough");
    silent.close();
  },
});

// --- What a peer may get wrong -----------------------------------------------

/** A client that does as the test says. */
async function rawClient(addr: string) {
  const session = new WebTransport(addr.replace(/^wt:/, "https:"), {
    serverCertificateHashes: [
      { algorithm: "sha-256", value: hashOf(pinsOf(fingerprint)![0]!).value },
    ],
  } as WebTransportOptions);
  session.closed.catch(() => {});
  await session.ready;
  const stream = await session.createBidirectionalStream();
  return { session, writer: stream.writable.getWriter() };
}

Deno.test("webTransport: a stream with another first byte is refused", async () => {
  const listener = await webTransport.listen("//localhost:0/", { tls });
  const { session, writer } = await rawClient(listener.addr);
  await writer.write(new Uint8Array([0x22]));
  const error = await within(
    session.closed.then(() => undefined, (error) => error),
    "the session to end",
  );
  assert(error === undefined || error instanceof Error);
  listener.close();
  assertEquals(await listener.accept(), null);
});

for (
  const [what, notices, text] of [
    ["too early an end", [[0, 0, 0, 0, 0, 0, 0, 0, 1]], "not as many"],
    ["an unknown notice", [[7]], "unknown notice"],
    [
      "two ends",
      [[0, 0, 0, 0, 0, 0, 0, 0, 9], [0, 0, 0, 0, 0, 0, 0, 0, 9]],
      "unknown notice",
    ],
  ] as const
) {
  Deno.test(`webTransport: ${what} is an error of the reader`, async () => {
    const listener = await webTransport.listen("//localhost:0/", { tls });
    const accepting = listener.accept();
    const { session, writer } = await rawClient(listener.addr);
    await writer.write(new Uint8Array([OPENING, 1, 2, 3]));
    const { transport } = (await accepting)!;
    assertEquals(await transport.read(), new Uint8Array([1, 2, 3]));
    const reading = transport.read();
    const control = (await session.createUnidirectionalStream()).getWriter();
    for (const notice of notices) await control.write(new Uint8Array(notice));
    await assertRejects(() => reading, MuxError, text);
    await transport.close();
    session.close();
    listener.close();
  });
}

Deno.test("webTransport: a session that is closed before the end of its bytes is an error", async () => {
  const { client, server, listener } = await pair();
  await client.write(new Uint8Array([1]));
  assertEquals(await server.read(), new Uint8Array([1]));
  const reading = server.read();
  (client as AbortableTransport).abort!();
  await assertRejects(() => reading, Error, "closed before its end");
  await server.close();
  listener.close();
});

Deno.test("webTransport: the reason for the end of a session is made printable", async () => {
  const listener = await webTransport.listen("//localhost:0/", { tls });
  const accepting = listener.accept();
  const { session, writer } = await rawClient(listener.addr);
  await writer.write(new Uint8Array([OPENING, 1]));
  const { transport } = (await accepting)!;
  assertEquals(await transport.read(), new Uint8Array([1]));
  const reading = transport.read();
  session.close({ closeCode: 7, reason: "out of\x1b[2J paper" });
  await assertRejects(() => reading, Error, ": 7 out of\\u001b[2J paper");
  await transport.close();
  listener.close();
});
