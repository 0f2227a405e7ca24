/**
 * Makes the package for JSR:
 *
 *     deno task jsr FOLDER
 *
 * Programs load a few files of JavaScript. Their types and documentation come from
 * declarations.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { temporaryFolder } from "../support/temporary_folder.ts";
import { writeDeclarations } from "./declarations.ts";
import { makeEager } from "./eager_functions.ts";
import { joinModules } from "./join_modules.ts";
import { pack } from "./pack.ts";
import { sharedJsrPackage } from "./shared_jsr_package.ts";
import { checkEmpty, config, writeDocuments, writeJson } from "./sources.ts";

/**
 * Makes the package.
 *
 * @param folder where it is written: it must be empty, or not exist
 * @throws {Error} if it has something
 */
export async function makeJsrPackage(folder: string): Promise<void> {
  await checkEmpty(folder);
  const { name, version, license, exports, imports, scopes } = config();
  const names = { ...imports, ...scopes["./"] };
  await using modules = await temporaryFolder();
  const { entries } = await pack(modules.path);
  await joinModules(modules.path, entries, folder, {
    // A program that listens or dials over TCP loads nothing that it does not use.
    files: {
      core: ["mod.js"],
      tcp: ["mux/transport/deno/conn.js"],
      server: ["talk/listener/start.js", "rpc/handler/answering.js"],
    },
    // Deno reads all files before it starts a program.
    least: 20_000,
    names,
    banner(entry) {
      const name = entry.slice(entry.lastIndexOf("/") + 1, -".js".length);
      return `/* @ts-self-types="./${name}.d.ts" */`;
    },
  });
  await makeEager(folder);
  await writeDeclarations(
    modules.path,
    folder,
    (text) => withNames(text, names),
  );
  await writeDocuments(folder);
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
  });
}

/**
 * What a declaration imports, as Deno wants it: with extensions and versions. The
 * examples in its comments stay as they are.
 */
function withNames(text: string, names: Record<string, string>): string {
  return text.replaceAll(
    /\/\*\*[^]*?\*\/|(\bfrom|\bimport\(?)(\s*)"([^"]*)"/g,
    (whole, keyword: string | undefined, space: string, name: string) =>
      keyword === undefined
        ? whole
        : `${keyword}${space}"${
          names[name] ?? name.replace(/^(\..*)\.js$/, "$1.d.ts")
        }"`,
  );
}

/** Makes the package, and has it checked as if it were published. */
async function dryRun(): Promise<number> {
  await using folder = await temporaryFolder();
  const place = await sharedJsrPackage(folder.path);
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: ["publish", "--dry-run", "--allow-dirty"],
    cwd: place,
  }).spawn().status;
  return code;
}

const HELP = `Makes the package for JSR in a folder, from which it is published.

Usage: deno task jsr FOLDER
       deno task jsr --dry-run

  --dry-run   check a package that is removed again, as if it were published
  --help      print this

FOLDER must be empty, or not exist.`;

if (import.meta.main) {
  const { values, positionals: [folder, ...others] } = parseArgs({
    // `deno task` passes `--` on to the program.
    args: Deno.args.filter((arg) => arg !== "--"),
    options: {
      "dry-run": { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
    allowPositionals: true,
  });
  if (values.help) {
    console.log(HELP);
    Deno.exit();
  }
  if (others.length > 0 || values["dry-run"] === (folder !== undefined)) {
    console.error("usage: deno task jsr FOLDER | --dry-run");
    Deno.exit(2);
  }
  if (folder === undefined) Deno.exit(await dryRun());
  await makeJsrPackage(folder);
}
