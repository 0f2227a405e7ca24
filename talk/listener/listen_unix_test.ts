// Listeners on Unix sockets and the processes that have them.

import { dial, handlerFrom, listen, TalkError } from "@qtalk/qtalk";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { within } from "../../tests/support/within.ts";
import { linesOf } from "../../tests/support/program.ts";
import { exists, withPath } from "../../tests/support/socket_path.ts";

const SERVER =
  new URL("../../tests/support/unix_server.ts", import.meta.url).href;

/** Deno has no Unix sockets on Windows. */
const testUnix: (name: string, fn: () => Promise<void>) => void =
  Deno.build.os === "windows" ? Deno.test.ignore : Deno.test;

/** Starts the server; `line()` gives what it prints. */
function start(path: string, mode = "plain", flags = ["-A"]) {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", ...flags, SERVER, path, mode],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines = linesOf(child.stdout);
  return {
    child,
    async line(): Promise<string | undefined> {
      return (await within(lines.next(), "a line of the server")).value;
    },
    async [Symbol.asyncDispose]() {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended.
      }
      await lines.return(undefined);
      await child.status;
    },
  };
}

async function ping(path: string): Promise<unknown> {
  await using peer = await dial(`unix:${path}`);
  return await peer.call("ping", []);
}

testUnix(
  "unix: a path that is longer than the system allows is an error that is permanent",
  () =>
    withPath(async (path) => {
      const most = Deno.build.os === "linux" ? 107 : 103;
      const longest = path + "x".repeat(most - path.length);
      {
        await using _ = await listen(`unix:${longest}`, {
          handler: handlerFrom({ ping: () => "pong" }),
        });
        assertEquals(await ping(longest), "pong");
      }
      for (const longer of [`${longest}x`, longest + "x".repeat(200)]) {
        const unable = [
          await assertRejects(() => listen(`unix:${longer}`), TalkError),
          await assertRejects(() => dial(`unix:${longer}`), TalkError),
        ];
        assertEquals(
          unable.map(({ code, permanent }) => [code, permanent]),
          [["listen-failed", true], ["dial-failed", true]],
        );
      }
      const directory = path.replace(/\/socket$/, "");
      assertEquals([...Deno.readDirSync(directory)], []);
    }),
);

testUnix(
  "listen(): the socket of a server that was killed is replaced",
  () =>
    withPath(async (path) => {
      for (const flags of [["-A"], permissionsFor(path)]) {
        await using first = start(path);
        assertEquals(await first.line(), "listening");
        first.child.kill("SIGKILL");
        await first.child.status;
        assert(exists(path));
        await using second = start(path, "plain", flags);
        assertEquals(await second.line(), "listening");
        assertEquals(await ping(path), "pong");
        assertEquals(
          [...Deno.readDirSync(path.replace(/\/socket$/, ""))].length,
          1,
        );
        second.child.kill("SIGTERM");
        await second.child.status;
      }
    }),
);

/** The permissions that docs/transports.md has for Unix sockets. */
function permissionsFor(path: string): string[] {
  return [
    `--allow-net=unix:${path}`,
    `--allow-read=${path}`,
    `--allow-write=${path}`,
  ];
}

testUnix(
  "listen(): a socket that is served is listen-failed, and stays",
  () =>
    withPath(async (path) => {
      await using server = start(path);
      assertEquals(await server.line(), "listening");
      const error = await assertRejects(
        () => listen(`unix:${path}`),
        TalkError,
      );
      assertEquals(error.code, "listen-failed");
      assertEquals(
        error.message,
        `Cannot listen on "unix:${path}": another listener serves this socket`,
      );
      assertEquals(await ping(path), "pong");
    }),
);

testUnix(
  "listen(): of two servers that start at once, one serves and the other says so",
  () =>
    withPath(async (path) => {
      for (let round = 0; round < 3; round++) {
        await using killed = start(path);
        assertEquals(await killed.line(), "listening");
        killed.child.kill("SIGKILL");
        await killed.child.status;
        await using a = start(path);
        await using b = start(path);
        const lines = (await Promise.all([a.line(), b.line()])).sort();
        assertEquals(lines, [
          `failed: Cannot listen on "unix:${path}": another listener serves this socket`,
          "listening",
        ]);
        assertEquals(await ping(path), "pong");
      }
    }),
);

for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
  for (const mode of ["plain", "two"]) {
    testUnix(
      `listen(): ${signal} removes the socket and ends the process as ever (${mode})`,
      () =>
        withPath(async (path) => {
          for (const flags of [["-A"], permissionsFor(path)]) {
            if (mode === "two" && flags.length > 1) continue;
            await using server = start(path, mode, flags);
            assertEquals(await server.line(), "listening");
            server.child.kill(signal);
            const status = await within(server.child.status, "its end");
            assertEquals(status.signal, signal);
            assertEquals([exists(path), exists(`${path}-2`)], [false, false]);
          }
        }),
    );
  }
}

testUnix(
  "listen(): a signal that the program handles is left to it",
  () =>
    withPath(async (path) => {
      for (const mode of ["before", "goes-on", "once-before"]) {
        await using server = start(path, mode);
        assertEquals(await server.line(), "listening");
        server.child.kill("SIGTERM");
        assertEquals(await server.line(), "asked to stop", mode);
        assertEquals(await ping(path), "pong", mode);
        if (mode !== "once-before") {
          server.child.kill("SIGTERM");
          assertEquals(await server.line(), "asked to stop", mode);
          assertEquals(await ping(path), "pong", mode);
        }
      }
    }),
);

testUnix(
  "listen(): a program that exits or closes the listener at a signal leaves no file",
  () =>
    withPath(async (path) => {
      for (const [mode, code] of [["exits", 7], ["closes", 0]] as const) {
        await using server = start(path, mode);
        assertEquals(await server.line(), "listening");
        server.child.kill("SIGTERM");
        const status = await within(server.child.status, "its end");
        assertEquals([status.code, exists(path)], [code, false], mode);
      }
    }),
);

testUnix(
  "listener.close(): the next listener on the path keeps its file",
  () =>
    withPath(async (path) => {
      const options = { handler: () => {} };
      const first = await listen(`unix:${path}`, options);
      const closing = first.close();
      await using _second = await listen(`unix:${path}`, options);
      await closing;
      assert(exists(path));
      await using peer = await dial(`unix:${path}`);
      assertEquals(await peer.call("x"), null);
    }),
);

testUnix(
  "listener.close(): a file that has replaced its socket is not removed by it",
  () =>
    withPath(async (path) => {
      const listener = await listen(`unix:${path}`);
      // A name that Deno itself does not remove when it closes the socket.
      await Deno.remove(path);
      await Deno.mkdir(path);
      await listener.close();
      assert(exists(path));
    }),
);

testUnix(
  "listen(): a Unix socket in a folder that does not exist is NotFound",
  () =>
    withPath(async (path) => {
      const error = await assertRejects(
        () => listen(`unix:${path}.none/socket`),
        TalkError,
      );
      assertEquals(error.code, "listen-failed");
      // Node has the code of a missing right for it.
      assertEquals((error.cause as Error).name, "NotFound");
    }),
);
