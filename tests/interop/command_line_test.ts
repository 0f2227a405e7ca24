// The command line against the reference: its own check, both ways, and plain
// calls. What runs without Go is in talk/cli/.

import { assert, assertEquals } from "@std/assert";
import { listen } from "@qtalk/qtalk";
import { cbor } from "@qtalk/qtalk/codec/cbor";
import { interopService } from "../../talk/cli/peers/interop_service.ts";
import { cli, cliCommand, startCli } from "../support/cli.ts";

import { goServe, startServer } from "./processes.ts";
import { buildReference } from "./reference.ts";

const directory = Deno.makeTempDirSync({ prefix: "qtalk_interop_" });
addEventListener("unload", () => {
  Deno.removeSync(directory, { recursive: true });
});
// Known before the tests are, so that those that cannot run are named as such;
// go_test.ts says why.
const { binary = "" } = await buildReference(directory);
const ignore = binary === "";

/** The reference's checks, by their names in go/check.go. */
const CHECKS = [
  "error",
  "bad-selector",
  "unary",
  "stream",
  "bytes-1",
  "bytes-1k",
  "bytes-1m",
];

for (const codec of ["cbor", "json"]) {
  // CBOR is what both sides speak if nobody says otherwise.
  const env = codec === "cbor" ? {} : { QTALK_CODEC: codec };

  Deno.test({
    name:
      `interop: the reference's check finds nothing wrong with our interop (${codec})`,
    ignore,
    async fn() {
      const { code, stdout, stderr } = await new Deno.Command(binary, {
        args: ["check", "exec", "--", ...cliCommand(["interop"])],
        env: { QTALK_CODEC: "", ...env },
      }).output();
      const [text, log] = [stdout, stderr].map((bytes) =>
        new TextDecoder().decode(bytes)
      );
      const results = text!.trimEnd().split("\n").map((line) =>
        JSON.parse(line)
      );
      for (const { case: name, ok, error } of results) {
        assert(ok, `${name}: ${error}; the log: ${log}`);
      }
      assertEquals(results.map((result) => result.case), CHECKS);
      assertEquals(code, 0, log);
    },
  });

  Deno.test({
    name:
      `interop: our check finds nothing wrong with the reference's interop (${codec})`,
    ignore,
    async fn() {
      const args = ["check", "--", binary, "interop", "stdio"];
      const { code, stdout, stderr } = await cli(args, { env });
      assertEquals(code, 0, stdout + stderr);
      assert(stdout.endsWith("\n11 passed, 0 failed\n"), stdout);
    },
  });
}

Deno.test({
  name: "interop: call prints what a server in Go answers",
  ignore,
  async fn() {
    await using server = await startServer(goServe(binary), "tcp");
    const address = `tcp://${server.address}`;
    const calls: [args: string[], code: number, output: string][] = [
      [[`${address}/Upper`, '"hello"'], 0, '"HELLO"\n'],
      [[`${address}/Upper`, "hello"], 0, '"HELLO"\n'],
      [[address, "Add", "44", "-2"], 0, "42\n"],
      [[address, "multi"], 0, '1\n"two"\n[3]\n'],
      [[address, "count", "--value", "3"], 0, "3\n0\n1\n2\n"],
      [[address, "Fail", "boom"], 1, "error: remote: boom\n"],
      [[address, "nobody"], 1, "error: remote: not found: /nobody\n"],
    ];
    for (const [args, code, output] of calls) {
      const result = await cli(["call", ...args]);
      const said = code === 0 ? result.stdout : result.stderr;
      assertEquals([result.code, said], [code, output], result.stderr);
    }
    const stdin = new Uint8Array(300_000).fill(120);
    const args = ["call", address, "bytes", "--bytes"];
    const { code, stdout } = await cli(args, { stdin });
    assertEquals([code, stdout.length], [0, stdin.length]);
    assert(stdout === "x".repeat(stdin.length));
  },
});

Deno.test({
  name: "interop: inspect shows what Go programs say, at either end",
  ignore,
  async fn() {
    const file = `${directory}/session.qtalk`;
    await using listener = await listen("tcp://127.0.0.1:0", {
      handler: interopService(),
      codecs: [cbor()],
    });
    // A client in Go.
    const words = ["inspect", "stdio:", listener.addr, "--save", file];
    const { code, stdout, stderr } = await new Deno.Command(binary, {
      args: ["check", "exec", "--", ...cliCommand(words)],
      env: { QTALK_CODEC: "" },
    }).output();
    const log = new TextDecoder().decode(stderr);
    const results = new TextDecoder().decode(stdout).trimEnd().split("\n")
      .map((line) => JSON.parse(line));
    assertEquals(results.map((result) => result.case), CHECKS);
    assert(results.every(({ ok }) => ok), log);
    assertEquals(code, 0, log);
    const replayed = await cli(["inspect", file, "--calls"]);
    for (const text of ["  CBOR", "bytes 1", "error"]) {
      assert(replayed.stdout.includes(text), replayed.stdout);
    }
    assert(!replayed.stdout.includes("not shown any more"), replayed.stdout);

    // A server in Go.
    await using server = await startServer(goServe(binary), "tcp");
    await using tap = startCli([
      "inspect",
      "tcp://127.0.0.1:0",
      `tcp://${server.address}`,
    ]);
    const line = await tap.line(/^listening on /);
    const address = line.slice("listening on ".length);
    const called = await cli(["call", address, "count", "--value", "2"]);
    assertEquals([called.code, called.stdout], [0, "2\n0\n1\n"]);
    await tap.line(/→ #\d+ +count 2$/);
    await tap.line(/← #\d+ +2 +continues as a channel/);
    await tap.line(/← #\d+ +· 1$/);
    assertEquals((await tap.end("SIGTERM")).code, 0);
  },
});
