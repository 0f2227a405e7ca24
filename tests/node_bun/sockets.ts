/**
 * What sockets and child processes do, checked inside Node and Bun, and inside Deno
 * for comparison: the same addresses behave the same.
 *
 *     sockets.mjs DIRECTORY
 *     sockets.mjs serve ADDRESS
 *
 * Prints a line of JSON for each check. A server prints its address. The certificates
 * are in the directory.
 *
 * @module
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import process from "node:process";
import { pathToFileURL } from "node:url";
import {
  CommandExitError,
  dial,
  dialCommand,
  handlerFrom,
  listen,
  TalkError,
  type TlsError,
} from "@qtalk/qtalk";
import { rendezvousService } from "@qtalk/qtalk/rendezvous";

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
  async "a closed listener does not remove the socket file of its successor"() {
    const folder = `${directory}/successor`;
    mkdirSync(folder);
    const path = `${folder}/socket`;
    const first = await listen(`unix:${path}`, { handler });
    unlinkSync(path);
    const second = await listen(`unix:${path}`, { handler });
    await first.close();
    const peer = await dial(second.addr);
    assert.equal(await peer.call("upper", ["a"]), "A");
    await peer.close();
    await second.close();
    assert.deepEqual(readdirSync(folder), []);
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
  async "a command may be the URL of a file, and of nothing else"() {
    const script = `${directory}/a script #1`;
    writeFileSync(script, "#!/bin/sh\nexit 7\n", { mode: 0o755 });
    const { closed } = dialCommand(pathToFileURL(script));
    await assert.rejects(closed, { exitCode: 7 });
    const elsewhere = new URL("https://example.com/bin/sh");
    assert.throws(() => dialCommand(elsewhere), /file/i);
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
  async "a server with TLS knows the certificate of its client"() {
    for (const scheme of ["tls", "wss"]) {
      let subject = "";
      const listener = await listen(`${scheme}://127.0.0.1:0`, {
        tls: { ...pem("server"), ca: pem("ca").cert, clientCert: "required" },
        onPeer(_peer, { tls }) {
          subject = tls?.peerCertificate?.subject ?? "";
        },
        handler: handlerFrom({ size: ({ length }: string) => length }),
      });
      const peer = await dial(listener.addr, {
        tls: { ...pem("client"), ca: pem("ca").cert },
      });
      assert.equal(await peer.call("size", ["x".repeat(1e6)]), 1e6);
      assert.equal(subject, "CN=client");
      await listener.close();
      await peer.closed;
    }
  },
  async "what is wrong with a certificate has a code"() {
    for (
      const [name, code, options] of [
        ["server", "wrong-name", { serverName: "example.com" }],
        ["expired", "expired", {}],
        ["early", "not-yet-valid", {}],
        ["foreign", "unknown-issuer", {}],
        ["server", "wrong-fingerprint", { pin: "0".repeat(64) }],
      ] as const
    ) {
      const listener = await listen("tls://127.0.0.1:0", { tls: pem(name) });
      const tls = { ca: pem("ca").cert, ...options };
      const error = await dial(listener.addr, { tls }).catch((error) => error);
      assert.equal(error.cause?.code, code, `${error.stack}`);
      assert.equal(error.permanent, true);
      const [pin] = /sha256:\w{64}/.exec(error.message) ?? [];
      if (pin !== undefined) {
        const peer = await dial(listener.addr, { tls: { pin } });
        await peer.close();
      }
      await listener.close();
    }
  },
  async "a client whose certificate is refused is told so"() {
    for (
      const [client, code] of [
        [{}, "no-client-certificate"],
        [pem("foreign"), "wrong-client-certificate"],
      ] as const
    ) {
      const reported = Promise.withResolvers<unknown>();
      const listener = await listen("tls://127.0.0.1:0", {
        tls: { ...pem("server"), ca: pem("ca").cert, clientCert: "required" },
        onError: reported.resolve,
      });
      const error = await dial(listener.addr, {
        tls: { ca: pem("ca").cert, ...client },
        reconnect: {},
      }).then((peer) => peer.closed).catch((error) => error);
      assert.equal(error?.cause?.code, code, `${error?.stack}`);
      const report = await reported.promise as TalkError;
      assert.equal((report.cause as TlsError).code, code);
      await listener.close();
    }
  },
  async "text to a server with TLS, and TLS to one without, are errors"() {
    const reported = Promise.withResolvers<unknown>();
    const secure = await listen("tls://127.0.0.1:0", {
      tls: pem("server"),
      onError: reported.resolve,
    });
    const peer = await dial(secure.addr.replace("tls:", "tcp:"));
    await assert.rejects(peer.call("upper", ["a"]));
    const report = await reported.promise as TalkError;
    assert.equal((report.cause as TlsError).code, "not-tls");
    await secure.close();
    const plain = await listen("tcp://127.0.0.1:0", { onError() {} });
    const error = await dial(plain.addr.replace("tcp:", "tls:"), {
      reconnect: {},
    }).catch((error) => error);
    assert.equal(error.cause?.code, "not-tls", `${error.stack}`);
    await plain.close();
  },
  async "clients that a server with TLS refuses learn why, and give up"() {
    for (
      const [scheme, client, expected] of [
        ["tls", "tcp", /looks like TLS/],
        ["tls", "ws", /looks like TLS/],
        ["wss", "tcp", /looks like TLS/],
        ["tls", "wss", /another protocol/],
        ["wss", "tls", /another protocol/],
      ] as const
    ) {
      const listener = await listen(`${scheme}://127.0.0.1:0`, {
        tls: pem("server"),
        onError() {},
      });
      const addr = listener.addr.replace(`${scheme}:`, `${client}:`);
      let attempts = 0;
      const secure = client === "tls" || client === "wss";
      const error = await dial(addr, {
        ...(secure && { tls: { ca: pem("ca").cert } }),
        reconnect: {
          minDelay: 1,
          onState: ({ name }) => void (name === "connecting" && attempts++),
        },
      }).then((peer) => {
        peer.call("upper", ["a"]).catch(() => {});
        return peer.closed;
      }).catch((error) => error);
      assert.match(`${error}`, expected, `${client} to ${scheme}`);
      assert.equal(attempts, 1);
      await listener.close();
    }
  },
  async "a server of TLS 1.2 that demands a certificate is not dialed again"() {
    const { createServer } = await import("node:tls");
    const { readFileSync } = await import("node:fs");
    const server = createServer({
      cert: readFileSync(pem("server").cert),
      key: readFileSync(pem("server").key),
      ca: readFileSync(pem("ca").cert),
      requestCert: true,
      rejectUnauthorized: true,
      maxVersion: "TLSv1.2",
    });
    server.on("tlsClientError", () => {});
    await new Promise<void>((resolve) =>
      server.listen(0, "127.0.0.1", resolve)
    );
    const { port } = server.address() as { port: number };
    const error = await dial(`tls://127.0.0.1:${port}`, {
      tls: { ca: pem("ca").cert },
      reconnect: {},
    }).catch((error) => error);
    assert.equal(error.cause?.code, "no-client-certificate", `${error.stack}`);
    server.close();
  },
  async "peers meet at a rendezvous, and know each other by their keys"() {
    const meeting = await listen("tcp://127.0.0.1:0", {
      handler: rendezvousService(),
    });
    let caller = "";
    const listener = await listen(`peer:bob@${meeting.addr}`, {
      tls: pem("server"),
      onPeer(_peer, { tls }) {
        caller = tls?.peerCertificate?.subject ?? "";
      },
      handler,
    });
    const peer = await dial(listener.addr, {
      tls: pem("client"),
      rendezvous: { directTimeout: 0 },
    });
    assert.equal(peer.way, "relayed");
    assert.equal(await peer.call("upper", ["a"]), "A");
    assert.equal(caller, "CN=client");
    await peer.close();
    await listener.close();
    await meeting.close();
  },
  async "a connection by TLS that is cut is an error"() {
    const reported = Promise.withResolvers<unknown>();
    const listener = await listen("tls://127.0.0.1:0", {
      tls: pem("server"),
      handler,
      onError: reported.resolve,
    });
    const port = Number(listener.addr.split(":").at(-1));
    const sockets: Socket[] = [];
    const proxy = createServer({ allowHalfOpen: true }, (near) => {
      const far = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
      near.on("data", (bytes) => far.write(bytes));
      far.on("data", (bytes) => near.write(bytes));
      sockets.push(near, far);
      for (const socket of [near, far]) socket.on("error", () => {});
    });
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    const { port: proxied } = proxy.address() as { port: number };
    const peer = await dial(`tls://127.0.0.1:${proxied}`, {
      tls: { ca: pem("ca").cert },
    });
    assert.equal(await peer.call("upper", ["a"]), "A");
    for (const socket of sockets) socket.end();
    const error = await peer.closed.catch((error) => error);
    assert.equal(error?.cause?.code, "truncated", `${error?.stack}`);
    const report = await reported.promise as Error;
    assert.equal((report.cause as TlsError).code, "truncated");
    for (const socket of sockets) socket.destroy();
    proxy.close();
    await listener.close();
  },
  async "a key has to be that of its certificate"() {
    const tls = { cert: pem("server").cert, key: pem("client").key };
    const error = await failure(listen("tls://127.0.0.1:0", { tls }));
    assert.equal(error, "listen-failed TypeError permanent");
  },
  async "a command that is not there cannot be started"() {
    const starting = new Promise((resolve) => {
      resolve(dialCommand(`${directory}/no-command`));
    });
    assert.match(await failure(starting), /^dial-failed \w+$/);
  },
};

/** A certificate and its key, or the authority, as paths. */
function pem(name: string): { cert: string; key: string } {
  return { cert: `${directory}/${name}.pem`, key: `${directory}/${name}.key` };
}

if (directory === "serve") {
  if (address === "stdio:") {
    await (await dial("stdio:", { handler })).closed;
  } else {
    const listener = await listen(address!, { handler });
    console.log(`listening ${listener.addr}`);
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
