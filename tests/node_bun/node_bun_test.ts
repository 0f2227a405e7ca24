// The core on Node and Bun, against this Deno and against each other, in both
// directions: the cases of the interop tests.

import { assertEquals } from "@std/assert";
import { CASES } from "../interop/cases.ts";
import { EXTENDED, extendedCase } from "../interop/extended_cases.ts";
import { runClient, runProgram } from "../interop/go_client.ts";
import { CASE_NAMES, type CaseName } from "../interop/names.ts";
import {
  startProgram as startServer,
  type TransportName,
  TRANSPORTS,
  withPeer,
} from "../interop/processes.ts";
import { interopService } from "../interop/service.ts";
import { type Credentials, makeAuthority } from "../support/certificates.ts";
import { startProgram } from "../support/program.ts";
import { within } from "../support/within.ts";
import { prepareRuntimes, run, type Runtimes } from "./runtimes.ts";

const directory = Deno.makeTempDirSync({ prefix: "qtalk_node_bun_" });
addEventListener("unload", () => {
  Deno.removeSync(directory, { recursive: true });
});
const { runtimes, missing } = await prepareRuntimes(directory);
if (missing !== undefined) {
  const text =
    `node_bun: the tests with Node and Bun are skipped: ${missing}\n`;
  Deno.stderr.writeSync(new TextEncoder().encode(text));
}

const names = Object.keys(CASE_NAMES) as CaseName[];
const lasting = names.filter((name) => name !== "peer-dies");
/** The clients here also run what only peers of this package have. */
const withExtended = [...lasting, EXTENDED as CaseName];

for (const runtime of ["node", "bun"] as const) {
  Deno.test({
    name: `node_bun: examples/node_streams.mjs runs on ${runtime}`,
    ignore: missing !== undefined,
    async fn() {
      const [program, ...args] = runtimes![runtime].example;
      assertEquals(await run(program, args), "HELLO WORLD\n");
    },
  });
  Deno.test({
    name: `node_bun: ${runtime} hears at once of a WebSocket that is refused`,
    ignore: missing !== undefined,
    async fn() {
      using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      const { port } = listener.addr;
      // A server that hangs up before it has answered the upgrade.
      void listener.accept().then((conn) => conn.close());
      const [program, ...args] = command(runtime, "refused");
      // `timeout` would be the code of a dial that has waited.
      assertEquals(
        await run(program, [...args, "ws", `127.0.0.1:${port}`]),
        "dial-failed\n",
      );
    },
  });
  Deno.test({
    name:
      `node_bun: closeOnSignals() drains and ends the process on ${runtime}`,
    ignore: missing !== undefined,
    async fn() {
      const [program, ...args] = runtimes![runtime].signals;
      await using first = startProgram(program, [...args, "drains"]);
      await first.line("ready");
      first.child.kill("SIGTERM");
      await first.line("close 1234");
      await first.line("closed by SIGTERM");
      assertEquals((await first.ended()).code, 0);
      await using second = startProgram(program, [...args, "busy"]);
      await second.line("ready");
      second.child.kill("SIGINT");
      await second.line("SIGINT 1");
      second.child.kill("SIGINT");
      await second.line("closed by SIGINT");
      assertEquals((await second.ended()).code, 130);
    },
  });
  for (const transport of TRANSPORTS) {
    testServer(runtime, transport);
    testClient(runtime, transport);
  }
}

for (const runtime of ["node", "node24", "bun"] as const) {
  Deno.test({
    name: `node_bun: sockets and child processes of ${runtime}`,
    ignore: missing !== undefined,
    fn: (t) => testSockets(runtimes![runtime].sockets, t),
  });
}

Deno.test({
  name: "node_bun: sockets and child processes of deno",
  ignore: missing !== undefined,
  fn: (t) => testSockets(wordsFor("sockets", "deno"), t),
});

// Deno is one end of the cases above. Here it is none.
for (
  const [from, to] of [["node", "bun"], ["bun", "node24"], [
    "node24",
    "node",
  ]] as const
) {
  for (const transport of TRANSPORTS) {
    Deno.test({
      name: `node_bun: ${from} → ${to}, ${transport}: all cases on one session`,
      ignore: missing !== undefined,
      async fn() {
        const cases = lasting.filter((name) => !name.endsWith("-64m"));
        const serve = () => command(to, "serve");
        const client = command(from, "client");
        const outcomes = await runClient(client, transport, cases, serve);
        assertEquals(
          [...outcomes],
          cases.map((name) => [name, undefined]),
        );
      },
    });
  }
}

// TLS is that of each runtime's own `node:tls`. Deno runs the same program.
for (
  const [one, other] of [
    ["deno", "node"],
    ["deno", "node24"],
    ["deno", "bun"],
    ["node", "bun"],
    ["bun", "node24"],
    ["node24", "node"],
  ] as const
) {
  for (const scheme of ["tls", "wss"]) {
    Deno.test({
      name:
        `node_bun: ${one} ↔ ${other}, ${scheme}: all cases, with client certificates`,
      ignore: missing !== undefined,
      async fn(t) {
        const isLong = scheme === "tls" && one === "deno" && other === "node24";
        const cases = [
          ...withExtended.filter((name) => isLong || !name.endsWith("-64m")),
          // All are on one session, so the one that ends it is the last.
          "peer-dies",
        ];
        const place = `--certificates=${await certificates()}`;
        for (const [from, to] of [[one, other], [other, one]] as const) {
          await t.step(`${from} → ${to}`, async () => {
            const serve = [...wordsFor("program", to), place, "serve", scheme];
            await using server = await startServer(serve);
            const [program, ...words] = wordsFor("program", from);
            const outcomes = await runProgram(program, [
              ...words,
              place,
              "client",
              scheme,
              server.address,
              ...cases,
            ]);
            assertEquals(
              [...outcomes],
              cases.map((name) => [name, undefined]),
            );
          });
        }
      },
    });
  }
}

/** The words that run a program; Deno runs the same file as the others. */
function wordsFor(
  program: "program" | "sockets",
  runtime: keyof Runtimes | "deno",
): [string, ...string[]] {
  if (runtime !== "deno") return runtimes![runtime][program];
  return [Deno.execPath(), "run", "-A", runtimes!.node[program].at(-1)!];
}

/** Makes certificates, in a directory. */
async function certificates(): Promise<string> {
  const place = await Deno.makeTempDir({ dir: directory });
  const ca = await makeAuthority("authority");
  const stranger = await makeAuthority("stranger");
  const names = ["127.0.0.1", "localhost"];
  const all: Record<string, Credentials> = {
    ca,
    server: await ca.issue("CN=server", { names }),
    client: await ca.issue("CN=client"),
    expired: await ca.issue("CN=server", { names, from: -3, until: -2 }),
    early: await ca.issue("CN=server", { names, from: 2, until: 3 }),
    foreign: await stranger.issue("CN=server", { names }),
  };
  for (const [name, { cert, key }] of Object.entries(all)) {
    await Deno.writeTextFile(`${place}/${name}.pem`, cert);
    await Deno.writeTextFile(`${place}/${name}.key`, key);
  }
  return place;
}

/** Runs the checks of sockets.ts, and reports each. */
async function testSockets(
  [program, ...args]: [string, ...string[]],
  t: Deno.TestContext,
): Promise<void> {
  const place = await certificates();
  const output = await run(program, [...args, place]);
  const lines = output.trim().split("\n");
  assertEquals(lines.length, 29);
  for (const line of lines) {
    const { check, error } = JSON.parse(line) as Record<string, string>;
    await t.step(check!, () => assertEquals(error, undefined));
  }
}

function command(
  runtime: keyof Runtimes,
  mode: "serve" | "client" | "refused",
): [string, ...string[]] {
  return [...runtimes![runtime].program, mode];
}

/** One session for all cases, and one that sees its other end die. */
function testServer(runtime: keyof Runtimes, transport: TransportName): void {
  const serve = () => command(runtime, "serve");
  for (const cases of [lasting, ["peer-dies"] as const]) {
    const what = cases.length > 1
      ? "all cases on one session"
      : "the peer dies";
    Deno.test({
      name: `node_bun: deno → ${runtime}, ${transport}: ${what}`,
      ignore: missing !== undefined,
      async fn(t) {
        await withPeer(serve, transport, interopService(), async (peer) => {
          for (const name of cases) {
            const run = () => within(CASES[name](peer), name);
            await t.step(CASE_NAMES[name], run);
          }
          // A peer that has died answers no other cases.
          if (cases !== lasting) return;
          await t.step(
            "metadata, deadlines and errors",
            () => within(extendedCase(peer), EXTENDED),
          );
        });
      },
    });
  }
}

function testClient(runtime: keyof Runtimes, transport: TransportName): void {
  for (const cases of [withExtended, ["peer-dies"] as const]) {
    const what = cases.length > 1
      ? "all cases on one session"
      : "the peer dies";
    Deno.test({
      name: `node_bun: ${runtime} → deno, ${transport}: ${what}`,
      ignore: missing !== undefined,
      async fn() {
        const client = command(runtime, "client");
        const outcomes = await runClient(client, transport, cases);
        assertEquals(
          [...outcomes],
          cases.map((name) => [name, undefined]),
        );
      },
    });
  }
}
