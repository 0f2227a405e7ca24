/**
 * The files that are published, as they are in this repository.
 *
 * @module
 */
import { files, read } from "../support/docs.ts";

/** The modules that are published: not those of tests. */
const PUBLISHED = /^(?:(?:codec|mux|rpc|talk)\/.*|[^/]*)(?<!_test)\.ts$/;

/** The documents that are published. */
export const DOCUMENTS = ["CHANGELOG.md", "LICENSE", "README.md"];

/** The paths of the modules that are published. */
export function publishedModules(): string[] {
  return [...files()].filter((path) => PUBLISHED.test(path));
}

/** Writes the documents that are published into a folder. */
export async function writeDocuments(folder: string): Promise<void> {
  for (const name of DOCUMENTS) await write(`${folder}/${name}`, read(name));
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
  return JSON.parse(read("deno.json"));
}

/**
 * Makes sure that a folder is empty, or does not exist: what else is in it would be
 * published.
 *
 * @throws {Error} if it is not
 */
export async function checkEmpty(folder: string): Promise<void> {
  const entries = Deno.readDir(folder);
  try {
    for await (const { name } of entries) {
      throw new Error(
        `Cannot make the package in "${folder}": it is not empty, but has "${name}"`,
      );
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
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
