import { handlerFrom, listen } from "@qtalk/qtalk";
import { assert, assertEquals } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { cli, cliCommand, startCli } from "../../tests/support/cli.ts";
import { within } from "../../tests/support/within.ts";

const COMMANDS = [
  "describe",
  "types",
  "ping",
  "health",
  "call",
  "serve",
  "proxy",
  "inspect",
  "tunnel",
  "rendezvous",
  "cert",
  "interop",
  "check",
  "bench",
];

Deno.test("qtalk --help: it lists the commands and the exit codes", async () => {
  for (const flag of ["--help", "-h"]) {
    const { code, stdout, stderr } = await cli([flag]);
    assertEquals([code, stderr], [0, ""]);
    for (const name of COMMANDS) {
      assert(new RegExp(`^  ${name} +\\w`, "m").test(stdout), name);
    }
    for (let exit = 0; exit <= 4; exit++) {
      assert(new RegExp(`^  ${exit}  \\w`, "m").test(stdout), stdout);
    }
  }
});

Deno.test("qtalk: without a known command it exits with 2", async () => {
  const none = await cli([]);
  assertEquals([none.code, none.stdout], [2, ""]);
  assertEquals(none.stderr, (await cli(["--help"])).stdout);
  for (const word of ["cal", "--zip", "constructor"]) {
    const unknown = await cli([word]);
    assertEquals([unknown.code, unknown.stdout], [2, ""]);
    const text = `error: Cannot run "${word}": there is no such command\n`;
    assert(unknown.stderr.startsWith(text), unknown.stderr);
  }
});

Deno.test("qtalk --version: it prints the version", async () => {
  const stdout = `qtalk ${config.version}\n`;
  assertEquals(await cli(["--version"]), { code: 0, stdout, stderr: "" });
});

for (const name of COMMANDS) {
  Deno.test(`qtalk ${name} --help: it prints usage and options`, async () => {
    const { code, stdout, stderr } = await cli([name, "--help"]);
    assertEquals([code, stderr], [0, ""]);
    assertEquals(await cli([name, "-h"]), { code, stdout, stderr });
    assert(/^[A-Z].*\.\n\nUsage: qtalk /.test(stdout), stdout);
    assert(stdout.includes(`Usage: qtalk ${name}`), stdout);
    assert(/^ {2}-h, --help +print this help$/m.test(stdout), stdout);
    const long = stdout.split("\n").filter((line) => line.length > 80);
    assertEquals(long, [], "lines longer than 80 columns");
  });

  Deno.test(`qtalk ${name}: an unknown option exits with 2`, async () => {
    const { code, stdout, stderr } = await cli([name, "--zip"]);
    assertEquals([code, stdout], [2, ""]);
    assert(stderr.startsWith("error: Unknown option '--zip'\nUsage: qtalk"));
    assert(stderr.endsWith(`Run qtalk ${name} --help for details.\n`), stderr);
  });
}

Deno.test("qtalk --help: docs/command-line.md names every command and exit code", async () => {
  const file = new URL("../../docs/command-line.md", import.meta.url);
  const page = await Deno.readTextFile(file);
  for (const name of COMMANDS) {
    assert(new RegExp(`^## ${name}$`, "m").test(page), name);
  }
  const { stdout } = await cli(["--help"]);
  for (const [, code, meaning] of stdout.matchAll(/^ {2}(\d) {2}(.*)$/gm)) {
    const row = new RegExp(`^\\| ${code} +\\| (.*?) +\\|$`, "m");
    assert(row.exec(page)?.[1]?.startsWith(meaning!), `exit code ${code}`);
  }
});

Deno.test("deno.json: the package exports the command line as ./cli", () => {
  assertEquals(config.exports["./cli"], "./talk/cli/main.ts");
});

/** The `script` of util-linux runs a command on a pseudo-terminal. */
const script = await new Deno.Command("sh", {
  args: ["-c", "script --version"],
  stdout: "piped",
  stderr: "null",
}).output();
const noTerminal = !new TextDecoder().decode(script.stdout)
  .includes("util-linux");

/** Runs a command on a terminal; resolves to what the terminal shows. */
async function onTerminal(
  args: string[],
  env: Record<string, string>,
  onOutput: (text: string) => void = () => {},
): Promise<string> {
  const words = cliCommand(args).map((word) => `'${word}'`).join(" ");
  const child = new Deno.Command("script", {
    args: ["-qec", words, "/dev/null"],
    stdin: "null",
    stdout: "piped",
    // The environment may set NO_COLOR; an empty one has no effect.
    env: { NO_COLOR: "", ...env },
  }).spawn();
  const read = async () => {
    let shown = "";
    for await (
      const text of child.stdout.pipeThrough(new TextDecoderStream())
    ) {
      onOutput(shown += text);
    }
    await child.status;
    return shown;
  };
  return await within(read(), "the command to end");
}

Deno.test({
  name: "qtalk: colour and progress appear on a terminal only",
  ignore: noTerminal,
  async fn() {
    const seen = Promise.withResolvers<void>();
    await using listener = await listen("tcp://127.0.0.1:0", {
      handler: handlerFrom({
        echo: (value: unknown) => value,
        slow: () => seen.promise,
      }),
    });
    const echo = ["call", `${listener.addr}/echo`, '{"a":[1]}'];
    const coloured = await onTerminal(echo, {});
    assert(coloured.includes("\x1b[36m"), coloured);
    const plain = '{"a":[1]}\r\n';
    assert((await onTerminal(echo, { NO_COLOR: "1" })).endsWith(plain));
    assertEquals((await cli(echo)).stdout, '{"a":[1]}\n');

    const slow = ["call", `${listener.addr}/slow`];
    const shown = await onTerminal(slow, {}, (text) => {
      if (text.includes("Waiting for /slow (1 s)")) seen.resolve();
    });
    assert(shown.endsWith("\x1b[33mnull\x1b[0m\r\n"), shown);
  },
});

/** Command lines with secrets in addresses, which fail in different places. */
const WITH_SECRETS: string[][] = [
  ["call", "tcp://user:SECRET@127.0.0.1:1/Upper", "hello"],
  ["call", "ws://127.0.0.1:1/?token=SECRET", "Upper"],
  ["call", "ws://user:SECRET@127.0.0.1:1/"],
  ["call", "htp://user:SECRET@127.0.0.1:1", "Upper"],
  ["call", "user:SECRET@127.0.0.1:1", "Upper"],
  ["serve", "https://user:SECRET@127.0.0.1:1/a.ts?token=SECRET"],
  ["proxy", "tcp://127.0.0.1:0", "htp://user:SECRET@127.0.0.1:1"],
  ["proxy", "ws://127.0.0.1:99999/?token=SECRET", "tcp://127.0.0.1:1"],
  ["tunnel", "publish", "80", "ws://127.0.0.1:1/?token=SECRET"],
  ["tunnel", "publish", "user:SECRET@host:80", "tcp://127.0.0.1:1"],
  ["tunnel", "listen", "ws://user:SECRET@127.0.0.1:0/"],
  ["interop", "ws://127.0.0.1:99999/?token=SECRET"],
  ["check", "ws://127.0.0.1:1/?token=SECRET"],
  ["bench", "ws://user:SECRET@127.0.0.1:1/"],
  ["bench", "tcp://user:SECRET@127.0.0.1:1/Upper"],
  ["wss://user:SECRET@host/?SECRET"],
];

Deno.test("qtalk: what it prints has no secrets of addresses", async () => {
  for (const words of WITH_SECRETS) {
    const { code, stdout, stderr } = await cli(words);
    assert(code !== 0, words.join(" "));
    assert(stderr.includes("error: "), stderr);
    // Deno says itself what it downloads.
    const own = stderr.replace(/.*Download.*/g, "");
    assert(!(stdout + own).includes("SECRET"), stdout + stderr);
  }
});

Deno.test("qtalk: the address that it listens on is printed without secrets", async () => {
  await using running = startCli([
    "interop",
    "ws://127.0.0.1:0/path?token=SECRET",
  ]);
  const line = await running.line(/^listening on /);
  assert(/^listening on ws:\/\/127\.0\.0\.1:\d+\/path\?…$/.test(line), line);
});
