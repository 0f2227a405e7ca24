// Programs for which a module that the library loads on first use arrives late, or never.

import { assertEquals } from "@std/assert";
import { startProgram } from "./support/program.ts";

const ROOT = new URL("../", import.meta.url);

/** A module that never finishes loading. */
const STALLED =
  "setInterval(() => {}, 60_000); await new Promise(() => {}); export {};";

/** A module that cannot be loaded. */
const BROKEN = 'throw new Error("gone"); export {};';

/** Runs a program for which one module of the library, if any, is another one. */
async function run(
  module: string | undefined,
  program: string,
  replacement = STALLED,
): Promise<string> {
  const folder = await Deno.makeTempDir();
  try {
    const map = `${folder}/import_map.json`;
    const file = `${folder}/main.ts`;
    await Deno.writeTextFile(`${folder}/replacement.js`, replacement);
    const imports: Record<string, string> = {
      "@qtalk/qtalk": new URL("mod.ts", ROOT).href,
    };
    if (module !== undefined) {
      imports[new URL(module, ROOT).href] = "./replacement.js";
    }
    await Deno.writeTextFile(map, JSON.stringify({ imports }));
    await Deno.writeTextFile(file, program);
    const args = ["run", "-A", "--no-check", "--import-map", map, file];
    await using running = startProgram(Deno.execPath(), args);
    return await running.line(/^(?:error|answer): /);
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

Deno.test("handlers: one that is made after the server was loaded answers calls", async () => {
  const line = await run(
    undefined,
    `import { handlerFrom, memoryPair } from "@qtalk/qtalk";
    const [client, server] = memoryPair();
    server.handle("first", (_call, respond) => respond.return(1));
    const first = await client.call("first");
    server.handle("second", handlerFrom((n) => n + 1));
    console.log("answer:", first, await client.call("second", [1]));
    await client.close();`,
  );
  assertEquals(line, "answer: 1 2");
});

Deno.test("streams: if what answers cannot be loaded, their reader gets an error, and they are cancelled", async () => {
  const line = await run(
    "rpc/handler/answering.ts",
    `import { memoryPair } from "@qtalk/qtalk";
    const [client, server] = memoryPair({}, { onError: () => {} });
    const cancelled = Promise.withResolvers();
    const body = new ReadableStream({ cancel: () => cancelled.resolve(true) });
    server.handle("load", (_call, respond) => respond.return({ body }));
    const loaded = await client.call("load");
    const error = await Array.fromAsync(loaded.body).catch((error) => error);
    const ended = await cancelled.promise;
    console.log("error:", error.name, error.code, ended, server.callbackCount);
    await client.close();`,
    BROKEN,
  );
  assertEquals(line, "error: RemoteError load-failed true 0");
});
