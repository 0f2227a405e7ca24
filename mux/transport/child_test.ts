import { assertEquals, assertLess } from "@std/assert";
import { text, utf8 } from "../../tests/support/wire.ts";
import { turn, watch, within } from "../../tests/support/within.ts";
import { childTransport } from "./child.ts";

/** Starts a shell that runs `script`. */
function shell(script: string): Deno.ChildProcess {
  return new Deno.Command("sh", {
    args: ["-c", script],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
}

Deno.test("child transport: what is written is the child's input, what it prints is read", async () => {
  const child = shell("exec cat");
  const transport = childTransport(child);
  await transport.write(utf8("to and fro"));
  assertEquals(text((await transport.read())!), "to and fro");
  await transport.close();
});

Deno.test("child transport: the end of its input goes on to be read as the end of its output", async () => {
  const transport = childTransport(shell("cat; printf bye"));
  await transport.closeWrite();
  assertEquals(text((await transport.read())!), "bye");
  assertEquals(await transport.read(), null);
  await transport.close();
});

Deno.test("child transport: a child that leaves when its input ends is not killed", async () => {
  const child = shell("cat; exit 7");
  await childTransport(child).close();
  const { code, signal } = await child.status;
  assertEquals({ code, signal }, { code: 7, signal: null });
});

Deno.test("child transport: a child that stays is told to terminate", async () => {
  const child = shell("exec sleep 60");
  await childTransport(child).close();
  assertEquals((await child.status).signal, "SIGTERM");
});

Deno.test("child transport: a child that does not want to terminate is killed", async () => {
  const child = shell("trap '' TERM; while :; do sleep 0.1; done");
  await childTransport(child).close();
  assertEquals((await child.status).signal, "SIGKILL");
});

Deno.test("child transport: a child that does not read what was written is ended all the same", async () => {
  const child = shell("exec sleep 60");
  const transport = childTransport(child);
  const writing = watch(transport.write(new Uint8Array(1024 * 1024)));
  for (let i = 0; i < 5; i++) await turn();
  assertEquals(writing.state, "pending");
  const start = performance.now();
  await within(Promise.resolve(transport.close()), "close()", 10_000);
  assertLess(performance.now() - start, 5_000);
  assertEquals((await child.status).signal, "SIGTERM");
});

Deno.test("child transport: closing twice is as good as once", async () => {
  const transport = childTransport(shell("exec cat"));
  await Promise.all([transport.close(), transport.close()]);
  await transport.close();
});

Deno.test("child transport: a child that is gone is no error to close", async () => {
  const child = shell("exit 0");
  await child.status;
  await childTransport(child).close();
});
