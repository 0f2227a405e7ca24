import { assert, assertEquals, assertRejects } from "@std/assert";
import { testTransport } from "../../../tests/conformance/transport_suite.ts";
import { turn } from "../../../tests/support/within.ts";
import { loadScheme } from "../schemes.ts";
import type { KeptTransport } from "../types.ts";

const tcp = (await loadScheme("tcp"))!;
const { signal } = new AbortController();

/** The part of an address after `tcp:`. */
function rest(addr: string): string {
  return addr.slice("tcp:".length);
}

testTransport("tcp", async () => {
  const listener = await tcp.listen("//127.0.0.1:0");
  const [a, accepted] = await Promise.all([
    tcp.connect(rest(listener.addr), signal),
    listener.accept(),
  ]);
  assert(accepted !== null);
  return { a, b: accepted.transport, close: () => listener.close() };
});

Deno.test("tcp: the address of a listener has the port that was assigned for 0", async () => {
  const listener = await tcp.listen("//127.0.0.1:0");
  const port = Number(/^tcp:\/\/127\.0\.0\.1:(\d+)$/.exec(listener.addr)?.[1]);
  assert(port > 0, listener.addr);
  listener.close();
});

Deno.test("tcp: an accepted connection has the address of the client", async () => {
  const listener = await tcp.listen("//127.0.0.1:0");
  const transport = await tcp.connect(rest(listener.addr), signal);
  const accepted = await listener.accept();
  assert(/^tcp:\/\/127\.0\.0\.1:\d+$/.test(accepted!.remoteAddr));
  await transport.close();
  await accepted!.transport.close();
  listener.close();
});

Deno.test("tcp: both ends disable the delay of small writes", async () => {
  const listener = await tcp.listen("//127.0.0.1:0");
  // A socket cannot be asked for the option, so the method is replaced.
  const probe = await Deno.connect({
    port: Number(listener.addr.split(":").at(-1)),
  });
  const proto = Object.getPrototypeOf(probe);
  probe.close();
  await (await listener.accept())!.transport.close();

  const calls: (boolean | undefined)[] = [];
  const { setNoDelay } = proto;
  proto.setNoDelay = function (this: Deno.TcpConn, noDelay?: boolean) {
    calls.push(noDelay);
    setNoDelay.call(this, noDelay);
  };
  try {
    const transport = await tcp.connect(rest(listener.addr), signal);
    const accepted = await listener.accept();
    assertEquals(calls, [true, true]);
    await transport.close();
    await accepted!.transport.close();
  } finally {
    proto.setNoDelay = setNoDelay;
    listener.close();
  }
});

Deno.test("tcp: an address of the wrong form is a SyntaxError", async () => {
  for (
    const wrong of [
      "",
      "//",
      "127.0.0.1:80",
      "//127.0.0.1",
      "//127.0.0.1:",
      "//:80",
      "//host:port",
      "//host:65536",
      "//host:-1",
      "//user@host:80",
      "//host:80/path",
      "//::1:80",
    ]
  ) {
    await assertRejects(
      async () => await tcp.listen(wrong),
      SyntaxError,
      "expected tcp://",
      wrong,
    );
    await assertRejects(
      async () => await tcp.connect(wrong, signal),
      SyntaxError,
      "expected tcp://",
      wrong,
    );
  }
});

Deno.test("tcp: an IPv6 host is written in brackets, to listen and to connect", async () => {
  let listener;
  try {
    listener = await tcp.listen("//[::1]:0");
  } catch (error) {
    // Without IPv6, the address was parsed all the same.
    assert(!(error instanceof SyntaxError));
    return;
  }
  assert(/^tcp:\/\/\[::1\]:\d+$/.test(listener.addr), listener.addr);
  const transport = await tcp.connect(rest(listener.addr), signal);
  const accepted = await listener.accept();
  await transport.close();
  await accepted!.transport.close();
  listener.close();
});

Deno.test("tcp: connect() rejects with the system's error", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  // The port of a client is in use, so that nothing else can listen on it.
  const client = await Deno.connect({
    hostname: "127.0.0.1",
    port: listener.addr.port,
  });
  const { port } = client.localAddr as Deno.NetAddr;
  await assertRejects(
    () => tcp.connect(`//127.0.0.1:${port}`, signal),
    Deno.errors.ConnectionRefused,
  );
  (await listener.accept()).close();
  client.close();
  listener.close();
});

Deno.test("tcp: keepalive cannot be set while a write waits, and is set later", async () => {
  const listener = await tcp.listen("//127.0.0.1:0");
  const transport = await tcp.connect(rest(listener.addr), signal);
  const accepted = await listener.accept();
  const far = accepted!.transport;
  const { keepAlive } = transport as KeptTransport;
  // More than the system buffers, as the other end reads nothing yet.
  const size = 64 * 1024 * 1024;
  const writing = transport.write(new Uint8Array(size));
  while (keepAlive.start!()) await turn();
  for (let read = 0; read < size;) read += (await far.read())!.length;
  await writing;
  assertEquals(keepAlive.start!(), true);
  await transport.close();
  assertEquals(keepAlive.start!(), true);
  await far.close();
  listener.close();
});
