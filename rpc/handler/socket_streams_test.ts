/**
 * Functions that respond with a connection.
 *
 * @module
 */
import { handlerFrom, memoryPair } from "@qtalk/qtalk";
import { assertEquals, assertInstanceOf } from "@std/assert";
import { toText } from "@std/streams";
import { FakeTime } from "../../tests/support/fake_time.ts";
import { utf8 } from "../../tests/support/wire.ts";
import { until, within } from "../../tests/support/within.ts";

const hostname = "127.0.0.1";

/** A call whose response is a connection, and both ends of that. */
async function connected() {
  const errors: unknown[] = [];
  const heard = Promise.withResolvers<unknown>();
  const listener = Deno.listen({ hostname, port: 0 });
  const opened = Promise.withResolvers<Deno.Conn>();
  const service = {
    async connect() {
      const { port } = listener.addr;
      const conn = await Deno.connect({ hostname, port });
      opened.resolve(conn);
      return conn;
    },
  };
  const [client, server] = memoryPair({}, {
    handler: handlerFrom(service),
    onError: (error) => {
      errors.push(error);
      heard.resolve(error);
    },
  });
  const [response, far, conn] = await Promise.all([
    client.request("connect"),
    listener.accept(),
    opened.promise,
  ]);
  return {
    response,
    client,
    errors,
    /** The response. */
    error: heard.promise,
    /** The other end of the connection. */
    far,
    /** Resolves when the function's end is closed. */
    async closed() {
      await within(server.session.closed.catch(() => {}), "the session's end");
      // A closed connection throws when it is used.
      for (;;) {
        try {
          await conn.write(new Uint8Array(0));
        } catch {
          return;
        }
        await new Promise((resolve) => setTimeout(resolve));
      }
    },
    async [Symbol.asyncDispose]() {
      await client.close();
      await server.close();
      listener.close();
      try {
        far.close();
      } catch {
        // The test has closed it.
      }
    },
  };
}

/** All text until the end. */
async function readAll(conn: Deno.Conn): Promise<string> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  const buffer = new Uint8Array(65_536);
  for (let size; (size = await conn.read(buffer)) !== null;) {
    chunks.push(buffer.slice(0, size));
  }
  return await new Blob(chunks).text();
}

async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    at += await conn.write(bytes.subarray(at));
  }
}

const LARGE = "x".repeat(3_000_000);

Deno.test("socketStreams(): after the caller's EOF, the bytes of the socket still arrive", async () => {
  await using it = await connected();
  const heard = toText(it.response.readable);
  await new Blob([LARGE]).stream().pipeTo(it.response.writable);
  assertEquals((await within(readAll(it.far), "the bytes")).length, 3_000_000);
  await writeAll(it.far, utf8(LARGE));
  it.far.close();
  assertEquals((await within(heard, "the answer")).length, 3_000_000);
  await within(it.response.channel!.closed, "the channel to close");
  assertEquals(it.errors, []);
});

Deno.test("socketStreams(): after the socket's end, the bytes of the caller still arrive", async () => {
  await using it = await connected();
  await writeAll(it.far, utf8("said"));
  await it.far.closeWrite();
  assertEquals(await within(toText(it.response.readable), "the end"), "said");
  const heard = readAll(it.far);
  await new Blob([LARGE]).stream().pipeTo(it.response.writable);
  assertEquals((await within(heard, "the bytes")).length, 3_000_000);
  await within(it.response.channel!.closed, "the channel to close");
  assertEquals(it.errors, []);
});

Deno.test("socketStreams(): CLOSE by the caller closes the socket, after the bytes that were sent", async () => {
  await using it = await connected();
  const writer = it.response.writable.getWriter();
  await writer.write(utf8("last words"));
  await it.response.close();
  assertEquals(await within(readAll(it.far), "the bytes"), "last words");
  assertEquals(it.errors, []);
});

Deno.test("socketStreams(): the loss of the session closes the socket", async () => {
  await using it = await connected();
  await it.client.close();
  assertEquals(await within(readAll(it.far), "the end"), "");
  await within(it.closed(), "the connection to be closed");
});

Deno.test("socketStreams(): a socket that fails ends the call, and is reported to onError", async () => {
  await using it = await connected();
  const writer = it.response.writable.getWriter();
  await writer.write(utf8("unread"));
  // Closing with unread bytes resets the connection.
  await it.far.read(new Uint8Array(1));
  it.far.close();
  assertEquals(await within(toText(it.response.readable), "the end"), "");
  await writer.write(utf8("unread"));
  await within(it.response.channel!.closed, "the channel to close");
  assertInstanceOf(await within(it.error, "onError"), Error);
});

/** A connection to a program that has stopped reading, with its methods. */
function stuckSocket() {
  const closed = Promise.withResolvers<void>();
  const writing = Promise.withResolvers<void>();
  const gone = closed.promise.then((): never => {
    throw new Error("the socket is closed");
  });
  gone.catch(() => {});
  return {
    /** Resolves when bytes are written, which are not taken. */
    writing: writing.promise,
    /** Resolves when it is closed. */
    closed: closed.promise,
    readable: new ReadableStream<Uint8Array>(),
    writable: new WritableStream<Uint8Array>(),
    read: (): Promise<number | null> => gone,
    write(): Promise<number> {
      writing.resolve();
      return gone;
    },
    closeWrite: () => Promise.resolve(),
    close: () => closed.resolve(),
  };
}

Deno.test("socketStreams(): a socket that takes nothing is closed a while after its caller cut the bytes off", async () => {
  for (const how of ["abort", "session"]) {
    using time = new FakeTime();
    const socket = stuckSocket();
    const [client, server] = memoryPair({}, {
      handler: handlerFrom(() => socket),
    });
    await using _ = client, __ = server;
    const response = await client.request("x");
    const writer = response.writable.getWriter();
    await writer.write(new Uint8Array(1_000));
    await within(socket.writing, "a write");
    await writer.write(new Uint8Array(50_000));
    const { usage: { channels, slots } } = server.session;
    if (how === "abort") await writer.abort(new Error("left"));
    else await client.close();
    await until(() => server.session.usage.channels !== channels);
    time.tick(10_000);
    await within(socket.closed, "the socket to be closed");
    const left = how === "abort" ? slots - 1 : 0;
    assertEquals(server.session.usage.slots, left);
  }
});
