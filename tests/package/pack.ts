/**
 * Makes JavaScript and declarations of the modules that are published, one of each for
 * each module, with `deno pack`.
 *
 * @module
 */
import { read } from "../support/docs.ts";
import { temporaryFolder } from "../support/temporary_folder.ts";
import { declarationsIn } from "./declarations.ts";
import { config, publishedModules, write, writeJson } from "./sources.ts";

/** Modules that the package loads by a computed name, and does not export. */
const COMPUTED: Record<string, string> = {
  "./computed/cert": "./talk/cli/certificates/make_certificate.ts",
  "./computed/module-url": "./module_url.ts",
  "./computed/worker": "./talk/cli/serve/worker.ts",
};

/** What `deno pack` writes into `package.json`. */
export interface Manifest {
  name: string;
  exports: Record<string, unknown>;
  dependencies: Record<string, string>;
  [member: string]: unknown;
}

/** What has been packed. */
export interface Packed {
  /** As `deno pack` wrote it, without what the package does not export. */
  manifest: Manifest;
  /** The paths of the modules that programs or the package itself load by their names. */
  entries: string[];
}

/** How `pack()` makes modules. */
export interface PackOptions {
  /** Names that imports may have, besides those of `deno.json`. Default: none */
  imports?: Record<string, string>;
  /** Changes a module before it is packed. Default: none is changed */
  change?: (source: string, path: string) => string;
}

/**
 * Packs the modules.
 *
 * @param folder where they are written: it must exist and be empty
 */
export async function pack(
  folder: string,
  { imports, change = (source) => source }: PackOptions = {},
): Promise<Packed> {
  await using temporary = await temporaryFolder();
  const place = temporary.path;
  const { exports: own, imports: names, ...rest } = config();
  const exports = { ...own, ...COMPUTED };
  for (const path of publishedModules()) {
    await write(`${place}/${path}`, change(read(path), path));
  }
  await writeJson(`${place}/deno.json`, {
    ...rest,
    exports,
    imports: { ...names, ...imports },
  });
  const tarball = `${place}/package.tgz`;
  const options = ["--quiet", "--no-source-maps", "--output", tarball];
  await run(place, Deno.execPath(), ["pack", ...options]);
  const strip = ["--strip-components", "1"];
  await run(place, "tar", ["-xzf", tarball, "-C", folder, ...strip]);
  for (const path of declarationsIn(folder)) {
    await addModuleDoc(`${folder}/${path}`, path);
  }
  // The command line reads its version there.
  const { name, version } = rest;
  await writeJson(`${folder}/deno.json`, { name, version });
  const path = `${folder}/package.json`;
  const manifest: Manifest = JSON.parse(await Deno.readTextFile(path));
  for (const name of Object.keys(COMPUTED)) delete manifest.exports[name];
  const entries = Object.values(exports).map((path) =>
    path.replace(/^\.\/(.*)\.ts$/, "$1.js")
  );
  return { manifest, entries };
}

/**
 * Gives a declaration the documentation of its module: with the import that it
 * precedes, `deno pack` leaves it out.
 */
async function addModuleDoc(file: string, path: string): Promise<void> {
  const source = read(path.replace(/\.d\.ts$/, ".ts"));
  const [doc] = /^\/\*\*[^]*?\*\/\n/.exec(source) ?? [""];
  if (!doc.includes("@module")) return;
  const text = await Deno.readTextFile(file);
  if (!text.includes(" * @module")) await Deno.writeTextFile(file, doc + text);
}

async function run(
  cwd: string,
  command: string,
  args: string[],
): Promise<void> {
  const { success, stdout, stderr } = await new Deno.Command(command, {
    args,
    cwd,
  }).output();
  if (success) return;
  const decoder = new TextDecoder();
  const said = decoder.decode(stdout) + decoder.decode(stderr);
  throw new Error(`Cannot make the package: ${command} failed: ${said}`);
}
