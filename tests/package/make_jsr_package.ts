/**
 * Makes the package for JSR:
 *
 *     deno task jsr FOLDER
 *
 * Programs load a few files of JavaScript. Types, documentation and "go to definition"
 * come from the sources, which lie beside them.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { temporaryFolder } from "../support/temporary_folder.ts";
import { declarationsIn } from "./declarations.ts";
import { joinModules } from "./join_modules.ts";
import { pack } from "./pack.ts";
import { config, DOCUMENTS, sourceOf, write, writeJson } from "./sources.ts";

/**
 * Makes the package.
 *
 * @param folder where it is written: it must be empty, or not exist
 */
export async function makeJsrPackage(folder: string): Promise<void> {
  await using modules = await temporaryFolder();
  const { entries } = await pack(modules.path);
  await joinModules(modules.path, entries, folder, (entry) => {
    const name = entry.slice(entry.lastIndexOf("/") + 1, -".js".length);
    return `/* @ts-self-types="./${name}.d.ts" */`;
  });
  for (const path of declarationsIn(modules.path)) {
    const text = await Deno.readTextFile(`${modules.path}/${path}`);
    await write(`${folder}/${path}`, withExtensions(text));
  }
  for (const path of DOCUMENTS) {
    await write(`${folder}/${path}`, sourceOf(path));
  }
  const { name, version, license, exports, imports, scopes } = config();
  await writeJson(`${folder}/deno.json`, {
    name,
    version,
    license,
    exports: Object.fromEntries(
      Object.entries(exports).map(([name, path]) => [
        name,
        path.replace(/\.ts$/, ".js"),
      ]),
    ),
    imports: { ...imports, ...scopes["./"] },
  });
}

/** Names the files that a declaration imports, as Deno wants it. */
function withExtensions(text: string): string {
  return text.replaceAll(
    /((?:\bfrom|\bimport\(?)\s*"\.[^"]*)\.js"/g,
    '$1.d.ts"',
  );
}

const HELP = `Makes the package for JSR, to be published from there.

Usage: deno task jsr FOLDER

  --help             print this

FOLDER must be empty, or not exist.`;

if (import.meta.main) {
  const { values: { help }, positionals: [folder, ...others] } = parseArgs({
    // \`deno task\` passes \`--\` on to the program.
    args: Deno.args.filter((arg) => arg !== "--"),
    options: { help: { type: "boolean", default: false } },
    allowPositionals: true,
  });
  if (help) {
    console.log(HELP);
    Deno.exit();
  }
  if (folder === undefined || others.length > 0) {
    console.error("usage: deno task jsr FOLDER");
    Deno.exit(2);
  }
  await makeJsrPackage(folder);
}
