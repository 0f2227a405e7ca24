/**
 * What sockets and child processes do, checked inside Node and Bun, and inside Deno
 * for comparison: the same addresses behave the same.
 *
 *     sockets.mjs DIRECTORY
 *     sockets.mjs serve ADDRESS
 *
 * Prints a line of JSON for each check.
 *
 * @module
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import process from "node:process";
import {
  CommandExitError,
  dial,
  dialCommand,
  handlerFrom,
  listen,
  TalkError,
} from "@qtalk/qtalk";

const [directory, address] = process.argv.slice(2);
/** What runs this program again. */
const self = "Deno" in globalThis ? ["run", "-A"] : [];
const program = new URL(import.meta.url).pathname;

const handler = handlerFrom({ upper: (text: string) => text.toUpperCase() });

/** The error of a promise that should reject, as text. */
async function failure(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(() => "resolved", (error) => error);
  if (!(error instanceof TalkError)) return `${error?.stack ?? error}`;
  const cause = error.cause as Error | undefined;
  return [error.code, cause?.name, error.permanent && "permanent"]
    .filter(Boolean).join(" ");
}

/** Starts a server of this program, until it listens. */
async function serverAt(address: string) {
  const child = spawn(process.execPath, [...self, program, "serve", address], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise<string | null>((resolve) => {
    child.on("exit", (_code, signal) => resolve(signal));
  });
  await new Promise((resolve) => child.stdout.once("data", resolve));
  return { child, ended };
}

const checks: Record<string, () => Promise<void>> = {
  async "a port without a listener refuses"() {
    const listener = await listen("tcp://127.0.0.1:0");
    await listener.close();
    assert.equal(
      await failure(dial(listener.addr)),
      "dial-failed ConnectionRefused",
    );
  },
  async "a port that is taken is in use"() {
    const listener = await listen("tcp://127.0.0.1:0");
    assert.equal(
      await failure(listen(listener.addr)),
      "listen-failed AddrInUse",
    );
    await listener.close();
  },
  async "an address of another form is refused"() {
    for (
      const wrong of ["tcp:nowhere", "tcp://host", "unix:", "ws:/x", "pipe:"]
    ) {
      const found = "bad-address SyntaxError permanent";
      assert.equal(await failure(dial(wrong)), found, wrong);
      assert.equal(await failure(listen(wrong)), found, wrong);
    }
  },
  async "a name that does not resolve is no permanent failure"() {
    const error = await failure(dial("tcp://no-such-host.invalid:1"));
    assert.match(error, /^dial-failed \w+$/);
  },
  async "a socket file that is missing is not found"() {
    assert.equal(
      await failure(dial(`unix:${directory}/missing`)),
      "dial-failed NotFound",
    );
  },
  async "an abort ends dialing with its reason"() {
    const silent = createServer();
    await new Promise<void>((resolve) =>
      silent.listen(0, "127.0.0.1", resolve)
    );
    const { port } = silent.address() as { port: number };
    const reason = new Error("enough");
    const controller = new AbortController();
    const dialing = dial(`ws://127.0.0.1:${port}/`, {
      signal: controller.signal,
    });
    silent.once("connection", () => controller.abort(reason));
    await assert.rejects(dialing, reason);
    silent.close();
  },
  async "a listener tells the address of its client"() {
    const seen = Promise.withResolvers<string>();
    const listener = await listen("tcp://127.0.0.1:0", {
      onPeer: (_peer, { remoteAddr }) => seen.resolve(remoteAddr),
      handler,
    });
    const peer = await dial(listener.addr);
    assert.equal(await peer.call("upper", ["a"]), "A");
    assert.match(await seen.promise, /^tcp:\/\/127\.0\.0\.1:\d+$/);
    await listener.close();
    await peer.closed.catch(() => {});
  },
  async "IPv6 hosts are in brackets"() {
    const listener = await listen("tcp://[::1]:0", { handler }).catch(() => {});
    if (listener === undefined) return; // This machine has no IPv6.
    assert.match(listener.addr, /^tcp:\/\/\[::1\]:\d+$/);
    const peer = await dial(listener.addr);
    assert.equal(await peer.call("upper", ["a"]), "A");
    await peer.close();
    await listener.close();
  },
  async "a client that resets its connection leaves the listener alone"() {
    const listener = await listen("tcp://127.0.0.1:0", {
      handler,
      onError() {},
    });
    const { port } = new URL(listener.addr.replace("tcp:", "http:"));
    for (let i = 0; i < 20; i++) {
      const socket = connect(Number(port), "127.0.0.1");
      await new Promise((resolve) => socket.once("connect", resolve));
      socket.resetAndDestroy();
    }
    const peer = await dial(listener.addr);
    assert.equal(await peer.call("upper", ["a"]), "A");
    await peer.close();
    await listener.close();
  },
  async "a closed listener removes its socket file, and no other file"() {
    const path = `${directory}/own`;
    const listener = await listen(`unix:${path}`, { handler });
    assert(existsSync(path));
    assert.equal(
      await failure(listen(`unix:${path}`)),
      "listen-failed AddrInUse",
    );
    const peer = await dial(listener.addr);
    assert.equal(await peer.call("upper", ["a"]), "A");
    await peer.close();
    await listener.close();
    assert(!existsSync(path));
    writeFileSync(path, "a file");
    assert.equal(
      await failure(listen(`unix:${path}`)),
      "listen-failed AddrInUse",
    );
    assert(existsSync(path));
  },
  async "the socket file of a killed server is replaced"() {
    const path = `${directory}/stale`;
    const server = await serverAt(`unix:${path}`);
    server.child.kill("SIGKILL");
    await server.ended;
    assert(existsSync(path));
    const listener = await listen(`unix:${path}`, { handler });
    const peer = await dial(listener.addr);
    assert.equal(await peer.call("upper", ["a"]), "A");
    await peer.close();
    await listener.close();
    assert(!existsSync(path));
  },
  async "a signal that the program does not handle removes the socket file"() {
    const path = `${directory}/ended`;
    const server = await serverAt(`unix:${path}`);
    server.child.kill("SIGTERM");
    assert.equal(await server.ended, "SIGTERM");
    assert(!existsSync(path));
  },
  async "a WebSocket at another path is refused for good"() {
    const listener = await listen("ws://127.0.0.1:0/here", { handler });
    const error = await failure(dial(listener.addr.replace("here", "there")));
    assert.equal(error, "dial-failed Error permanent");
    const peer = await dial(listener.addr, { headers: { "x-a": "b" } });
    assert.equal(await peer.call("upper", ["a"]), "A");
    await peer.close();
    await listener.close();
  },
  async "a server that takes too long for a WebSocket's request reports it"() {
    const reported = Promise.withResolvers<unknown>();
    const listener = await listen("ws://127.0.0.1:0/", {
      handshakeTimeout: 50,
      onError: reported.resolve,
    });
    const { port } = new URL(listener.addr);
    const socket = connect(Number(port), "127.0.0.1");
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.resume();
    const error = await reported.promise;
    assert(error instanceof TalkError && error.code === "timeout", `${error}`);
    await closed;
    await listener.close();
  },
  async "a child process answers, and closing ends it"() {
    const peer = dialCommand(process.execPath, {
      args: [...self, program, "serve", "stdio:"],
    });
    assert.equal(await peer.call("upper", ["a"]), "A");
    await peer.close();
    assert.equal((await peer.status).success, true);
  },
  async "a child that fails is an error with its code or signal"() {
    const failing = dialCommand("sh", { args: ["-c", "exit 7"] });
    await assert.rejects(failing.closed, (error) => {
      assert(error instanceof CommandExitError, `${error}`);
      assert.deepEqual([error.exitCode, error.signal], [7, null]);
      return true;
    });
    const killed = dialCommand("sh", { args: ["-c", "kill -9 $$"] });
    await assert.rejects(killed.closed, (error) => {
      assert(error instanceof CommandExitError, `${error}`);
      assert.deepEqual([error.exitCode, error.signal], [137, "SIGKILL"]);
      return true;
    });
  },
  async "a child's stderr can be read, and its environment set"() {
    const peer = dialCommand("sh", {
      args: ["-c", 'echo "$A$PATH" >&2; pwd >&2; exit 1'],
      env: { A: "b", PATH: "/bin" },
      clearEnv: true,
      cwd: "/",
      stderr: "piped",
    });
    assert.equal(await new Response(peer.stderr).text(), "b/bin\n/\n");
    await peer.closed.catch(() => {});
  },
  async "a command that is not there cannot be started"() {
    const starting = (async () => dialCommand(`${directory}/no-command`))();
    assert.match(await failure(starting), /^dial-failed \w+$/);
  },
};

if (directory === "serve") {
  if (address === "stdio:") {
    await (await dial("stdio:", { handler })).closed;
  } else {
    await listen(address!, { handler });
    console.log("listening");
  }
} else {
  for (const [check, run] of Object.entries(checks)) {
    let error: string | undefined;
    try {
      await run();
    } catch (failure) {
      error = failure instanceof Error ? failure.stack : `${failure}`;
    }
    console.log(JSON.stringify({ check, error }));
  }
  process.exit();
}
