// `deno task compile`: qtalk as one executable file. It needs a base binary that
// Deno downloads.

import { dial, handlerFrom, listen } from "@qtalk/qtalk";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { startProgram } from "./support/program.ts";

const ROOT = new URL("../", import.meta.url);
const { version, tasks } = JSON.parse(
  await Deno.readTextFile(new URL("deno.json", ROOT)),
);

/** Runs a command; resolves to what it printed, on both. */
async function run(
  command: string,
  args: string[],
  cwd: string | URL,
): Promise<{ success: boolean; text: string }> {
  const { success, stdout, stderr } = await new Deno.Command(command, {
    args,
    cwd,
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { success, text: decoder.decode(stdout) + decoder.decode(stderr) };
}

const folder = await Deno.makeTempDir({ prefix: "qtalk_compile_" });
addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

await Deno.writeTextFile(`${folder}/empty.ts`, "");
const trial = await run(
  Deno.execPath(),
  ["compile", "--no-check", "empty.ts"],
  folder,
);
if (!trial.success) {
  const [line] = /[^\n]*(?:denort|https?:)[^\n]*/.exec(trial.text) ?? [""];
  Deno.stderr.writeSync(
    new TextEncoder().encode(
      `compile: the test of a compiled qtalk is skipped: ${line.trim()}\n`,
    ),
  );
}

Deno.test({
  name: "compile: the executable calls, checks itself and makes certificates",
  ignore: !trial.success,
  async fn(t) {
    // What the task runs, but for the types and the place.
    const [, ...args] = tasks.compile.command.split(" ") as string[];
    const program = `${folder}/qtalk${
      Deno.build.os === "windows" ? ".exe" : ""
    }`;
    const place = args.indexOf("--output") + 1;
    assert(place > 0);
    args[place] = program;
    args.splice(1, 0, "--no-check");
    const compiled = await run(Deno.execPath(), args, ROOT);
    assert(compiled.success, compiled.text);

    await t.step("qtalk --version", async () => {
      const { text } = await run(program, ["--version"], folder);
      assertEquals(text, `qtalk ${version}\n`);
    });
    await t.step("qtalk call", async () => {
      await using listener = await listen("tcp://127.0.0.1:0", {
        handler: handlerFrom({ greet: (name: string) => `Hello, ${name}` }),
      });
      const { text } = await run(
        program,
        ["call", `${listener.addr}/greet`, "Ann"],
        folder,
      );
      assertEquals(text, '"Hello, Ann"\n');
    });
    // It starts itself, and loads the codec.
    for (const codec of ["cbor", "msgpack"]) {
      await t.step(`qtalk check --codec ${codec}`, async () => {
        const { success, text } = await run(
          program,
          ["check", "--codec", codec],
          folder,
        );
        assert(success, text);
        assertMatch(text, /\b0 failed/);
      });
    }
    await t.step({
      name: "qtalk serve --parallel",
      // Several listeners cannot share a port there.
      ignore: Deno.build.os === "windows",
      async fn() {
        await Deno.writeTextFile(
          `${folder}/service.ts`,
          `export default { greet: (name: string) => "Hello, " + name };`,
        );
        await using server = startProgram(program, [
          ...["serve", `${folder}/service.ts`, "--parallel", "2"],
          ...["--address", "tcp://127.0.0.1:0"],
        ]);
        const line = await server.line(/^listening on /);
        await using peer = await dial(line.split(" ").at(-1)!);
        assertEquals(await peer.call("greet", ["Ann"]), "Hello, Ann");
      },
    });
    await t.step("qtalk rendezvous", async () => {
      // The module that it loads finds what is wrong.
      const { text } = await run(
        program,
        ["rendezvous", "tcp://127.0.0.1:0", "--known-as=a b"],
        folder,
      );
      assertMatch(text, /neither a host nor/);
    });
    await t.step("qtalk cert", async () => {
      const { success, text } = await run(
        program,
        ["cert", "ca", "--out", "certificates"],
        folder,
      );
      assert(success, text);
      assertMatch(
        await Deno.readTextFile(`${folder}/certificates/ca.pem`),
        /^-----BEGIN CERTIFICATE-----/,
      );
    });
  },
});
