import { dial, listen } from "@qtalk/qtalk";
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { EventEmitter } from "node:events";
import process from "node:process";
import { pipePath } from "./sockets.ts";

Deno.test("pipePath: a name, and a whole path in either form, is one pipe", () => {
  for (
    const rest of [
      "qtalk",
      "//qtalk",
      "\\\\.\\pipe\\qtalk",
      "//./pipe/qtalk",
      "\\\\.\\PIPE\\qtalk",
    ]
  ) {
    assertEquals(pipePath(rest), "\\\\.\\pipe\\qtalk", rest);
  }
  assertEquals(pipePath("\\\\?\\pipe\\a\\b"), "\\\\?\\pipe\\a\\b");
  // A name of its own that looks like a part of a path.
  assertEquals(pipePath("pipe/x"), "\\\\.\\pipe\\pipe/x");
});

Deno.test("pipePath: an address without a name is an error", () => {
  for (const rest of ["", "//", "\\\\.\\pipe\\", "//./pipe/"]) {
    assertThrows(() => pipePath(rest), SyntaxError, "expected pipe:name");
  }
});

/** Stands in for `node:net`, which makes pipes on Windows only. */
class FakeNet {
  /** Where something listened or connected. */
  readonly places: unknown[] = [];

  connect({ path }: { path: string }): EventEmitter {
    this.places.push(path);
    const socket = new EventEmitter();
    const error = Object.assign(new Error(`connect ENOENT ${path}`), {
      code: "ENOENT",
    });
    queueMicrotask(() => socket.emit("error", error));
    return Object.assign(socket, { destroy() {} });
  }

  createServer(): EventEmitter {
    const server = new EventEmitter();
    const { places } = this;
    let at = "";
    return Object.assign(server, {
      listen({ path }: { path: string }) {
        places.push(at = path);
        queueMicrotask(() => server.emit("listening"));
      },
      address: () => at,
      close() {},
    });
  }
}

Deno.test("pipe: dial() and listen() use the same named pipe, and no file", async () => {
  const net = new FakeNet();
  const original = process.getBuiltinModule;
  process.getBuiltinModule =
    ((name: string) =>
      name === "node:net"
        ? net
        : original(name)) as typeof process.getBuiltinModule;
  try {
    await using listener = await listen("pipe:qtalk");
    assertEquals(listener.addr, "pipe:\\\\.\\pipe\\qtalk");
    for (const address of [listener.addr, "pipe:qtalk"]) {
      const error = await assertRejects(() => dial(address));
      assertEquals((error as { code?: string }).code, "dial-failed");
      const { cause } = error as Error;
      assertEquals((cause as Error).name, "NotFound");
    }
  } finally {
    process.getBuiltinModule = original;
  }
  assertEquals(net.places, Array(3).fill("\\\\.\\pipe\\qtalk"));
});
