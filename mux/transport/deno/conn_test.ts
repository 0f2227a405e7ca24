import {
  assert,
  assertEquals,
  assertLessOrEqual,
  assertRejects,
} from "@std/assert";
import { connListener, connTransport } from "./conn.ts";
import { testTransport } from "../../../tests/conformance/transport_suite.ts";
import { until } from "../../../tests/support/within.ts";
import { loadScheme } from "../schemes.ts";
import type { KeptTransport } from "../types.ts";

/** A connection with the methods that a test implements. */
function fakeConn(part: Partial<Deno.Conn>): Deno.Conn {
  return part as Deno.Conn;
}

// --- Reading and writing -----------------------------------------------------

/** A connection that fills the buffers it gets, up to a limit. */
class Source {
  limit = Infinity;
  readonly transport = connTransport(fakeConn({
    read: (buffer) => Promise.resolve(Math.min(buffer.length, this.limit)),
  }));

  /** The size of the next read and of its buffer. */
  async read(): Promise<{ size: number; room: number }> {
    const bytes = await this.transport.read();
    assert(bytes !== null);
    return { size: bytes.length, room: bytes.buffer.byteLength };
  }
}

Deno.test("connTransport: the read buffer is small at first and grows to 256 KiB", async () => {
  const source = new Source();
  const sizes: number[] = [];
  for (let i = 0; i < 10; i++) sizes.push((await source.read()).size);
  assertLessOrEqual(sizes[0]!, 4 * 1024);
  assertEquals(sizes, sizes.toSorted((a, b) => a - b));
  assertEquals(sizes.at(-1), 256 * 1024);
});

Deno.test("connTransport: the read buffer shrinks again once reads are small", async () => {
  const source = new Source();
  const first = await source.read();
  for (let i = 0; i < 10; i++) await source.read();
  source.limit = 10;
  let room = 0;
  for (let i = 0; i < 100; i++) room = (await source.read()).room;
  assertEquals(room, first.room);
});

Deno.test("connTransport: an occasional large read keeps the read buffer", async () => {
  const source = new Source();
  for (let i = 0; i < 10; i++) await source.read();
  for (let i = 0; i < 100; i++) {
    source.limit = i % 10 === 0 ? Infinity : 10;
    assertEquals((await source.read()).room, 256 * 1024);
  }
});

Deno.test("connTransport: write() writes the rest after a partial write", async () => {
  const taken: number[] = [];
  const transport = connTransport(fakeConn({
    write: (bytes) => {
      const part = bytes.slice(0, 3);
      taken.push(...part);
      return Promise.resolve(part.length);
    },
  }));
  const bytes = Uint8Array.from({ length: 10 }, (_, i) => i);
  await transport.write(bytes);
  assertEquals(taken, [...bytes]);
});

Deno.test("connTransport: write() lets other sockets have their turn", async () => {
  const transport = connTransport(fakeConn({
    write: (bytes) => Promise.resolve(bytes.length),
  }));
  let other = false;
  const timer = setTimeout(() => other = true, 0);
  let writes = 0;
  while (!other && ++writes < 10_000_000) {
    await transport.write(new Uint8Array(1));
  }
  clearTimeout(timer);
  assert(other, `nothing else ran in ${writes} writes`);
});

Deno.test("connTransport: close() closes the connection once", async () => {
  let closed = 0;
  const transport = connTransport(fakeConn({ close: () => void closed++ }));
  await transport.close();
  await transport.close();
  assertEquals(closed, 1);
});

// --- Listening ---------------------------------------------------------------

/** A listener that accepts the connections of a test. */
function fakeListener(accept: () => Promise<Deno.Conn>) {
  let closed = 0;
  const listener = {
    addr: { transport: "tcp", hostname: "here", port: 1 },
    accept,
    close: () => void closed++,
  } as unknown as Deno.Listener;
  return { listener, closed: () => closed };
}

const describe = (addr: Deno.Addr) =>
  `tcp://${(addr as Deno.NetAddr).hostname}:${(addr as Deno.NetAddr).port}`;

Deno.test("connListener: formats the addresses of the listener and of clients", async () => {
  const { listener } = fakeListener(() =>
    Promise.resolve(fakeConn({
      remoteAddr: { transport: "tcp", hostname: "there", port: 2 },
    }))
  );
  const listening = connListener(listener, describe);
  assertEquals(listening.addr, "tcp://here:1");
  assertEquals((await listening.accept())?.remoteAddr, "tcp://there:2");
});

Deno.test("connListener: close() resolves a pending accept() and later ones to null", async () => {
  const accepting = Promise.withResolvers<Deno.Conn>();
  const { listener, closed } = fakeListener(() => accepting.promise);
  const listening = connListener(listener, describe);
  const waiting = listening.accept();
  listening.close();
  listening.close();
  accepting.reject(new Deno.errors.BadResource("closed"));
  assertEquals(await waiting, null);
  assertEquals(await listening.accept(), null);
  assertEquals(closed(), 1);
});

Deno.test("connListener: accept() rejects with the error of the listener", async () => {
  const { listener } = fakeListener(() =>
    Promise.reject(new Deno.errors.ConnectionReset("gone before it was here"))
  );
  const listening = connListener(listener, describe);
  await assertRejects(() => listening.accept(), Deno.errors.ConnectionReset);
});

Deno.test("connListener: closes a connection whose preparation fails", async () => {
  let closed = 0;
  const { listener } = fakeListener(() =>
    Promise.resolve(fakeConn({ close: () => void closed++ }))
  );
  const listening = connListener(listener, describe, () => {
    throw new Error("no such option");
  });
  await assertRejects(() => listening.accept(), Error, "no such option");
  assertEquals(closed, 1);
});

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
  await until(() => !keepAlive.start!());
  for (let read = 0; read < size;) read += (await far.read())!.length;
  await writing;
  assertEquals(keepAlive.start!(), true);
  await transport.close();
  assertEquals(keepAlive.start!(), true);
  await far.close();
  listener.close();
});
