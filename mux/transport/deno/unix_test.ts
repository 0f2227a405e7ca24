import { assert, assertEquals, assertRejects } from "@std/assert";
import { testTransport } from "../../../tests/conformance/transport_suite.ts";
import { loadScheme } from "../schemes.ts";
import { exists, withPath } from "../../../tests/support/socket_path.ts";

const unix = (await loadScheme("unix"))!;
const { signal } = new AbortController();

testTransport("unix", async () => {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/socket`;
  const listener = await unix.listen(path);
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
      const listener = await unix.listen(address);
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
    await assertRejects(
      async () => await unix.listen(wrong),
      SyntaxError,
      "expected unix:/path",
    );
    await assertRejects(
      async () => await unix.connect(wrong, signal),
      SyntaxError,
    );
  }
});

Deno.test("unix: close() removes the file, so that another listener can use the path", async () => {
  await withPath(async (path) => {
    for (let i = 0; i < 2; i++) {
      const listener = await unix.listen(path);
      assert(exists(path));
      listener.close();
      assert(!exists(path));
    }
  });
});

Deno.test("unix: a second close() does not remove the file of the next listener", async () => {
  await withPath(async (path) => {
    const first = await unix.listen(path);
    first.close();
    const second = await unix.listen(path);
    first.close();
    assert(exists(path));
    const transport = await unix.connect(path, signal);
    await transport.close();
    await (await second.accept())!.transport.close();
    second.close();
  });
});

Deno.test("unix: close() does not remove the file of a listener that has replaced the first one", async () => {
  await withPath(async (path) => {
    for (const accepts of [false, true]) {
      const first = await unix.listen(path);
      const accepting = accepts ? first.accept() : undefined;
      await Deno.remove(path);
      const second = await unix.listen(path);
      first.close();
      assertEquals(await accepting ?? null, null);
      const transport = await unix.connect(path, signal);
      await (await second.accept())!.transport.close();
      await transport.close();
      second.close();
      const folder = path.slice(0, path.lastIndexOf("/"));
      assertEquals([...Deno.readDirSync(folder)], [], "nothing is left");
    }
  });
});

Deno.test("unix: listen() does not remove an existing file", async () => {
  await withPath(async (path) => {
    await Deno.writeTextFile(path, "precious");
    await assertRejects(
      async () => await unix.listen(path),
      Deno.errors.AddrInUse,
    );
    assertEquals(await Deno.readTextFile(path), "precious");
  });
});

Deno.test("unix: close() ignores that the file was removed", async () => {
  await withPath(async (path) => {
    const listener = await unix.listen(path);
    await Deno.remove(path);
    listener.close();
    assert(!exists(path));
  });
});

/** Leaves the file of a socket behind, as a server that was killed does. */
async function leaveBehind(path: string): Promise<void> {
  const program = `Deno.listen({ transport: "unix", path: ${
    JSON.stringify(path)
  } }); Deno.kill(Deno.pid, "SIGKILL");`;
  await new Deno.Command(Deno.execPath(), { args: ["eval", program] }).output();
  assert(exists(path));
}

Deno.test("unix: the file of a killed server is replaced", async () => {
  await withPath(async (path) => {
    await leaveBehind(path);
    const listener = await unix.takeOver!(path);
    const transport = await unix.connect(path, signal);
    await (await listener.accept())!.transport.close();
    await transport.close();
    listener.close();
    assertEquals([exists(path), exists(`${path}.lock`)], [false, false]);
  });
});

Deno.test("unix: a socket that is served is not replaced", async () => {
  await withPath(async (path) => {
    const listener = await unix.listen(path);
    await assertRejects(
      () => unix.takeOver!(path),
      Deno.errors.AddrInUse,
      "another listener serves this socket",
    );
    assertEquals([exists(path), exists(`${path}.lock`)], [true, false]);
    // The question was a client.
    const transport = await unix.connect(path, signal);
    for (let i = 0; i < 2; i++) {
      await (await listener.accept())!.transport.close();
    }
    await transport.close();
    listener.close();
  });
});

Deno.test("unix: what is not a socket is not replaced", async () => {
  const makers: [string, (path: string) => void][] = [
    ["a file", (path) => Deno.writeTextFileSync(path, "precious")],
    ["a folder", (path) => Deno.mkdirSync(path)],
    ["a link to a file", (path) => {
      Deno.writeTextFileSync(`${path}-file`, "precious");
      Deno.symlinkSync(`${path}-file`, path);
    }],
    ["a link to nothing", (path) => Deno.symlinkSync(`${path}-gone`, path)],
  ];
  for (const [what, make] of makers) {
    await withPath(async (path) => {
      make(path);
      const before = Deno.lstatSync(path);
      await assertRejects(
        () => unix.takeOver!(path),
        Deno.errors.AddrInUse,
        "there is a file that is not a socket",
        what,
      );
      assertEquals(Deno.lstatSync(path).ino, before.ino, what);
    });
  }
});

Deno.test("unix: a link to a socket that was left behind is not replaced", async () => {
  await withPath(async (path) => {
    await leaveBehind(`${path}-real`);
    Deno.symlinkSync(`${path}-real`, path);
    await assertRejects(() => unix.takeOver!(path), Deno.errors.AddrInUse);
    assert(Deno.lstatSync(path).isSymlink && exists(`${path}-real`));
  });
});

Deno.test("unix: of several that find the same file, one replaces it and serves", async () => {
  await withPath(async (path) => {
    for (let round = 0; round < 3; round++) {
      await leaveBehind(path);
      const outcomes = await Promise.allSettled(
        Array.from({ length: 5 }, () => unix.takeOver!(path)),
      );
      let served = 0;
      for (const outcome of outcomes) {
        if (outcome.status === "rejected") {
          assert(outcome.reason instanceof Deno.errors.AddrInUse);
          continue;
        }
        served++;
        const transport = await unix.connect(path, signal);
        await transport.close();
        outcome.value.close();
      }
      assertEquals(served, 1);
      assert(!exists(path));
    }
  });
});

Deno.test("unix: a file that has the name of the lock is left alone", async () => {
  await withPath(async (path) => {
    await leaveBehind(path);
    await Deno.writeTextFile(`${path}.lock`, "precious");
    (await unix.takeOver!(path)).close();
    assertEquals(await Deno.readTextFile(`${path}.lock`), "precious");
  });
});

Deno.test("unix: a listener that has closed leaves the path to the next one", async () => {
  await withPath(async (path) => {
    const first = await unix.listen(path);
    const accepting = first.accept();
    first.close();
    // The first one is not gone yet.
    const second = await unix.takeOver!(path);
    assertEquals(await accepting, null);
    assert(exists(path));
    const transport = await unix.connect(path, signal);
    await (await second.accept())!.transport.close();
    await transport.close();
    second.close();
  });
});

Deno.test("unix: a relative path is replaced, too", async () => {
  const path = `.qtalk-${crypto.randomUUID()}`;
  try {
    await leaveBehind(path);
    const listener = await unix.takeOver!(path);
    assertEquals(listener.addr, `unix:${path}`);
    listener.close();
    assert(!exists(path));
  } finally {
    await Deno.remove(path).catch(() => {});
  }
});

Deno.test({
  name: "unix: a name without a file is in use as long as it is served",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const name = `\0qtalk-${crypto.randomUUID()}`;
    const listener = await unix.listen(name);
    await assertRejects(() => unix.takeOver!(name), Deno.errors.AddrInUse);
    const transport = await unix.connect(name, signal);
    await (await listener.accept())!.transport.close();
    await transport.close();
    listener.close();
    (await unix.listen(name)).close();
  },
});
