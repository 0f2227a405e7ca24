/**
 * Joins the modules of a package into a few files, because a runtime takes time for
 * each module that it loads, and for each import in it: see ARCHITECTURE.md, "Packages
 * consist of few files". What is written can still be read: it has the names of the
 * sources and is not minified, but it has no comments.
 *
 * @module
 */
import { resolve } from "node:path";
import { stop, transform } from "esbuild";
import { type GetModuleInfo, type Plugin, rollup } from "rollup";

/** How modules are joined. */
export interface JoinOptions {
  /**
   * Names of files, and the modules that each has, with all that these import and that
   * no file before it has. Rollup joins the others as their size suggests, so that a
   * program may load several files for one function.
   */
  files: Record<string, readonly string[]>;
  /** Bytes that a file should have at least: smaller ones are joined if that is safe. */
  least: number;
  /** What an entry begins with. Default: nothing */
  banner?: (entry: string) => string;
  /** What other packages are called in what is written. Default: as in the modules */
  names?: Record<string, string>;
}

/**
 * Writes the entries of a package, and what they have in common, as few files.
 *
 * All files but the entries lie in the package's own folder, so that
 * `module_url.ts` finds it.
 *
 * @param from the folder with the modules
 * @param entries the paths of the modules that are loaded by their names
 * @param to the folder in which the files are written
 */
export async function joinModules(
  from: string,
  entries: readonly string[],
  to: string,
  options: JoinOptions,
): Promise<void> {
  try {
    await join(from, entries, to, options);
  } finally {
    await stop();
  }
}

async function join(
  from: string,
  entries: readonly string[],
  to: string,
  { files, least, banner = () => "", names = {} }: JoinOptions,
): Promise<void> {
  const bundle = await rollup({
    input: Object.fromEntries(
      entries.map((path) => [path.replace(/\.js$/, ""), `${from}/${path}`]),
    ),
    // Other packages and what runtimes have. On Windows, a path looks like these.
    external: (id, _importer, isResolved) => !isResolved && !id.startsWith("."),
    plugins: [JSON_MODULES, NO_COMMENTS],
    onLog(level, { message }) {
      if (level === "warn") throw new Error(`Cannot join modules: ${message}`);
    },
  });
  const fileOf = new Map<string, string>();
  try {
    await bundle.write({
      dir: to,
      paths: names,
      format: "es",
      chunkFileNames: "[name].js",
      experimentalMinChunkSize: least,
      minifyInternalExports: false,
      onlyExplicitManualChunks: true,
      manualChunks(id, { getModuleInfo }) {
        if (fileOf.size === 0) {
          for (const [file, paths] of Object.entries(files)) {
            for (const path of paths) {
              addImported(resolve(from, path), file, getModuleInfo, fileOf);
            }
          }
        }
        return fileOf.get(id);
      },
      banner: ({ isEntry, fileName }) => isEntry ? banner(fileName) : "",
    });
  } finally {
    await bundle.close();
  }
}

/** Gives a file a module and all that this imports, without what is in a file already. */
function addImported(
  id: string,
  file: string,
  getModuleInfo: GetModuleInfo,
  fileOf: Map<string, string>,
): void {
  const info = getModuleInfo(id);
  if (info === null) throw new Error(`Cannot join modules: no "${id}"`);
  if (fileOf.has(id) || info.isExternal) return;
  fileOf.set(id, file);
  for (const imported of info.importedIds) {
    addImported(imported, file, getModuleInfo, fileOf);
  }
}

/** Imports of JSON: the command line reads its version there. */
const JSON_MODULES: Plugin = {
  name: "json",
  transform: (code, id) =>
    id.endsWith(".json") ? `export default ${code}` : undefined,
};

/**
 * Removes comments: documentation is in the declarations. The package for npm is
 * smaller without them, and Deno reads all of the one for JSR at each start. esbuild
 * leaves the comments in classes unless it removes white space, too.
 */
const NO_COMMENTS: Plugin = {
  name: "no-comments",
  async transform(code, id) {
    if (!id.endsWith(".js")) return undefined;
    const dense = await transform(code, {
      target: "esnext",
      minifyWhitespace: true,
    });
    return (await transform(dense.code, { target: "esnext" })).code;
  },
};
