// The package for npm, packed and installed into an empty folder: its types, and
// programs of Node and Bun, bundles in Chromium, and a worker that use it.

import {
  type Call,
  dial,
  handlerFrom,
  json,
  listen,
  withCall,
} from "@qtalk/qtalk";
import { cbor } from "@qtalk/qtalk/codec/cbor";
import { msgpack } from "@qtalk/qtalk/codec/msgpack";
import { serveWebSocket } from "@qtalk/qtalk/websocket";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { Chromium, findChromium } from "../browser/chromium.ts";
import { findRuntimes } from "../node_bun/runtimes.ts";
import { chunksIn, gzippedSize, loadedByClient } from "../support/chunks.ts";
import { startProgram } from "../support/program.ts";
import { within } from "../support/within.ts";
import {
  documentedExamples,
  documentedFiles,
  Project,
  subpaths,
} from "./project.ts";

const { found, missing } = await findRuntimes();
const programs = findChromium();
if (missing !== undefined) {
  const text = `npm: the tests of the package are skipped: ${missing}\n`;
  Deno.stderr.writeSync(new TextEncoder().encode(text));
}
const ignore = missing !== undefined;
const ignoreInChromium = ignore || "missing" in programs;

/** An import of another package, at the beginning of a line or after a comment. */
const BARE_IMPORT =
  /^(?:.*\*\/ )?(?:import|export) (?:[\w\s{},*]+ from )?["']([^."'][^"']*)["']/gm;

// One for all tests.
let project: Project;
let bundling: Promise<string> | undefined;
Deno.test.beforeAll(async () => {
  if (!ignore) project = await Project.make();
});
Deno.test.afterAll(async () => {
  if (!ignore) await project[Symbol.asyncDispose]();
});

const service = {
  add: (a: number, b: number) => a + b,
  async *count(to: number) {
    for (let n = 1; n <= to; n++) yield n;
  },
};

Deno.test({
  name: "npm: the package has the subpaths of deno.json and runs no scripts",
  ignore,
  async fn() {
    const folder = `${project.folder}/node_modules/@qtalk/qtalk`;
    const manifest = JSON.parse(
      await Deno.readTextFile(`${folder}/package.json`),
    );
    const names = Object.keys(manifest.exports).map((name) =>
      manifest.name + name.slice(1)
    );
    assertEquals(names, [
      ...await subpaths(),
      "@qtalk/qtalk/package.json",
    ]);
    assertEquals(manifest.scripts, undefined);
    assertEquals(manifest.type, "module");
    const optional = Object.keys(manifest.peerDependencies);
    for (const name of optional) {
      assertEquals(manifest.peerDependenciesMeta[name], { optional: true });
    }
    // Plain npm cannot install anything of JSR.
    const bare = new Set<string>();
    for await (const path of modulesIn(folder)) {
      const text = await Deno.readTextFile(path);
      for (const [, name] of text.matchAll(BARE_IMPORT)) bare.add(name!);
    }
    assertEquals(
      [...bare].filter((name) => !name.startsWith("node:")).sort(),
      [...Object.keys(manifest.dependencies), ...optional].sort(),
    );
    await project.run(found!.node24, [
      project.command("publint"),
      "run",
      folder,
      "--strict",
    ]);
  },
});

// Each compiler and each way to resolve modules, with the types of Node and of
// the DOM: alone or together.
for (
  const [compiler, module, lib, types] of [
    ["typescript-5", "nodenext", ["ES2022"], ["node"]],
    ["typescript-5", "bundler", ["ES2022", "DOM"], []],
    ["typescript-6", "nodenext", ["ES2022", "DOM"], ["node"]],
    ["typescript-6", "bundler", ["ES2022"], ["node"]],
    ["typescript", "nodenext", ["ES2022"], ["node"]],
    ["typescript", "bundler", ["ES2022", "DOM"], []],
  ] as const
) {
  const with_ = [...lib, ...types].join(", ");
  Deno.test({
    name:
      `npm: all declarations compile with ${compiler}, ${module} and ${with_}`,
    ignore,
    async fn() {
      const name = `${compiler}-${module}`;
      const imports = (await subpaths()).map((path, i) =>
        `import * as m${i} from "${path}"; export { m${i} };`
      );
      await project.write(`${name}.ts`, imports.join("\n"));
      await project.write(
        `${name}.json`,
        JSON.stringify({
          compilerOptions: {
            target: "ES2022",
            module: module === "bundler" ? "ESNext" : module,
            moduleResolution: module,
            lib,
            types,
            strict: true,
            exactOptionalPropertyTypes: true,
            noEmit: true,
          },
          files: [`${name}.ts`],
        }),
      );
      const args = [project.compiler(compiler), "-p", `${name}.json`];
      assertEquals(await project.run(found!.node24, args), "");
    },
  });
}

Deno.test({
  name: "npm: the program of docs/npm.md compiles and runs as it is written",
  ignore,
  async fn(t) {
    const files = await documentedFiles();
    assertEquals([...files.keys()], [
      "tsconfig.json",
      "server.ts",
      "client.ts",
    ]);
    const folder = `${project.folder}/stranger`;
    for (const [name, text] of files) {
      await project.write(`stranger/${name}`, text);
    }
    await project.write("stranger/package.json", `{ "type": "module" }`);
    const args = [project.compiler("typescript"), "-p", folder];
    assertEquals(await project.run(found!.node24, args), "");
    for (const name of ["node", "node24", "bun"] as const) {
      await t.step(name, async () => {
        const runtime = found![name];
        await using server = startProgram(runtime, [
          `${folder}/dist/server.js`,
        ]);
        const address = await server.line(/^tcp:/);
        assertEquals(
          await project.run(runtime, [`${folder}/dist/client.js`, address]),
          "Hello, Ann\n3 2\n2 1\n1 0\n",
        );
      });
    }
    await t.step("bun, without the compiler", async () => {
      const server = startProgram(found!.bun, [`${folder}/server.ts`]);
      await using _ = server;
      const address = await server.line(/^tcp:/);
      assertMatch(
        await project.run(found!.bun, [`${folder}/client.ts`, address]),
        /^Hello, Ann\n/,
      );
    });
  },
});

Deno.test({
  name:
    "npm: the examples of the documentation compile and run on Node and Bun",
  ignore,
  async fn(t) {
    const examples = documentedExamples();
    assert(examples.size > 60, `there are only ${examples.size}`);
    for (const [name, text] of examples) {
      await project.write(`examples/${name}`, text);
    }
    const { compilerOptions } = JSON.parse(
      (await documentedFiles()).get("tsconfig.json")!,
    );
    await project.write(
      "examples.json",
      JSON.stringify({ compilerOptions, include: ["examples/*.ts"] }),
    );
    const args = [project.compiler("typescript"), "-p", "examples.json"];
    assertEquals(await project.run(found!.node24, args), "");
    await project.write(
      "dist/all.js",
      [...examples.keys()].map((name) =>
        `await import("./examples/${name.replace(/ts$/, "js")}");`
      ).join("\n") + `console.log("all done");`,
    );
    for (const name of ["node", "node24", "bun"] as const) {
      await t.step(name, async () => {
        const said = await project.run(found![name], ["dist/all.js"]);
        assertMatch(said, /\nall done\n$/);
      });
    }
  },
});

for (const name of ["node", "node24", "bun"] as const) {
  Deno.test({
    name:
      `npm: ${name} imports every subpath but the command line, and calls with every codec`,
    ignore,
    async fn() {
      const library = (await subpaths()).filter((path) =>
        path !== "@qtalk/qtalk/cli"
      );
      const args = ["program.mjs", ...library];
      assertEquals(await project.run(found![name], args), "done\n");
    },
  });
}

Deno.test({
  name: "npm: no module of the library has syntax that Node 22 lacks",
  ignore,
  async fn() {
    const folder = new URL(
      `file://${project.folder}/node_modules/@qtalk/qtalk/`,
    );
    const manifest = JSON.parse(
      await Deno.readTextFile(new URL("package.json", folder)),
    );
    const { "./cli": _program, "./package.json": _, ...library } = manifest
      .exports as Record<string, { import: string }>;
    // What they import, at once or later; a program of Deno may have any syntax.
    const modules = new Set(
      Object.values(library).map((entry) => new URL(entry.import, folder).href),
    );
    for (const module of modules) {
      const text = await Deno.readTextFile(new URL(module));
      const using = /^\s*(?:await )?using \w+ =/m.test(text);
      assertEquals([module, using], [module, false]);
      const imported = text.matchAll(
        /\b(?:from|import\(?)\s*["'](\.[^"']*)["']/g,
      );
      for (const [, path] of imported) modules.add(new URL(path!, module).href);
    }
    assert(modules.size > Object.keys(library).length);
  },
});

Deno.test({
  name: "npm: the command line runs in Deno from the package",
  ignore,
  async fn() {
    const main = ["run", "-A", "--no-lock", "npm:@qtalk/qtalk/cli"];
    const { version } = JSON.parse(
      await Deno.readTextFile(new URL("../../deno.json", import.meta.url)),
    );
    assertEquals(
      await project.run(Deno.execPath(), [...main, "--version"]),
      `qtalk ${version}\n`,
    );
    // Starts itself, and loads a codec.
    const said = await project.run(Deno.execPath(), [...main, "check"]);
    assertMatch(said, /\b0 failed/);
  },
});

Deno.test({
  name: "npm: a page that dials wss: loads at most 57 kB of the package",
  ignore,
  async fn() {
    await bundle();
    const chunks = await chunksIn(`${project.folder}/out/client`);
    const size = await gzippedSize(loadedByClient(chunks), chunks);
    console.log(`a client for wss:, minified and gzipped: ${size} bytes`);
    assert(size < 57_500, `it has grown to ${size} bytes`);
  },
});

Deno.test({
  name: "npm: bundles of Vite, esbuild and webpack run in Chromium",
  ignore: ignoreInChromium,
  async fn(t) {
    assert(!("missing" in programs));
    await bundle();
    let done = Promise.withResolvers<unknown>();
    const handle = serveWebSocket({
      path: "/rpc",
      codecs: [json(), cbor(), msgpack()],
      handler: handlerFrom({
        ...service,
        callBack: withCall((call: Call, n: number) =>
          call.caller.call("double", [n])
        ),
        done: (outcome: unknown) => done.resolve(outcome),
      }),
      fallback: serveBundles,
    });
    const server = Deno.serve(
      { port: 0, hostname: "127.0.0.1", onListen() {} },
      handle,
    );
    try {
      await using chromium = await Chromium.start(programs);
      for (const bundler of ["vite", "esbuild", "webpack"]) {
        await t.step(bundler, async () => {
          done = Promise.withResolvers<unknown>();
          const url = `http://127.0.0.1:${server.addr.port}/${bundler}/`;
          const tab = await chromium.open(url);
          const outcome = await within(done.promise, "the page", 30_000);
          assertEquals(outcome, Array(3).fill([3, [1, 2, 3], 42]));
          await tab.close();
        });
      }
    } finally {
      await handle.listener.close();
      await server.shutdown();
    }
  },
});

for (const kind of ["plain", "compatible"]) {
  Deno.test({
    name: kind === "plain"
      ? "npm: a worker of Cloudflare's kind dials and answers"
      : "npm: a worker of Cloudflare's kind with Node's modules does so as well",
    ignore,
    async fn() {
      await bundle();
      await using listener = await listen("ws://127.0.0.1:0/", {
        handler: handlerFrom(service),
        codecs: [cbor()],
      });
      const config = `${project.folder}/worker.capnp`;
      // The command of the package starts the program, which outlives it.
      const program = await project.run(found!.node24, [
        "-p",
        "require('workerd').default",
      ]);
      await using worker = startProgram(
        program.trim(),
        ["serve", config, "--control-fd=1"],
      );
      const line = await worker.line(new RegExp(`"socket":"${kind}"`));
      const { port } = JSON.parse(line);
      const query = new URLSearchParams({ address: listener.addr });
      const response = await fetch(`http://127.0.0.1:${port}/?${query}`);
      const text = await response.text();
      assertEquals(text, `{"sum":42,"counted":[1,2,3]}`);

      await using peer = await dial(`ws://127.0.0.1:${port}/`);
      const api = peer.remote<typeof service>();
      assertEquals(await api.add(1, 2), 3);
      assertEquals(await Array.fromAsync(api.count(3)), [1, 2, 3]);
    },
  });
}

async function* modulesIn(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory) yield* modulesIn(path);
    else if (name.endsWith(".js")) yield path;
  }
}

/** Makes all bundles, once. */
function bundle(): Promise<string> {
  return bundling ??= project.run(found!.node24, ["bundle.mjs"]);
}

/** Serves a page for each bundler, with its chunks. */
async function serveBundles(request: Request): Promise<Response> {
  const { pathname } = new URL(request.url);
  const [, bundler, chunk] = /^\/([a-z]+)\/(.*)$/.exec(pathname) ?? [];
  if (chunk === "") {
    const html =
      `<!doctype html><script type="module" src="/${bundler}/page.js"></script>`;
    return new Response(html, { headers: { "content-type": "text/html" } });
  }
  try {
    const path = `${project.folder}/out/${bundler}/${chunk}`;
    return new Response(await Deno.readTextFile(path), {
      headers: { "content-type": "text/javascript" },
    });
  } catch {
    return new Response("Not Found\n", { status: 404 });
  }
}
