import {
  CommandExitError,
  type CommandPeer,
  dialCommand,
  type DialCommandOptions,
  type Peer,
  TalkError,
} from "@qtalk/qtalk";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { toText } from "@std/streams";
import { MuxError } from "../../mux/errors.ts";
import type { CommandLike } from "./dial_command.ts";
import { FakeTime } from "../../tests/support/fake_time.ts";
import { turn, until, watch, within } from "../../tests/support/within.ts";

const SCRIPT =
  new URL("../../tests/support/child.ts", import.meta.url).pathname;

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
  await until(() => closing.state !== "pending", "close()", () => {
    if (time.waiting > 0 && timers-- > 0) time.tick(1_000);
    return turn();
  });
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
  await until(async () => await file.read() !== "");
  const pid = Number(await file.read());
  await closeThrough(2, peer);
  assert(!isRunning(pid));
  await turn();
  assertEquals((answer.reason as MuxError).code, "session-closed");
});

/** A peer of a shell command, which says nothing unless it is a line of text. */
function shell(script: string, options: DialCommandOptions = {}): CommandPeer {
  return dialCommand("sh", { args: ["-c", script], ...options });
}

/** Tests with a shell. */
const testShell: typeof Deno.test.ignore = Deno.build.os === "windows"
  ? Deno.test.ignore
  : Deno.test;

Deno.test("dialCommand(): a child that exits with another code than 0 rejects calls and closed", async () => {
  const errors: unknown[] = [];
  const peer = dialCommand(child("serve"), {
    onError: (error) => errors.push(error),
  });
  const error = await assertRejects(
    () => peer.call("exit", [7]),
    CommandExitError,
    "Connection is lost: the command exited with code 7",
  );
  assertEquals(
    [error.code, error.exitCode, error.signal],
    ["connection-lost", 7, null],
  );
  const reason = await assertRejects(() => peer.closed, CommandExitError);
  assertEquals([reason.exitCode, reason.signal], [7, null]);
  assertEquals((await peer.status).code, 7);
  await peer.close();
  assertEquals(errors.length, 1);
  assertStrictEquals(errors[0], reason);
});

Deno.test("dialCommand(): a child that exits with code 0 ends the session cleanly", async () => {
  const peer = dialCommand(child("serve"));
  const error = await assertRejects(() => peer.call("exit", [0]), MuxError);
  assertEquals(error.code, "connection-lost");
  await within(peer.closed, "closed");
  assertEquals((await peer.status).success, true);
  await peer.close();
});

for (const signal of ["SIGKILL", "SIGTERM", "SIGINT"] as const) {
  testShell(
    `dialCommand(): a child that ${signal} ends rejects calls and closed`,
    async () => {
      const peer = dialCommand(child("serve"));
      await peer.call("pid");
      const call = peer.call("never").catch((error) => error);
      Deno.kill(peer.pid, signal);
      const error = await assertRejects(
        () => within(peer.closed, "closed"),
        CommandExitError,
        `Connection is lost: the command was ended by ${signal}`,
      );
      assertEquals(error.signal, signal);
      assert(await call instanceof Error);
      await peer.close();
    },
  );
}

testShell(
  "dialCommand(): a child that fails before it says anything rejects closed",
  async () => {
    for (const [script, code] of [["exit 1", 1], ["no-such-program", 127]]) {
      const peer = shell(`${script}`, { stderr: "null" });
      const error = await assertRejects(
        () => within(peer.closed, "closed"),
        CommandExitError,
      );
      assertEquals(error.exitCode, code);
      await peer.close();
    }
  },
);

testShell(
  "dialCommand(): a child that fails while another process holds its stdout rejects closed",
  async () => {
    using time = new FakeTime();
    // The other process ends when close() ends its standard input.
    const peer = shell("exec 3<&0; cat <&3 & exit 7", {
      // The only timer is to be that of the child's end.
      session: { keepAlive: false },
    });
    const closed = watch(peer.closed);
    await until(() => time.waiting !== 0);
    time.tick(999);
    await turn();
    assertEquals(closed.state, "pending");
    time.tick(1);
    await until(() => closed.state !== "pending");
    const error = closed.reason as CommandExitError;
    assertEquals(error.exitCode, 7);
    await peer.close();
  },
);

testShell(
  "dialCommand(): a child that close() has to end is no failure",
  async () => {
    const peer = shell("exec sleep 1000");
    await closeThrough(2, peer);
    await peer.closed;
    assertEquals((await peer.status).signal, "SIGTERM");
  },
);

testShell(
  "dialCommand(): a child's stderr is captured, dropped or passed on",
  async () => {
    const script = "echo trouble >&2; exit 3";
    {
      await using peer = shell(script, { stderr: "piped" });
      await peer.closed.catch(() => {});
      assertEquals(await toText(peer.stderr!), "trouble\n");
    }
    {
      const command = new Deno.Command("sh", {
        args: ["-c", script],
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
      });
      await using peer = dialCommand(command);
      assertEquals(await toText(peer.stderr!), "trouble\n");
      await peer.closed.catch(() => {});
    }
    {
      const chunks: Uint8Array[] = [];
      let closed = false;
      const stderr = new WritableStream<Uint8Array>({
        write: (chunk) => void chunks.push(chunk),
        close: () => void (closed = true),
      });
      await using peer = shell(script, { stderr });
      assertEquals(peer.stderr, undefined);
      await peer.closed.catch(() => {});
      await until(() => !stderr.locked);
      assertEquals(await new Blob(chunks as BlobPart[]).text(), "trouble\n");
      assertEquals(closed, false, "it may be for other children, too");
    }
    {
      await using peer = shell(script, { stderr: "null" });
      assertEquals(peer.stderr, undefined);
      await peer.closed.catch(() => {});
    }
  },
);

testShell(
  "dialCommand(): a stream that fails to take a child's stderr is reported",
  async () => {
    const errors: unknown[] = [];
    const full = new Error("disk full");
    await using peer = shell("echo trouble >&2", {
      stderr: new WritableStream({ write: () => Promise.reject(full) }),
      onError: (error) => errors.push(error),
    });
    await peer.closed;
    await until(() => errors.length > 0);
    assertEquals(errors, [full]);
  },
);

testShell(
  "dialCommand(): args, cwd and env are those of the child",
  async () => {
    await using peer = dialCommand("sh", {
      args: ["-c", 'echo "$0 $NAME $(pwd)" >&2', "zero"],
      cwd: "/",
      env: { NAME: "Ann" },
      stderr: "piped",
    });
    assertEquals(await toText(peer.stderr!), "zero Ann /\n");
    await peer.closed;
  },
);

Deno.test("dialCommand(): options of a command object are refused beside it", () => {
  const command = child("serve");
  for (
    const options of [
      { args: [] },
      { cwd: "/" },
      { env: {} },
      { clearEnv: true },
      { stderr: "null" },
    ] as DialCommandOptions[]
  ) {
    assertThrows(
      () => dialCommand(command, options),
      TypeError,
      `Cannot use option "${Object.keys(options)[0]}" with a command object`,
    );
  }
  assertEquals(command.child, undefined);
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

Deno.test("dialCommand(): a command that cannot be started is dial-failed", () => {
  const missing = new Deno.Command("./no-such-command", {
    stdin: "piped",
    stdout: "piped",
  });
  for (const command of [missing, "./no-such-command"]) {
    const error = assertThrows(() => dialCommand(command), TalkError);
    assertEquals(error.code, "dial-failed");
    assert(error.cause instanceof Error);
  }
});

Deno.test("dialCommand(): a missing permission is permanent, a missing program is not", () => {
  const failing = (name: string): CommandLike => ({
    spawn() {
      throw Object.assign(new Error("no"), { name });
    },
  });
  for (const [name, permanent] of [["NotCapable", true], ["NotFound", false]]) {
    const command = failing(name as string);
    const error = assertThrows(() => dialCommand(command), TalkError);
    assertEquals(error.permanent, permanent);
  }
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
