import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { testTransport } from "../../tests/conformance/transport_suite.ts";
import { tcp } from "./tcp.ts";

const { signal } = new AbortController();

/** What stands behind `tcp:` in an address. */
function rest(addr: string): string {
  return addr.slice("tcp:".length);
}

testTransport("TCP transport", async () => {
  const listener = tcp.listen("//127.0.0.1:0");
  const [a, accepted] = await Promise.all([
    tcp.connect(rest(listener.addr), signal),
    listener.accept(),
  ]);
  assert(accepted !== null);
  return { a, b: accepted.transport, close: () => listener.close() };
});

Deno.test("TCP transport: port 0 becomes the port that was taken", () => {
  const listener = tcp.listen("//127.0.0.1:0");
  const port = Number(/^tcp:\/\/127\.0\.0\.1:(\d+)$/.exec(listener.addr)?.[1]);
  assert(port > 0, listener.addr);
  listener.close();
});

Deno.test("TCP transport: who connects is told by an address", async () => {
  const listener = tcp.listen("//127.0.0.1:0");
  const transport = await tcp.connect(rest(listener.addr), signal);
  const accepted = await listener.accept();
  assert(/^tcp:\/\/127\.0\.0\.1:\d+$/.test(accepted!.remoteAddr));
  await transport.close();
  await accepted!.transport.close();
  listener.close();
});

Deno.test("TCP transport: both ends send small writes at once", async () => {
  const listener = tcp.listen("//127.0.0.1:0");
  // What the sockets are told cannot be asked of them again.
  const probe = await Deno.connect({
    port: Number(listener.addr.split(":").at(-1)),
  });
  const proto = Object.getPrototypeOf(probe);
  probe.close();
  await (await listener.accept())!.transport.close();

  const told: (boolean | undefined)[] = [];
  const { setNoDelay } = proto;
  proto.setNoDelay = function (this: Deno.TcpConn, noDelay?: boolean) {
    told.push(noDelay);
    setNoDelay.call(this, noDelay);
  };
  try {
    const transport = await tcp.connect(rest(listener.addr), signal);
    const accepted = await listener.accept();
    assertEquals(told, [true, true]);
    await transport.close();
    await accepted!.transport.close();
  } finally {
    proto.setNoDelay = setNoDelay;
    listener.close();
  }
});

Deno.test("TCP transport: an address of the wrong form is a SyntaxError", async () => {
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
    assertThrows(
      () => tcp.listen(wrong),
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

Deno.test("TCP transport: an IPv6 host stands in brackets, both ways", async () => {
  let listener;
  try {
    listener = tcp.listen("//[::1]:0");
  } catch (error) {
    // A machine without IPv6 has shown that the brackets are understood.
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

Deno.test("TCP transport: nobody there is told as the system tells it", async () => {
  const listener = tcp.listen("//127.0.0.1:0");
  listener.close();
  await assertRejects(
    () => tcp.connect(rest(listener.addr), signal),
    Deno.errors.ConnectionRefused,
  );
});
