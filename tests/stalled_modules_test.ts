// Programs for which a module that the library loads on first use never arrives.

import { assertEquals } from "@std/assert";
import { startProgram } from "./support/program.ts";

const ROOT = new URL("../", import.meta.url);

/** A module that never finishes loading. */
const STALLED =
  "setInterval(() => {}, 60_000); await new Promise(() => {}); export {};";

/** Runs a program for which one module of the library never finishes loading. */
async function run(module: string, program: string): Promise<string> {
  const folder = await Deno.makeTempDir();
  try {
    const map = `${folder}/import_map.json`;
    const file = `${folder}/main.ts`;
    await Deno.writeTextFile(`${folder}/stalled.js`, STALLED);
    const imports = {
      "@qtalk/qtalk": new URL("mod.ts", ROOT).href,
      [new URL(module, ROOT).href]: "./stalled.js",
    };
    await Deno.writeTextFile(map, JSON.stringify({ imports }));
    await Deno.writeTextFile(file, program);
    const args = ["run", "-A", "--no-check", "--import-map", map, file];
    await using running = startProgram(Deno.execPath(), args);
    return await running.line(/^error: /);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

for (
  const [what, module, address, options] of [
    [
      "resume",
      "talk/dial/dial_resuming.ts",
      '"tcp://127.0.0.1:1"',
      "resume: {}",
    ],
    ["several addresses", "talk/dial/race.ts", '["tcp://127.0.0.1:1"]', ""],
    ["a scheme", "mux/transport/deno/conn.ts", '"tcp://127.0.0.1:1"', ""],
    [
      "a handshake",
      "mux/transport/websocket/deno_dial.ts",
      '"ws://127.0.0.1:1"',
      "",
    ],
  ] as const
) {
  Deno.test(`dial(): timeout covers the loading of ${what}, and names the address`, async () => {
    const line = await run(
      module,
      `import { dial } from "@qtalk/qtalk";
      const options = { timeout: 1, ${options} };
      const error = await dial(${address}, options).catch((error) => error);
      const names = error.message.startsWith('Cannot dial "' + ${address} + '"');
      console.log("error:", error.name, error.code, names);`,
    );
    assertEquals(line, "error: TalkError timeout true");
  });
}
