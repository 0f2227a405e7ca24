import { dialCommand, type Peer, TalkError } from "@qtalk/qtalk";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { toText } from "@std/streams";
import { MuxError } from "../mux/errors.ts";
import { FakeTime } from "../tests/support/fake_time.ts";
import { turn, watch, within } from "../tests/support/within.ts";

const SCRIPT = new URL("../tests/support/child.ts", import.meta.url).pathname;

/** A command that keeps its child, so that a test can wait for it. */
class WatchedCommand extends Deno.Command {
  child: Deno.ChildProcess | undefined;

  override spawn(): Deno.ChildProcess {
    return this.child = super.spawn();
  }
}

function child(
  mode: string,
  file?: string,
  options: Deno.CommandOptions = { stdin: "piped", stdout: "piped" },
): WatchedCommand {
  const args = ["run", "-A", SCRIPT, mode];
  if (file !== undefined) args.push(file);
  return new WatchedCommand(Deno.execPath(), { ...options, args });
}

/** A file that a child writes to. */
async function notes() {
  const path = await Deno.makeTempFile();
  return {
    path,
    read: () => Deno.readTextFile(path),
    [Symbol.asyncDispose]: () => Deno.remove(path),
  };
}

function isRunning(pid: number): boolean {
  try {
    Deno.kill(pid, "SIGCONT");
    return true;
  } catch {
    return false;
  }
}

/**
 * Closes a peer whose child makes `timers` timers expire: those expire at once,
 * and everything else takes its real time.
 */
async function closeThrough(timers: number, peer: Peer): Promise<void> {
  using time = new FakeTime();
  const closing = watch(peer.close());
  while (closing.state === "pending") {
    if (time.waiting > 0 && timers-- > 0) time.tick(1_000);
    await turn();
  }
}

Deno.test("dialCommand(): the peers call each other over stdin and stdout", async () => {
  await using peer = dialCommand(child("serve"));
  peer.handle("name", (_call, respond) => respond.return("parent"));
  const large = "x".repeat(1_000_000);
  assertEquals(await peer.call("echo", [large]), large);
  assertEquals(await peer.call("ask", ["name"]), "parent");
});

for (const mode of ["serve", "listener"]) {
  Deno.test(`dialCommand(): close() ends the child's stdin, and the child exits (${mode})`, async () => {
    await using file = await notes();
    const peer = dialCommand(child(mode, file.path));
    const pid = await peer.call("pid") as number;
    await within(peer.close(), "close()");
    await peer.closed;
    assert(!isRunning(pid), "the child has exited when close() resolves");
    assertEquals(await file.read(), "left by itself");
    await peer.close();
  });
}

Deno.test("dialCommand(): a child that does not exit is terminated", async () => {
  await using file = await notes();
  const peer = dialCommand(child("lingerer", file.path));
  const pid = await peer.call("pid") as number;
  // It neither ends its output nor exits.
  await closeThrough(2, peer);
  assert(!isRunning(pid));
  assertEquals(await file.read(), "terminated");
});

Deno.test("dialCommand(): a child that ignores SIGTERM is killed", async () => {
  await using file = await notes();
  const command = child("stubborn", file.path);
  const peer = dialCommand(command);
  await peer.call("pid");
  // It neither ends its output nor exits, not even on SIGTERM.
  await closeThrough(3, peer);
  assertEquals((await command.child!.status).signal, "SIGKILL");
});

Deno.test("dialCommand(): a child that has stopped reading is terminated", async () => {
  await using file = await notes();
  const peer = dialCommand(child("stuck", file.path));
  const answer = watch(peer.call("x", "x".repeat(4_000_000)));
  while (await file.read() === "") await turn();
  const pid = Number(await file.read());
  await closeThrough(2, peer);
  assert(!isRunning(pid));
  await turn();
  assertEquals((answer.reason as MuxError).code, "session-closed");
});

Deno.test("dialCommand(): the exit of the child rejects pending calls", async () => {
  const errors: unknown[] = [];
  const peer = dialCommand(child("serve"), {
    onError: (error) => errors.push(error),
  });
  const error = await assertRejects(() => peer.call("exit", [3]), MuxError);
  assertEquals(error.code, "connection-lost");
  await within(peer.closed, "closed");
  await peer.close();
  assertEquals(errors, [], "the child exited between two frames");
});

Deno.test("dialCommand(): a child that closes the session ends it cleanly", async () => {
  const peer = dialCommand(child("closer"));
  const pid = await peer.call("pid") as number;
  await peer.call("leave");
  await within(peer.closed, "closed");
  await peer.close();
  assert(!isRunning(pid));
});

Deno.test("dialCommand(): a child that breaks the protocol is terminated", async () => {
  const errors = Promise.withResolvers<unknown>();
  const peer = dialCommand(child("garbage"), { onError: errors.resolve });
  const error = await assertRejects(
    () => within(peer.closed, "closed"),
    MuxError,
  );
  assertEquals(error.code, "protocol-error");
  assertEquals(await errors.promise, error);
  await peer.close();
});

Deno.test("dialCommand(): a command without piped stdin and stdout is refused", async () => {
  for (
    const options of [
      { stdin: "piped", stdout: "null" },
      { stdin: "null", stdout: "piped" },
      { stdin: "null", stdout: "null" },
    ] as const
  ) {
    const command = child("serve", undefined, options);
    const error = assertThrows(
      () => dialCommand(command),
      TalkError,
      "its stdin and stdout are not both piped",
    );
    assertEquals(error.code, "bad-command");
    const status = await within(command.child!.status, "the child to end");
    assertEquals(status.signal, "SIGKILL");
  }
});

Deno.test("dialCommand(): a command with piped stderr is refused", async () => {
  const options = { stdin: "piped", stdout: "piped", stderr: "piped" } as const;
  const command = child("serve", undefined, options);
  const error = assertThrows(
    () => dialCommand(command),
    TalkError,
    "its stderr is piped",
  );
  assertEquals(error.code, "bad-command");
  const status = await within(command.child!.status, "the child to end");
  assertEquals(status.signal, "SIGKILL");
});

Deno.test("dialCommand(): a command that cannot be started is dial-failed", () => {
  const missing = new Deno.Command("./no-such-command", {
    stdin: "piped",
    stdout: "piped",
  });
  const error = assertThrows(() => dialCommand(missing), TalkError);
  assertEquals(error.code, "dial-failed");
  assert(error.cause instanceof Error);
});

Deno.test("dialCommand(): no child is started if an option is out of range", () => {
  const command = child("serve");
  assertThrows(
    () => dialCommand(command, { session: { maxChannels: 0 } }),
    RangeError,
    "maxChannels",
  );
  assertThrows(
    () => dialCommand(command, { maxCallbacks: -1 }),
    RangeError,
    'Cannot use option "maxCallbacks": -1 is not an integer of at least 0',
  );
  assertEquals(command.child, undefined);
});

/** Starts a child without a peer. */
function spawned(mode: string): Deno.ChildProcess {
  return child(mode, undefined, {
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

Deno.test("stdio: a process exits silently when its stdin ends", async () => {
  const process = spawned("serve");
  await process.stdin.close();
  const status = await within(process.status, "the child to leave");
  assertEquals(
    [status.code, await toText(process.stdout), await toText(process.stderr)],
    [0, "", ""],
  );
});

Deno.test("stdio: a process exits when its stdin ends and its stdout is closed", async () => {
  const process = spawned("serve");
  await process.stdout.cancel();
  await process.stdin.close();
  const status = await within(process.status, "the child to leave");
  assertEquals([status.code, await toText(process.stderr)], [0, ""]);
});

Deno.test("stdio: a process exits after close() even if its stdin stays open", async () => {
  const process = spawned("brief");
  const status = await within(process.status, "the child to leave");
  assertEquals([status.code, await toText(process.stderr)], [0, ""]);
  await process.stdout.cancel();
  await process.stdin.close().catch(() => {});
});
