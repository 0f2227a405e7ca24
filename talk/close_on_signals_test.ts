import { assertEquals, assertThrows } from "@std/assert";
import { dial, listen } from "@qtalk/qtalk";
import { closeOnSignals } from "@qtalk/qtalk/signals";
import { exists, withPath } from "../tests/support/socket_path.ts";
import { startProgram } from "../tests/support/program.ts";
import { within } from "../tests/support/within.ts";

const SERVER = new URL("../tests/support/signal_server.ts", import.meta.url);

/** On Windows a signal from another process can only end a process. */
const testSignals: (name: string, fn: () => Promise<void>) => void =
  Deno.build.os === "windows" ? Deno.test.ignore : Deno.test;

function start(mode: string, stderr: "inherit" | "null" = "inherit") {
  return startProgram(Deno.execPath(), ["run", SERVER.href, mode], stderr);
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  testSignals(
    `closeOnSignals(): ${signal} drains, and the process ends by itself`,
    async () => {
      await using server = start("drains");
      await server.line("ready");
      server.child.kill(signal);
      await server.line(`${signal} 1`);
      await server.line("close 1234");
      await server.line(`closed by ${signal}`);
      const { code, signal: by } = await server.ended();
      assertEquals([code, by], [0, null]);
    },
  );
}

testSignals(
  "closeOnSignals(): a second signal closes at once and ends the process",
  async () => {
    await using server = start("busy");
    await server.line("ready");
    server.child.kill("SIGTERM");
    await server.line("SIGTERM 1");
    server.child.kill("SIGINT");
    await server.line("SIGINT 2");
    await server.line("close 0");
    // What the program does when it is closed still happens.
    await server.line("closed by SIGTERM");
    assertEquals((await server.ended()).code, 130);
  },
);

testSignals(
  "closeOnSignals(): a signal ends a process that is closed and that something else keeps running",
  async () => {
    await using server = start("lingers");
    await server.line("ready");
    server.child.kill("SIGTERM");
    await server.line("lingers");
    // The signals have their usual effect again.
    server.child.kill("SIGTERM");
    assertEquals((await server.ended()).signal, "SIGTERM");
  },
);

testSignals(
  "closeOnSignals(): a third signal ends a process that cannot close",
  async () => {
    await using server = start("stays");
    await server.line("ready");
    server.child.kill("SIGTERM");
    await server.line("SIGTERM 1");
    server.child.kill("SIGTERM");
    await server.line("SIGTERM 2");
    server.child.kill("SIGTERM");
    assertEquals((await server.ended()).code, 143);
  },
);

testSignals(
  "closeOnSignals(): an error of close() is uncaught",
  async () => {
    await using server = start("throws", "null");
    await server.line("ready");
    server.child.kill("SIGTERM");
    await server.line("close 1234");
    assertEquals((await server.ended()).code, 1);
  },
);

testSignals(
  "closeOnSignals(): other signals in place of the usual ones",
  async () => {
    await using server = start("other");
    await server.line("ready");
    server.child.kill("SIGHUP");
    await server.line("SIGHUP 1");
    assertEquals((await server.ended()).code, 0);
    await using other = start("other");
    await other.line("ready");
    other.child.kill("SIGTERM");
    assertEquals((await other.ended()).signal, "SIGTERM");
  },
);

testSignals(
  "closeOnSignals(): it does not keep a process running that has closed by itself",
  async () => {
    await using server = start("ends");
    await server.line("ready");
    await server.line("closed by undefined");
    assertEquals((await server.ended()).code, 0);
  },
);

testSignals(
  "closeOnSignals(): once disposed of, it leaves signals their usual effect",
  async () => {
    await using server = start("disposes");
    await server.line("ready");
    server.child.kill("SIGINT");
    assertEquals((await server.ended()).signal, "SIGINT");
  },
);

testSignals(
  "closeOnSignals(): the socket file of a listener is removed",
  () =>
    withPath(async (path) => {
      for (const second of [false, true]) {
        await using server = startProgram(Deno.execPath(), [
          "run",
          "-A",
          new URL("../tests/support/unix_server.ts", import.meta.url).href,
          path,
          "drains",
        ]);
        await server.line("listening");
        await using peer = await dial(`unix:${path}`);
        const slow = peer.call("slow", []).catch((error: Error) => error);
        await server.line("slow");
        server.child.kill("SIGTERM");
        await server.line("SIGTERM 1");
        if (second) {
          server.child.kill("SIGTERM");
          assertEquals((await server.ended()).code, 143);
        } else {
          await peer.close();
          await server.line("closed");
          assertEquals((await server.ended()).code, 0);
        }
        await slow;
        assertEquals(exists(path), false);
      }
    }),
);

Deno.test("closeOnSignals(): it stops listening once everything is closed", async () => {
  const listeners = [
    await listen("tcp://127.0.0.1:0"),
    await listen("tcp://127.0.0.1:0"),
  ];
  const closing = closeOnSignals(listeners);
  assertEquals(closing.received, undefined);
  for (const listener of listeners) await listener.close();
  // A listener to a signal that stayed would fail the test as a leak.
  await within(Promise.all(listeners.map(({ closed }) => closed)), "the end");
});

Deno.test("closeOnSignals(): options that cannot be used throw, and nothing is listened to", async () => {
  await using listener = await listen("tcp://127.0.0.1:0");
  assertThrows(
    () => closeOnSignals(listener, { drainTimeout: -1 }),
    RangeError,
    '"drainTimeout"',
  );
  assertThrows(
    () => closeOnSignals(listener, { signals: ["SIGINT", "SIGNONE"] }),
    TypeError,
  );
});
