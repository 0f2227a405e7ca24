import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { testTransport } from "../../tests/conformance/transport_suite.ts";
import { unix } from "./unix.ts";

const { signal } = new AbortController();

/** Runs `body` with a path at which no file exists. */
async function withPath(
  body: (path: string) => void | Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await body(`${directory}/socket`);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

testTransport("unix", async () => {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/socket`;
  const listener = unix.listen(path);
  const [a, accepted] = await Promise.all([
    unix.connect(path, signal),
    listener.accept(),
  ]);
  assert(accepted !== null);
  return {
    a,
    b: accepted.transport,
    async close() {
      listener.close();
      await Deno.remove(directory, { recursive: true });
    },
  };
});

Deno.test("unix: an address has a path, with or without two slashes before it", async () => {
  await withPath(async (path) => {
    for (const address of [path, `//${path}`]) {
      const listener = unix.listen(address);
      assertEquals(listener.addr, `unix:${path}`);
      const transport = await unix.connect(address, signal);
      const accepted = await listener.accept();
      assertEquals(accepted!.remoteAddr, `unix:${path}`);
      await transport.close();
      await accepted!.transport.close();
      listener.close();
    }
  });
});

Deno.test("unix: an empty path is a SyntaxError", async () => {
  for (const wrong of ["", "//"]) {
    assertThrows(() => unix.listen(wrong), SyntaxError, "expected unix:/path");
    await assertRejects(
      async () => await unix.connect(wrong, signal),
      SyntaxError,
    );
  }
});

Deno.test("unix: close() removes the file, so that another listener can use the path", async () => {
  await withPath((path) => {
    for (let i = 0; i < 2; i++) {
      const listener = unix.listen(path);
      assert(exists(path));
      listener.close();
      assert(!exists(path));
    }
  });
});

Deno.test("unix: a second close() does not remove the file of the next listener", async () => {
  await withPath(async (path) => {
    const first = unix.listen(path);
    first.close();
    const second = unix.listen(path);
    first.close();
    assert(exists(path));
    const transport = await unix.connect(path, signal);
    await transport.close();
    await (await second.accept())!.transport.close();
    second.close();
  });
});

Deno.test("unix: listen() does not remove an existing file", async () => {
  await withPath(async (path) => {
    await Deno.writeTextFile(path, "precious");
    assertThrows(() => unix.listen(path), Deno.errors.AddrInUse);
    assertEquals(await Deno.readTextFile(path), "precious");
  });
});

Deno.test("unix: close() ignores that the file was removed", async () => {
  await withPath(async (path) => {
    const listener = unix.listen(path);
    await Deno.remove(path);
    listener.close();
    assert(!exists(path));
  });
});
