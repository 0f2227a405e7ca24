import { assert, assertEquals } from "@std/assert";
import { FakeTime } from "../../tests/support/fake_time.ts";
import { text, utf8 } from "../../tests/support/wire.ts";
import { turn, watch } from "../../tests/support/within.ts";
import { childTransport } from "./child.ts";

/** Starts a shell that runs `script`. */
function shell(script: string): Deno.ChildProcess {
  return new Deno.Command("sh", {
    args: ["-c", script],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
}

/** Lets a second pass, and everything that follows from it run. */
async function passSecond(time: FakeTime): Promise<void> {
  assertEquals(time.waiting, 1);
  time.tick(1_000);
  await turn();
}

Deno.test("childTransport: writes to the child's stdin and reads its stdout", async () => {
  const transport = childTransport(shell("exec cat"));
  await transport.write(utf8("to and fro"));
  assertEquals(text((await transport.read())!), "to and fro");
  await transport.close();
});

Deno.test("childTransport: closeWrite() ends the child's stdin", async () => {
  const transport = childTransport(shell("cat; printf bye"));
  await transport.closeWrite();
  assertEquals(text((await transport.read())!), "bye");
  assertEquals(await transport.read(), null);
  await transport.close();
});

Deno.test("childTransport: close() sends no signal to a child that exits when its stdin ends", async () => {
  const child = shell("cat; exit 7");
  await childTransport(child).close();
  const { code, signal } = await child.status;
  assertEquals({ code, signal }, { code: 7, signal: null });
});

Deno.test("childTransport: close() sends SIGTERM to a child that has not exited after a second", async () => {
  using time = new FakeTime();
  const child = shell("exec sleep 60");
  const closing = childTransport(child).close();
  await passSecond(time);
  await closing;
  assertEquals((await child.status).signal, "SIGTERM");
});

Deno.test("childTransport: close() sends SIGKILL to a child that has not exited a second after SIGTERM", async () => {
  using time = new FakeTime();
  const child = shell("trap '' TERM; echo ready; exec sleep 60");
  const transport = childTransport(child);
  assertEquals(text((await transport.read())!), "ready\n");
  const closing = transport.close();
  await passSecond(time);
  await passSecond(time);
  await closing;
  assertEquals((await child.status).signal, "SIGKILL");
});

Deno.test("childTransport: close() ends a child that does not read", async () => {
  using time = new FakeTime();
  const child = shell("exec sleep 60");
  const transport = childTransport(child);
  const writing = watch(transport.write(new Uint8Array(1024 * 1024)));
  for (let i = 0; i < 5; i++) await turn();
  assertEquals(writing.state, "pending");
  const closing = transport.close();
  await passSecond(time);
  await closing;
  assertEquals((await child.status).signal, "SIGTERM");
});

Deno.test("childTransport: close() is idempotent", async () => {
  const child = shell("exec cat");
  const transport = childTransport(child);
  await Promise.all([transport.close(), transport.close()]);
  await transport.close();
  assert((await child.status).success);
});

Deno.test("childTransport: close() resolves for a child that has exited", async () => {
  const child = shell("exit 3");
  const { code } = await child.status;
  await childTransport(child).close();
  assertEquals(code, 3);
});
