/**
 * The project as Node and Bun can run it: a copy of its folders in which every
 * module is JavaScript. File names stay as they are, so what a test finds by its
 * own URL is there.
 *
 * Tests and what they use see a `Deno` that deno.ts makes of Node's modules. It is
 * an import of theirs and no global, so that the library finds itself on Node.
 *
 * @module
 */
import * as esbuild from "esbuild";
import { bundle } from "../../support/bundle.ts";

const ROOT = new URL("../../../", import.meta.url);

/** What is copied. */
const PLACES = [
  "codec",
  "mux",
  "rpc",
  "talk",
  "examples",
  "docs",
  "tests",
] as const;
/** What holds the library, tests excluded. */
const LIBRARY = /^(?:(?:codec|mux|rpc|talk)\/.*|[a-z0-9_]+)(?<!_test)\.ts$/;
/** Folders of tests that nothing here uses. */
const UNUSED = /^tests\/(?:bench|browser|jsr|hostile|soak)\//;

/** What deno.ts provides beside `Deno`. */
const PROVIDED = [
  "Deno",
  "addEventListener",
  "removeEventListener",
  "ErrorEvent",
  "Worker",
  "self",
] as const;

/** The parts of deno.json that say what a name stands for. */
interface Config {
  exports: Record<string, string>;
  imports: Record<string, string>;
  scopes: Record<string, Record<string, string>>;
}

/** Writes the copy into a folder that is empty. */
export async function writeTree(folder: string): Promise<void> {
  const config = JSON.parse(
    await Deno.readTextFile(new URL("deno.json", ROOT)),
  ) as Config;
  const packages = new Map(
    Object.entries({ ...config.imports, ...config.scopes["./"] }),
  );
  const files: string[] = [];
  for await (const { name, isFile } of Deno.readDir(ROOT)) {
    if (isFile) files.push(name);
  }
  for (const place of PLACES) {
    for await (const file of filesIn(place)) files.push(file);
  }
  await Promise.all(
    files.filter((file) => !UNUSED.test(file)).map(async (file) => {
      const target = `${folder}/${file}`;
      await Deno.mkdir(target.slice(0, target.lastIndexOf("/")), {
        recursive: true,
      });
      const source = new URL(file, ROOT);
      if (!file.endsWith(".ts")) return await Deno.copyFile(source, target);
      const text = await Deno.readTextFile(source);
      const named = renamed(text, packages);
      const prelude = LIBRARY.test(file) ? "" : preludeOf(named, file);
      const { code } = await esbuild.transform(prelude + named, {
        loader: "ts",
        // The oldest Node here has no `using`.
        target: "node22",
        sourcefile: file,
        tsconfigRaw: { compilerOptions: { experimentalDecorators: true } },
      });
      await Deno.writeTextFile(target, code);
    }),
  );
  await esbuild.stop();
  await Deno.writeTextFile(
    `${folder}/package.json`,
    JSON.stringify({
      name: "@qtalk/qtalk",
      type: "module",
      exports: config.exports,
    }),
  );
  await writePackages(folder, packages);
}

/** The files of a folder of the project, and of folders in it. */
async function* filesIn(folder: string): AsyncGenerator<string> {
  for await (const entry of Deno.readDir(new URL(folder, ROOT))) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) yield* filesIn(path);
    else if (entry.isFile) yield path;
  }
}

/** A module in which packages are imported by their names alone. */
function renamed(text: string, packages: Map<string, string>): string {
  return text.replace(
    /(\bfrom |\bimport |\bimport\()"npm:((?:@[^/"]+\/)?[^@/"]+)(@[^/"]*)?"/g,
    (_, before: string, name: string, version = "") => {
      if (!packages.has(name)) packages.set(name, `npm:${name}${version}`);
      return `${before}"${name}"`;
    },
  );
}

/** Imports what a module of the tests uses as globals of Deno. */
function preludeOf(text: string, file: string): string {
  if (file.startsWith("tests/node_bun/")) return "";
  const names = PROVIDED.filter((name) =>
    new RegExp(`(?<![.\\w"])${name}\\b(?!:)`).test(text) &&
    !text.includes(`class ${name} `)
  );
  if (names.length === 0) return "";
  const up = "../".repeat(file.split("/").length - 1) || "./";
  const from = `${up}tests/node_bun/suites/deno.ts`;
  return `import { ${names.join(", ")} } from "${from}";`;
}

/** Makes each package one module, of what Deno has of it. */
async function writePackages(
  folder: string,
  packages: Map<string, string>,
): Promise<void> {
  const entries = `${folder}/entries`;
  await Deno.mkdir(entries);
  const files: string[] = [];
  for (const [name, specifier] of packages) {
    const file = `${entries}/${name.replace("/", "__")}.ts`;
    await Deno.writeTextFile(file, `export * from "${specifier}";\n`);
    files.push(file);
  }
  await bundle(
    "--config=deno.json",
    `--outdir=${folder}/bundled`,
    ...files,
  );
  for (const name of packages.keys()) {
    const place = `${folder}/node_modules/${name}`;
    await Deno.mkdir(place, { recursive: true });
    await Deno.rename(
      `${folder}/bundled/${name.replace("/", "__")}.js`,
      `${place}/index.js`,
    );
    await Deno.writeTextFile(
      `${place}/package.json`,
      JSON.stringify({ name, type: "module", exports: "./index.js" }),
    );
  }
}

/**
 * Writes a script that runs modules of the copy on a runtime, and is called as
 * Deno is.
 *
 * @param file where the script goes
 * @param runtime the command that runs a module
 */
export async function writeDeno(
  file: string,
  folder: string,
  runtime: readonly string[],
): Promise<void> {
  const command = runtime.map((word) => `'${word}'`).join(" ");
  const isBun = runtime[0]!.endsWith("bun");
  const evaluate = isBun ? "-e" : "--input-type=module -e";
  const shim = `${folder}/tests/node_bun/suites/deno.ts`;
  await Deno.writeTextFile(
    file,
    `#!/bin/sh
command=$1
shift
flags=
while case "$1" in -*) true ;; *) false ;; esac; do
  case "$1" in --v8-flags=*) flags=$(echo "\${1#--v8-flags=}" | tr , ' ') ;; esac
  shift
done
first=\${1#file://}
shift
case "$command" in
run) exec ${command} ${isBun ? "" : "$flags"} "$first" "$@" ;;
eval) exec ${command} ${evaluate} "import { Deno } from '${shim}'; $first" "$@" ;;
*) echo "this is no Deno: $command" >&2; exit 2 ;;
esac
`,
    { mode: 0o755 },
  );
}
