import { assert, assertEquals, assertRejects } from "@std/assert";
import { connect, createServer, type Socket } from "node:net";
import { PassThrough } from "node:stream";
import { NodeTransport, systemError } from "./streams.ts";

/** Two ends of a connection: a transport, and a socket of Node. */
async function pair(): Promise<{
  near: NodeTransport;
  far: Socket;
  end(): Promise<void>;
}> {
  const server = createServer({ allowHalfOpen: true });
  const accepted = new Promise<Socket>((resolve) => {
    server.on("connection", resolve);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  await new Promise<void>((resolve) => socket.on("connect", resolve));
  const far = await accepted;
  far.on("error", () => {});
  const closed = Promise.all(
    [far, socket].map((one) =>
      new Promise<void>((resolve) => one.on("close", () => resolve()))
    ),
  );
  return {
    near: new NodeTransport(socket, socket),
    far,
    async end() {
      far.destroy();
      socket.destroy();
      await closed;
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

Deno.test("NodeTransport: reads what was sent, as a plain Uint8Array, and then the end", async () => {
  const { near, far, end } = await pair();
  far.end("hello");
  const bytes = await near.read();
  assertEquals(Object.getPrototypeOf(bytes), Uint8Array.prototype);
  assertEquals(new TextDecoder().decode(bytes!), "hello");
  assertEquals(await near.read(), null);
  // The other direction is still open.
  const heard = new Promise((resolve) => far.on("data", resolve));
  await near.write(new TextEncoder().encode("bye"));
  assertEquals(String(await heard), "bye");
  await end();
});

Deno.test("NodeTransport: closeWrite() rejects once the stream is gone, and while it goes", async () => {
  for (const when of ["after", "before"]) {
    const output = new PassThrough();
    // What never ends by itself: nothing reads, and the end is not written.
    output._final = () => {};
    const transport = new NodeTransport(new PassThrough(), output);
    const closed = new Promise((resolve) => output.on("close", resolve));
    const ending = when === "before" ? transport.closeWrite() : undefined;
    ending?.catch(() => {});
    output.destroy();
    await closed;
    await assertRejects(() => ending ?? transport.closeWrite(), Error);
  }
});

Deno.test("NodeTransport: a writer waits for a reader, and both get on when it reads", async () => {
  const { near, far, end } = await pair();
  far.pause();
  let written = false;
  const size = 64 * 1024 * 1024;
  const writing = near.write(new Uint8Array(size)).then(() => written = true);
  await new Promise((resolve) => setImmediate(resolve));
  assertEquals(written, false);
  let received = 0;
  const all = new Promise<void>((resolve) => {
    far.on("data", (bytes: Uint8Array) => {
      received += bytes.length;
      if (received === size) resolve();
    });
  });
  far.resume();
  await all;
  await writing;
  assert(near.keepAlive.signs > 0, "room for more is a sign of life");
  await end();
});

Deno.test("NodeTransport: what is not read is held up to a limit", async () => {
  const { near, far, end } = await pair();
  // Reading has begun, so that the socket is not paused from the start.
  far.write("x");
  await near.read();
  const size = 64 * 1024 * 1024;
  let flushed = false;
  far.write(new Uint8Array(size), () => flushed = true);
  for (let turn = 0; turn < 200; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  assertEquals(flushed, false);
  for (let received = 0; received < size;) {
    received += (await near.read())!.length;
  }
  await end();
});

Deno.test("NodeTransport: close() ends a read and a write that wait", async () => {
  const { near, far, end } = await pair();
  far.pause();
  const reading = near.read();
  const writing = near.write(new Uint8Array(64 * 1024 * 1024));
  const failed = assertRejects(
    () => writing,
    Error,
    "the connection is closed",
  );
  await near.close();
  assertEquals(await reading, null);
  await failed;
  assertEquals(await near.read(), null);
  await assertRejects(() => near.write(new Uint8Array(1)));
  await end();
});

Deno.test("NodeTransport: a reset is an error with the name that Deno gives it", async () => {
  const { near, far, end } = await pair();
  const reading = near.read();
  const failed = assertRejects(() => reading);
  far.resetAndDestroy();
  assertEquals((await failed as Error).name, "ConnectionReset");
  await end();
});

Deno.test("systemError(): errors have the names of Deno's, and keep their codes", () => {
  const refused = Object.assign(new Error("no"), { code: "ECONNREFUSED" });
  const named = systemError(refused) as Error & { code?: string };
  assertEquals([named.name, named.code], ["ConnectionRefused", "ECONNREFUSED"]);
  assertEquals(named.cause, refused);
  const several = new AggregateError([new Error("a"), new Error("b")], "");
  assertEquals(systemError(several).message, "a, b");
  const other = new Error("other");
  assertEquals(systemError(other), other);
  assertEquals(systemError("text").message, "text");
});
