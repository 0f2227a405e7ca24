import { dial, handlerFrom, listen } from "@qtalk/qtalk";
import { assert, assertEquals } from "@std/assert";
import { Relay } from "../../../tests/resume/relay.ts";
import { cli, startCli } from "../../../tests/support/cli.ts";
import { within } from "../../../tests/support/within.ts";

const LOCAL = "tcp://127.0.0.1:0";
const LISTENING = /^listening on (\S+)$/;
const LOST = /^error: connection to tcp:\/\/\S+ lost: .*; connecting again$/;
const AGAIN = /^connected to tcp:\/\/\S+ again$/;

function portOf(address: string): number {
  return Number(new URL(address).port);
}

/** Writes a module to a temporary folder. */
async function withModule(
  text: string,
  use: (file: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  const file = `${folder}/service.ts`;
  await Deno.writeTextFile(file, text);
  try {
    await use(file);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("qtalk call --resume: a stream goes on after its connection is lost, and says so", async () => {
  const cut = Promise.withResolvers<void>();
  await using listener = await listen(LOCAL, {
    resume: {},
    handler: handlerFrom({
      async *count() {
        yield 1;
        await cut.promise;
        yield 2;
      },
    }),
  });
  using relay = new Relay(() => portOf(listener.addr));
  const address = `tcp://127.0.0.1:${relay.port}`;
  await using call = startCli(["call", `${address}/count`, "--resume"]);
  await call.line(/^1$/);
  relay.cut();
  await call.errorLine(LOST);
  await call.errorLine(AGAIN);
  cut.resolve();
  await call.line(/^2$/);
  const { code, stdout } = await call.end();
  assertEquals([code, stdout], [0, "1\n2\n"]);
});

Deno.test("qtalk serve --resume: a call survives its connection, and others are served as before", () =>
  withModule(
    `const begun = Promise.withResolvers();
    const answer = Promise.withResolvers();
    export default {
      wait() {
        begun.resolve();
        return answer.promise;
      },
      begun: () => begun.promise,
      finish: () => answer.resolve("at last"),
    };`,
    async (file) => {
      const args = ["serve", file, "--address", LOCAL, "--resume"];
      await using server = startCli(args);
      const address = LISTENING.exec(await server.line(LISTENING))![1]!;
      using relay = new Relay(() => portOf(address));
      const resumed = Promise.withResolvers<void>();
      await using peer = await dial(`tcp://127.0.0.1:${relay.port}`, {
        resume: {
          onState(state) {
            if (state.name === "connected" && state.resumed > 0) {
              resumed.resolve();
            }
          },
        },
      });
      const waiting = peer.call("wait");
      await peer.call("begun");
      relay.cut();
      await within(resumed.promise, "the next connection");
      assertEquals(await cli(["call", `${address}/finish`]), {
        code: 0,
        stdout: "null\n",
        stderr: "",
      });
      assertEquals(await within(waiting, "the call"), "at last");
    },
  ));

Deno.test("qtalk proxy --resume --dial-resume: a call survives the loss of both connections", async () => {
  const answered = Promise.withResolvers<string>();
  const begun = Promise.withResolvers<void>();
  await using target = await listen(LOCAL, {
    resume: {},
    handler: handlerFrom({
      wait() {
        begun.resolve();
        return answered.promise;
      },
    }),
  });
  using far = new Relay(() => portOf(target.addr));
  await using proxy = startCli([
    "proxy",
    LOCAL,
    `tcp://127.0.0.1:${far.port}`,
    "--resume",
    "--dial-resume",
  ]);
  const address = LISTENING.exec(await proxy.line(LISTENING))![1]!;
  using near = new Relay(() => portOf(address));
  const resumed = Promise.withResolvers<void>();
  await using peer = await dial(`tcp://127.0.0.1:${near.port}`, {
    resume: {
      onState(state) {
        if (state.name === "connected" && state.resumed > 0) resumed.resolve();
      },
    },
  });
  const waiting = peer.call("wait");
  await within(begun.promise, "the call");
  far.cut();
  await proxy.errorLine(AGAIN);
  near.cut();
  await within(resumed.promise, "the next connection");
  answered.resolve("at last");
  assertEquals(await within(waiting, "the call"), "at last");
});

Deno.test("qtalk tunnel --resume: a download through the tunnel survives the connection of its publisher", async () => {
  const env = { QTALK_TUNNEL_TOKEN: "token" };
  const cut = Promise.withResolvers<void>();
  using target = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    for await (const conn of target) {
      const buffer = new Uint8Array(1);
      // The checks of the publisher send nothing.
      if (await conn.read(buffer) !== null) {
        await conn.write(buffer);
        await cut.promise;
        await conn.write(buffer);
      }
      conn.close();
    }
  })();
  await using server = startCli(["tunnel", "listen", LOCAL, "--resume"], {
    env,
  });
  const address = LISTENING.exec(await server.line(LISTENING))![1]!;
  using relay = new Relay(() => portOf(address));
  await using publisher = startCli([
    "tunnel",
    "publish",
    String(target.addr.port),
    `tcp://127.0.0.1:${relay.port}`,
    "--resume",
    "--check",
    "0",
  ], { env });
  const published = /^published at tcp:\/\/.*:(\d+)$/;
  const port = Number(published.exec(await publisher.line(published))![1]!);
  using client = await Deno.connect({ hostname: "127.0.0.1", port });
  await client.write(Uint8Array.of(7));
  const buffer = new Uint8Array(10);
  assertEquals(await within(client.read(buffer), "a byte"), 1);
  relay.cut();
  await publisher.errorLine(LOST);
  await publisher.errorLine(AGAIN);
  cut.resolve();
  assertEquals(await within(client.read(buffer), "the next byte"), 1);
  assertEquals(buffer[0], 7);
  await client.closeWrite();
  assertEquals(await within(client.read(buffer), "the end"), null);
  assertEquals((await publisher.end("SIGTERM")).code, 0);
  assertEquals((await server.end("SIGTERM")).code, 0);
  target.close();
  await serving.catch(() => {});
});

Deno.test("--resume: a server without it is an error that says so", async () => {
  await using listener = await listen(LOCAL, {
    handler: handlerFrom({ one: () => 1 }),
    onError() {},
  });
  const { code, stderr } = await cli([
    "call",
    `${listener.addr}/one`,
    "--resume",
  ]);
  assertEquals(code, 3);
  assert(/resume|handshake/.test(stderr), stderr);
});

for (
  const [args, message] of [
    [["call", "quic://127.0.0.1:1/x", "--resume"], "quic: has none"],
    [["serve", "x.ts", "--address", "stdio:", "--resume"], "standard streams"],
    [["serve", "x.ts", "--parallel", "2", "--resume"], "another worker"],
    [
      ["proxy", "stdio:", "tcp://127.0.0.1:1", "--resume"],
      'Cannot use --resume for "stdio:"',
    ],
    [
      ["proxy", LOCAL, "quic://127.0.0.1:1", "--dial-resume"],
      "Cannot use --dial-resume",
    ],
  ] as const
) {
  Deno.test(`--resume: \`qtalk ${args.join(" ")}\` is a usage error`, async () => {
    const { code, stderr } = await cli(args);
    assertEquals(code, 2, stderr);
    assert(stderr.includes(message), stderr);
  });
}
