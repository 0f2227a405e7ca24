/**
 * The files that are published, as they are in this repository.
 *
 * @module
 */
const ROOT = new URL("../../", import.meta.url);

/** The folders with the modules that are published, besides the modules beside them. */
const FOLDERS = ["codec/", "mux/", "rpc/", "talk/"];

/** The paths of the modules that are published: not those of tests. */
export function* publishedModules(): Generator<string> {
  for (const folder of FOLDERS) yield* modulesIn(folder);
  for (const { name } of Deno.readDirSync(ROOT)) {
    if (isModule(name)) yield name;
  }
}

function* modulesIn(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(new URL(folder, ROOT))) {
    const path = folder + name;
    if (isDirectory) yield* modulesIn(`${path}/`);
    else if (isModule(name)) yield path;
  }
}

/** Whether a file is a module that is published. */
function isModule(name: string): boolean {
  return /(?<!_test)\.ts$/.test(name);
}

/** The documents that are published. */
export const DOCUMENTS = ["CHANGELOG.md", "LICENSE", "README.md"];

/** The text of a file of this repository. */
export function sourceOf(path: string): string {
  return Deno.readTextFileSync(new URL(path, ROOT));
}

/** What is used of `deno.json`. */
export interface Config {
  name: string;
  version: string;
  license: string;
  exports: Record<string, string>;
  imports: Record<string, string>;
  scopes: Record<string, Record<string, string>>;
}

/** Reads `deno.json`. */
export function config(): Config {
  return JSON.parse(sourceOf("deno.json"));
}

/** Writes a file and makes the folders that it is in. */
export async function write(path: string, text: string): Promise<void> {
  await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  await Deno.writeTextFile(path, text);
}

/** Writes a file with JSON. */
export async function writeJson(path: string, value: unknown): Promise<void> {
  await write(path, `${JSON.stringify(value, null, 2)}\n`);
}
