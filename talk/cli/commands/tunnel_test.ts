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
const PUBLISHED = /^published at tcp:\/\/127\.0\.0\.1:(\d+)$/;

/** A tunnel to a local port, and the port that others reach. */
interface Tunnel extends AsyncDisposable {
  listener: RunningCli;
  publisher: RunningCli;
  /** Where publishers dial. */
  address: string;
  port: number;
}

async function tunnelTo(
  target: number,
  options: CliOptions = {},
): Promise<Tunnel> {
  await using started = new AsyncDisposableStack();
  const listener = started.use(
    startCli(["tunnel", "listen", "tcp://127.0.0.1:0"], options),
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

/** Accepts one TCP connection, from whoever `connect` makes connect. */
async function localServer() {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return await Promise.resolve({
    port: listener.addr.port,
    accept: () => within(listener.accept(), "a connection"),
    [Symbol.dispose]: () => listener.close(),
  });
}

const utf8 = new TextEncoder();

/** Reads up to the end. */
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

Deno.test("tunnel publishes a local HTTP server", async () => {
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

Deno.test("tunnel ends each direction of a connection by itself", async () => {
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

Deno.test("tunnel closes at one end what was closed at the other", async () => {
  using server = await localServer();
  await using tunnel = await tunnelTo(server.port);
  using far = await Deno.connect({ port: tunnel.port });
  const near = await server.accept();
  near.close();
  assertEquals(await readAll(far), "");
});

Deno.test("tunnel closes a connection that nobody answers, and says so", async () => {
  // Nothing listens there; a port just given back could be somebody else's now.
  await using tunnel = await tunnelTo(1);
  using far = await Deno.connect({ port: tunnel.port });
  assertEquals(await readAll(far), "");
  await tunnel.listener.errorLine(/^error: remote: Cannot connect to tcp:/);
});

Deno.test("tunnel closes the port when its publisher leaves, or is killed", async () => {
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    using server = await localServer();
    await using tunnel = await tunnelTo(server.port);
    const { code } = await tunnel.publisher.end(signal);
    assertEquals(code, signal === "SIGTERM" ? 0 : 137);
    await tunnel.listener.errorLine(/^closed: /);
    const refused = await Deno.connect({ port: tunnel.port }).then(
      (conn) => conn.close(),
      (error) => error,
    );
    assert(refused instanceof Deno.errors.ConnectionRefused);
  }
});

Deno.test("tunnel publish exits with 3 when the other half is killed", async () => {
  using server = await localServer();
  await using tunnel = await tunnelTo(server.port);
  const open = await Deno.connect({ port: tunnel.port });
  const near = await server.accept();
  await tunnel.listener.end("SIGKILL");
  const { code } = await tunnel.publisher.end();
  assertEquals(code, 3);
  assertEquals(await readAll(near), "", "its connections end as well");
  near.close();
  open.close();
});

Deno.test("tunnel publishes only for those who know the token, if there is one", async () => {
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

Deno.test("tunnel gives publishers the port of --public, one at a time", async () => {
  const free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = free.addr;
  free.close();
  await using listener = startCli([
    "tunnel",
    "listen",
    "tcp://127.0.0.1:0",
    "--public",
    `127.0.0.1:${port}`,
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

Deno.test("tunnel publish exits with 1 at a server that is no tunnel", async () => {
  await using other = await listen("tcp://127.0.0.1:0");
  assertEquals(await cli(["tunnel", "publish", "1", other.addr]), {
    code: 1,
    stdout: "",
    stderr: "error: remote: not found: /tunnel/publish\n",
  });
});

Deno.test("tunnel exits with 2 or 3 when it cannot begin", async () => {
  for (
    const [code, text, ...words] of [
      [2, "expected `listen ADDRESS` or"],
      [2, "expected `listen ADDRESS` or", "listen"],
      [2, "expected `listen ADDRESS` or", "publish", "80"],
      [2, "expected PORT or HOST:PORT", "publish", "http", "tcp://x:1"],
      [2, "expected PORT or HOST:PORT", "publish", "65536", "tcp://x:1"],
      [2, "it is for listen", "publish", "1", "tcp://x:1", "--public", "1"],
      [3, "Cannot dial", "publish", "80", "tcp://127.0.0.1:1"],
    ] as const
  ) {
    const output = await cli(["tunnel", ...words]);
    assertEquals([output.code, output.stdout], [code, ""], output.stderr);
    assert(output.stderr.includes(text), output.stderr);
  }
});
