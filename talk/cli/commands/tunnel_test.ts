import { listen } from "@qtalk/qtalk";
import { assert, assertEquals } from "@std/assert";
import {
  cli,
  type CliOptions,
  type RunningCli,
  startCli,
} from "../../../tests/support/cli.ts";
import { within } from "../../../tests/support/within.ts";

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
  options: CliOptions = {},
  publicAddress = "127.0.0.1:0",
): Promise<Tunnel> {
  await using started = new AsyncDisposableStack();
  const listener = started.use(
    startCli(
      ["tunnel", "listen", "tcp://127.0.0.1:0", "--public", publicAddress],
      options,
    ),
  );
  const address = LISTENING.exec(await listener.line(LISTENING))![1]!;
  const publisher = started.use(
    startCli(["tunnel", "publish", String(target), address], options),
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
  await using tunnel = await tunnelTo(1);
  using far = await Deno.connect({ port: tunnel.port });
  assertEquals(await readAll(far), "");
  await tunnel.listener.errorLine(/^error: remote: Cannot connect to tcp:/);
});

Deno.test("qtalk tunnel: the port is closed when its publisher ends", async () => {
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    using server = await localServer();
    using reserved = reservePort();
    const { port } = reserved;
    const publicAddress = `${OTHER_ADDRESS}:${port}`;
    await using tunnel = await tunnelTo(server.port, {}, publicAddress);
    assertEquals(tunnel.port, port);
    const { code } = await tunnel.publisher.end(signal);
    assertEquals(code, signal === "SIGTERM" ? 0 : 137);
    await tunnel.listener.errorLine(/^closed: /);
    const refused = await Deno.connect({ hostname: OTHER_HOST, port }).then(
      (conn) => conn.close(),
      (error) => error,
    );
    assert(refused instanceof Deno.errors.ConnectionRefused);
  }
});

Deno.test("qtalk tunnel publish: it exits with 3 when the server is killed", async () => {
  using server = await localServer();
  await using tunnel = await tunnelTo(server.port);
  const open = await Deno.connect({ port: tunnel.port });
  const near = await server.accept();
  await tunnel.listener.end("SIGKILL");
  const { code } = await tunnel.publisher.end();
  assertEquals(code, 3);
  assertEquals(
    await readAll(near),
    "",
    "the connections of the tunnel end too",
  );
  near.close();
  open.close();
});

Deno.test("qtalk tunnel: a publisher with a wrong token is refused", async () => {
  const env = { QTALK_TUNNEL_TOKEN: "secret" };
  using server = await localServer();
  await using tunnel = await tunnelTo(server.port, { env });
  for (const wrong of ["", "other"]) {
    const args = ["tunnel", "publish", String(server.port), tunnel.address];
    assertEquals(await cli(args, { env: { QTALK_TUNNEL_TOKEN: wrong } }), {
      code: 1,
      stdout: "",
      stderr: "error: remote: the token is wrong\n",
    });
  }
});

Deno.test("qtalk tunnel: --public is the port of one publisher at a time", async () => {
  using reserved = reservePort();
  const { port } = reserved;
  await using listener = startCli([
    "tunnel",
    "listen",
    "tcp://127.0.0.1:0",
    "--public",
    `${OTHER_ADDRESS}:${port}`,
  ]);
  const address = LISTENING.exec(await listener.line(LISTENING))![1]!;
  await using publisher = startCli(["tunnel", "publish", "1", address]);
  assertEquals(
    PUBLISHED.exec(await publisher.line(PUBLISHED))![1],
    String(port),
  );
  const second = await cli(["tunnel", "publish", "1", address]);
  assertEquals(second.code, 1);
  assert(second.stderr.includes("in use"), second.stderr);
});

Deno.test("qtalk tunnel publish: it exits with 1 at a server without tunnel", async () => {
  await using other = await listen("tcp://127.0.0.1:0");
  assertEquals(await cli(["tunnel", "publish", "1", other.addr]), {
    code: 1,
    stdout: "",
    stderr: "error: remote: not found: /tunnel/publish\n",
  });
});

Deno.test("qtalk tunnel: it exits with 2 or 3 if it cannot start", async () => {
  for (
    const [code, text, ...words] of [
      [2, "expected `listen ADDRESS` or"],
      [2, "expected `listen ADDRESS` or", "listen"],
      [2, "expected `listen ADDRESS` or", "publish", "80"],
      [2, "expected PORT or HOST:PORT", "publish", "http", "tcp://x:1"],
      [2, "expected PORT or HOST:PORT", "publish", "65536", "tcp://x:1"],
      [
        2,
        "an option of `tunnel listen`",
        "publish",
        "1",
        "tcp://x:1",
        "--public",
        "1",
      ],
      [3, "Cannot dial", "publish", "80", "tcp://127.0.0.1:1"],
    ] as const
  ) {
    const output = await cli(["tunnel", ...words]);
    assertEquals([output.code, output.stdout], [code, ""], output.stderr);
    assert(output.stderr.includes(text), output.stderr);
  }
});
