import { listen } from "@qtalk/qtalk";
import { assert, assertEquals } from "@std/assert";
import {
  cli,
  type CliOptions,
  type RunningCli,
  startCli,
} from "../../../tests/support/cli.ts";
import { within } from "../../../tests/support/within.ts";

/** The token of both halves, where it does not matter. */
const ENV = { QTALK_TUNNEL_TOKEN: "token" };

const LISTENING = /^listening on (\S+)$/;
const PUBLISHED = /^published at tcp:\/\/.*:(\d+)$/;

/** A loopback address that ports are not bound to by default. */
const OTHER_HOST = Deno.build.os === "linux" ? "127.0.0.2" : "::1";
const OTHER_ADDRESS = OTHER_HOST.includes(":") ? `[${OTHER_HOST}]` : OTHER_HOST;

/**
 * Chooses a port that is free on {@linkcode OTHER_HOST}, and stays so: the same
 * port is taken on 127.0.0.1, so that no process gets it for all addresses.
 */
function reservePort() {
  const taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return {
    port: taken.addr.port,
    [Symbol.dispose]: () => taken.close(),
  };
}

/** Runs a command that can have 45 files open, about 20 of them connections. */
const FEW_FILES = ["sh", "-c", 'ulimit -n 45; exec "$@"', "sh"] as const;

/** Starts a command with the token. */
function start(args: readonly string[], options: CliOptions = {}): RunningCli {
  return startCli(args, { ...options, env: { ...ENV, ...options.env } });
}

/** Runs a command with the token. */
function run(args: readonly string[]) {
  return cli(args, { env: ENV });
}

/** A tunnel to a local port, and the port that is published. */
interface Tunnel extends AsyncDisposable {
  listener: RunningCli;
  publisher: RunningCli;
  /** The address that publishers dial. */
  address: string;
  port: number;
}

async function tunnelTo(
  target: number,
  options: CliOptions & {
    /** The half that may have few files open. */
    few?: "listener" | "publisher";
    /** Options of `tunnel listen`. */
    listen?: readonly string[];
    /** Options of `tunnel publish`. */
    publish?: readonly string[];
  } = {},
): Promise<Tunnel> {
  await using started = new AsyncDisposableStack();
  const listener = started.use(
    start(
      ["tunnel", "listen", "tcp://127.0.0.1:0", ...options.listen ?? []],
      options.few === "listener" ? { ...options, by: FEW_FILES } : options,
    ),
  );
  const address = LISTENING.exec(await listener.line(LISTENING))![1]!;
  const publisher = started.use(
    start(
      [
        "tunnel",
        "publish",
        String(target),
        address,
        "--name=tested",
        // What these targets accept is a connection of the tunnel.
        "--check=0",
        ...options.publish ?? [],
      ],
      options.few === "publisher" ? { ...options, by: FEW_FILES } : options,
    ),
  );
  const port = Number(PUBLISHED.exec(await publisher.line(PUBLISHED))![1]);
  const running = started.move();
  return {
    listener,
    publisher,
    address,
    port,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** A local TCP server, the target of a tunnel. */
async function localServer() {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return await Promise.resolve({
    port: listener.addr.port,
    accept: () => within(listener.accept(), "a connection"),
    [Symbol.dispose]: () => listener.close(),
  });
}

const utf8 = new TextEncoder();

/** Reads a connection to its end. */
async function readAll(conn: Deno.Conn): Promise<string> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(1_024);
  let text = "";
  for (;;) {
    const read = await within(conn.read(buffer), "bytes, or their end");
    if (read === null) return text;
    text += decoder.decode(buffer.subarray(0, read));
  }
}

Deno.test("qtalk tunnel: a local HTTP server is published", async () => {
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    async (request) =>
      new Response(`${request.method} ${await request.text()}`),
  );
  await using tunnel = await tunnelTo(server.addr.port);
  const url = `http://127.0.0.1:${tunnel.port}/`;
  const body = "x".repeat(300_000);
  const answers = await Promise.all(
    Array.from({ length: 5 }, async (_, i) => {
      const response = await fetch(url, { method: "POST", body: body + i });
      return await response.text();
    }),
  );
  answers.forEach((answer, i) => assert(answer === `POST ${body}${i}`));
  await tunnel.publisher.end("SIGTERM");
  await server.shutdown();
});

Deno.test("qtalk tunnel: each direction of a connection ends separately", async () => {
  using server = await localServer();
  await using tunnel = await tunnelTo(server.port);
  using far = await Deno.connect({ port: tunnel.port });
  await far.write(utf8.encode("question"));
  await far.closeWrite();
  using near = await server.accept();
  assertEquals(await readAll(near), "question");
  await near.write(utf8.encode("answer"));
  await near.closeWrite();
  assertEquals(await readAll(far), "answer");
});

Deno.test("qtalk tunnel: a connection closed at one end is closed at the other", async () => {
  using server = await localServer();
  await using tunnel = await tunnelTo(server.port);
  using far = await Deno.connect({ port: tunnel.port });
  const near = await server.accept();
  near.close();
  assertEquals(await readAll(far), "");
});

Deno.test("qtalk tunnel: a connection that the target refuses is closed and reported", async () => {
  // Nothing listens on this port.
  await using tunnel = await tunnelTo(1, { publish: ["--check=10"] });
  using far = await Deno.connect({ port: tunnel.port });
  assertEquals(await readAll(far), "");
  const pattern = /^target is down: .*Cannot connect to tcp:/;
  await tunnel.listener.errorLine(pattern);
  await tunnel.publisher.errorLine(pattern);
});

Deno.test("qtalk tunnel: both halves say when the target goes down and comes up", async () => {
  using reserved = reservePort();
  const { port } = reserved;
  const listenThere = () => Deno.listen({ hostname: OTHER_HOST, port });
  let target = listenThere();
  await using listener = start(["tunnel", "listen", "tcp://127.0.0.1:0"]);
  const address = LISTENING.exec(await listener.line(LISTENING))![1]!;
  await using publisher = start([
    "tunnel",
    "publish",
    `${OTHER_ADDRESS}:${port}`,
    address,
    "--check=0.05",
  ]);
  await publisher.line(PUBLISHED);
  target.close();
  await Promise.all([
    publisher.errorLine(/^target is down: Cannot connect to tcp:/),
    listener.errorLine(/^target is down: tcp:.* Cannot connect to tcp:/),
  ]);
  target = listenThere();
  await Promise.all([
    publisher.errorLine(/^target is up: tcp:/),
    listener.errorLine(/^target is up: tcp:/),
  ]);
  const { code, stderr } = await publisher.end("SIGTERM");
  assertEquals(code, 0);
  assertEquals(stderr.split("\n").length, 3, "each change is printed once");
  target.close();
});

Deno.test("qtalk tunnel: the port is closed when its publisher is stopped, and after the lease when it is killed", async () => {
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    using server = await localServer();
    using reserved = reservePort();
    const { port } = reserved;
    await using tunnel = await tunnelTo(server.port, {
      listen: ["--public", `${OTHER_ADDRESS}:${port}`, "--lease", "0.2"],
    });
    assertEquals(tunnel.port, port);
    const { code } = await tunnel.publisher.end(signal);
    assertEquals(code, signal === "SIGTERM" ? 0 : 137);
    if (signal === "SIGKILL") await tunnel.listener.errorLine(/^lost: /);
    await tunnel.listener.errorLine(/^closed: /);
    const refused = await Deno.connect({ hostname: OTHER_HOST, port }).then(
      (conn) => conn.close(),
      (error) => error,
    );
    assert(refused instanceof Deno.errors.ConnectionRefused);
  }
});

/** Passes bytes in both directions of a connection, with half-close. */
async function assertConnected(far: Deno.Conn, near: Deno.Conn): Promise<void> {
  await far.write(utf8.encode("question"));
  await far.closeWrite();
  assertEquals(await readAll(near), "question");
  await near.write(utf8.encode("answer"));
  await near.closeWrite();
  assertEquals(await readAll(far), "answer");
}

Deno.test("qtalk tunnel publish: a connection in progress goes on when it is stopped, for a while", async () => {
  using server = await localServer();
  await using tunnel = await tunnelTo(server.port, {
    publish: ["--drain=60"],
  });
  using far = await Deno.connect({ port: tunnel.port });
  using near = await server.accept();
  tunnel.publisher.child.kill("SIGTERM");
  await tunnel.listener.errorLine(/^closed: /);
  await assertConnected(far, near);
  assertEquals((await tunnel.publisher.end()).code, 0);
});

Deno.test("qtalk tunnel listen: a connection in progress goes on when it is stopped, for a while", async () => {
  using server = await localServer();
  await using tunnel = await tunnelTo(server.port, { listen: ["--drain=60"] });
  using far = await Deno.connect({ port: tunnel.port });
  using near = await server.accept();
  tunnel.listener.child.kill("SIGTERM");
  await tunnel.publisher.errorLine(/^closed by the server: /);
  await assertConnected(far, near);
  assertEquals((await tunnel.listener.end()).code, 0);
});

Deno.test("qtalk tunnel publish: it connects again when the server was killed, and asks for its port", async () => {
  using server = await localServer();
  await using tunnel = await tunnelTo(server.port, {
    publish: ["--port=5999"],
  });
  const open = await Deno.connect({ port: tunnel.port });
  const near = await server.accept();
  await tunnel.listener.end("SIGKILL");
  assertEquals(
    await readAll(near),
    "",
    "the connections of the tunnel end",
  );
  near.close();
  open.close();
  await tunnel.publisher.errorLine(
    /^error: connection to tcp:.* lost: .*; trying again in \d+\.\d s$/,
  );
  await using again = start(["tunnel", "listen", tunnel.address]);
  await again.errorLine(/^published: tcp:.* \(tested\): by tcp:/);
  await tunnel.publisher.errorLine(/^published again at tcp:/);
  const { port } = tunnel;
  assertEquals(port, 5_999);
  using far = await Deno.connect({ port });
  using there = await server.accept();
  await far.closeWrite();
  assertEquals(await readAll(there), "");
});

Deno.test("qtalk tunnel: a publisher that hangs is replaced by the next one of its name", async () => {
  using server = await localServer();
  await using tunnel = await tunnelTo(server.port);
  const args = [
    "tunnel",
    "publish",
    String(server.port),
    tunnel.address,
    "--name=tested",
    "--max-delay=0.1",
    "--check=0",
  ];
  await using next = start(args);
  await next.errorLine(
    /^error: remote: the name "tested" is in use by another publisher.*; trying again in/,
  );
  // Not even its sockets are closed.
  tunnel.publisher.child.kill("SIGSTOP");
  const line = await next.line(PUBLISHED);
  assertEquals(PUBLISHED.exec(line)![1], String(tunnel.port));
  await tunnel.listener.errorLine(/^replaced: /);
  using far = await Deno.connect({ port: tunnel.port });
  using near = await server.accept();
  await far.closeWrite();
  assertEquals(await readAll(near), "");
});

Deno.test("qtalk tunnel publish: it does not trust a server that does not know the token", async () => {
  await using listener = start([
    "tunnel",
    "listen",
    "tcp://127.0.0.1:0",
    "--insecure",
  ], {
    env: { QTALK_TUNNEL_TOKEN: "" },
  });
  const address = LISTENING.exec(await listener.line(LISTENING))![1]!;
  for (const flags of [[], ["--insecure"]]) {
    assertEquals(await run(["tunnel", "publish", "1", address, ...flags]), {
      code: 1,
      stdout: "",
      stderr: "target is down: Cannot connect to tcp://127.0.0.1:1: " +
        "Connection refused (os error 111)\n" +
        "error: Cannot publish: the server has not proved that it knows the token\n",
    });
  }
});

Deno.test("qtalk tunnel: a publisher with a wrong token is refused", async () => {
  using server = await localServer();
  await using tunnel = await tunnelTo(server.port);
  const args = ["tunnel", "publish", String(server.port), tunnel.address];
  const refusals = [
    ["other", [], "remote: the token is wrong"],
    ["", ["--insecure"], "Cannot publish: the server requires a token"],
  ] as const;
  for (const [token, flags, text] of refusals) {
    const env = { QTALK_TUNNEL_TOKEN: token };
    assertEquals(await cli([...args, ...flags], { env }), {
      code: 1,
      stdout: "",
      stderr: `error: ${text}\n`,
    });
  }
  await tunnel.listener.errorLine(
    /^error: Cannot publish for tcp:.*: the token is wrong$/,
  );
});

/** The shell of Windows has no `ulimit`. */
if (Deno.build.os !== "windows") {
  for (const half of ["listener", "publisher"] as const) {
    Deno.test(`qtalk tunnel: a ${half} without files for all connections serves them one after another`, async () => {
      const server = Deno.serve(
        { hostname: "127.0.0.1", port: 0, onListen() {} },
        () => new Response("served"),
      );
      await using tunnel = await tunnelTo(server.addr.port, {
        few: half,
        listen: ["--max-waiting=1000"],
      });
      const answers = await Promise.all(
        Array.from({ length: 100 }, async () => {
          using conn = await Deno.connect({ port: tunnel.port });
          await conn.write(utf8.encode(
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
          ));
          return await readAll(conn);
        }),
      );
      assertEquals(answers.filter((text) => !text.endsWith("served")), []);
      assertEquals((await tunnel.publisher.end("SIGTERM")).code, 0);
      const { stderr } = await tunnel.listener.end("SIGTERM");
      const said = stderr.match(/^cannot accept: .*files/gm) ?? [];
      assert(said.length <= 1, stderr);
      await server.shutdown();
    });
  }
}

Deno.test("qtalk tunnel: no token is needed with --insecure", async () => {
  using server = await localServer();
  await using tunnel = await tunnelTo(server.port, {
    env: { QTALK_TUNNEL_TOKEN: "" },
    listen: ["--insecure"],
    publish: ["--insecure"],
  });
  using far = await Deno.connect({ port: tunnel.port });
  using near = await server.accept();
  await far.closeWrite();
  assertEquals(await readAll(near), "");
});

Deno.test("qtalk tunnel listen: --tokens names a file with further tokens", async () => {
  const file = await Deno.makeTempFile();
  await Deno.writeTextFile(file, "first\n\n  second  \n");
  using server = await localServer();
  await using listener = start([
    "tunnel",
    "listen",
    "tcp://127.0.0.1:0",
    "--tokens",
    file,
  ], { env: { QTALK_TUNNEL_TOKEN: "" } });
  const address = LISTENING.exec(await listener.line(LISTENING))![1]!;
  const args = ["tunnel", "publish", String(server.port), address];
  await using publisher = start(args, {
    env: { QTALK_TUNNEL_TOKEN: "second" },
  });
  await publisher.line(PUBLISHED);
  await Deno.remove(file);
  const refused = await cli(args, { env: { QTALK_TUNNEL_TOKEN: "third" } });
  assertEquals(refused.code, 1);
});

Deno.test("qtalk tunnel: --public is the port of one publisher at a time", async () => {
  using reserved = reservePort();
  const { port } = reserved;
  await using listener = start([
    "tunnel",
    "listen",
    "tcp://127.0.0.1:0",
    "--public",
    `${OTHER_ADDRESS}:${port}`,
  ]);
  const address = LISTENING.exec(await listener.line(LISTENING))![1]!;
  await using first = start(["tunnel", "publish", "1", address]);
  assertEquals(PUBLISHED.exec(await first.line(PUBLISHED))![1], String(port));
  await using second = start([
    "tunnel",
    "publish",
    "2",
    address,
    "--max-delay=0.1",
  ]);
  await second.errorLine(/^error: remote: port \d+ is in use; trying again in/);
  assertEquals((await first.end("SIGTERM")).code, 0);
  assertEquals(PUBLISHED.exec(await second.line(PUBLISHED))![1], String(port));
});

Deno.test("qtalk tunnel publish: it exits with 1 at a server without tunnel", async () => {
  await using other = await listen("tcp://127.0.0.1:0");
  const { code, stdout, stderr } = await run([
    "tunnel",
    "publish",
    "1",
    other.addr,
  ]);
  assertEquals([code, stdout], [1, ""]);
  assert(
    stderr.endsWith("error: remote: not found: /tunnel/challenge\n"),
    stderr,
  );
});

Deno.test("qtalk tunnel publish: it waits for a server that is not there yet", async () => {
  await using publisher = start([
    "tunnel",
    "publish",
    "80",
    "tcp://127.0.0.1:1",
  ]);
  await publisher.errorLine(/^error: Cannot dial "tcp:.*; trying again in/);
  const { code, stdout } = await publisher.end("SIGTERM");
  assertEquals([code, stdout], [0, ""]);
});

Deno.test("qtalk tunnel: it exits with 2 if it cannot start", async () => {
  const publish = ["publish", "1", "tcp://x:1"];
  for (
    const [text, ...words] of [
      ["expected `listen ADDRESS` or"],
      ["expected `listen ADDRESS` or", "listen"],
      ["expected `listen ADDRESS` or", "publish", "80"],
      ["expected PORT or HOST:PORT", "publish", "http", "tcp://x:1"],
      ["expected PORT or HOST:PORT", "publish", "65536", "tcp://x:1"],
      ["an option of `tunnel listen`", ...publish, "--public", "1"],
      ["an option of `tunnel listen`", ...publish, "--lease", "1"],
      ["an option of `tunnel publish`", "listen", "tcp://x:1", "--name", "x"],
      ["--name", ...publish, "--name", "no spaces"],
      ["--port", ...publish, "--port", "80"],
      ["--check", ...publish, "--check", "-1"],
      ["--max-ports", "listen", "tcp://x:1", "--max-ports", "0"],
      ["--lease", "listen", "tcp://x:1", "--lease", "x"],
      ["no_such_file", "listen", "tcp://x:1", "--tokens", "no_such_file"],
      ["its scheme is not one of", "publish", "80", "127.0.0.1:1"],
    ] as const
  ) {
    const output = await run(["tunnel", ...words]);
    assertEquals([output.code, output.stdout], [2, ""], output.stderr);
    assert(output.stderr.includes(text), output.stderr);
  }
  for (const words of [["listen", "tcp://x:1"], publish]) {
    const env = { QTALK_TUNNEL_TOKEN: "" };
    const output = await cli(["tunnel", ...words], { env });
    assertEquals(output.code, 2);
    assert(output.stderr.includes("pass --insecure"), output.stderr);
  }
});
