/**
 * Makes the package for npm, from the same sources as that for JSR:
 *
 *     deno task npm [--repository URL] FOLDER
 *
 * `deno pack` makes modules and declarations. The modules are joined into a few files.
 * What `deno pack` has no setting for is done here: which dependencies are optional,
 * which one takes the place of JSR's, and what declarations need of the compiler's
 * libraries.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { temporaryFolder } from "../support/temporary_folder.ts";
import { writeDeclarations } from "./declarations.ts";
import { joinModules } from "./join_modules.ts";
import { type Manifest, pack } from "./pack.ts";
import { checkEmpty, writeDocuments, writeJson } from "./sources.ts";

/** What only some subpaths need, and a program that uses these installs. */
const OPTIONAL = ["@opentelemetry/api", "@peculiar/x509", "reflect-metadata"];

/**
 * The library that takes the place of JSR's, which plain npm cannot install. Its two
 * functions do the same.
 */
const MSGPACK = {
  jsr: "@std/msgpack",
  npm: "@msgpack/msgpack",
  version: "^3.1",
};

/**
 * Makes the package.
 *
 * @param folder where it is written: it must be empty, or not exist
 * @param repository the address of the sources, which provenance needs
 * @throws {Error} if the folder has something
 */
export async function makeNpmPackage(
  folder: string,
  repository?: string,
): Promise<void> {
  await checkEmpty(folder);
  await using modules = await temporaryFolder();
  const { manifest, entries } = await pack(modules.path, {
    imports: { [MSGPACK.npm]: `npm:${MSGPACK.npm}@${MSGPACK.version}` },
    change: (source, path) =>
      path === "codec/msgpack/msgpack.ts"
        ? source.replaceAll(MSGPACK.jsr, MSGPACK.npm)
        : source,
  });
  await joinModules(modules.path, entries, folder, {
    files: { core: ["mod.js"] },
    // Bundlers do not divide a file: with larger ones, a page loads what it does not use.
    least: 3_000,
  });
  await writeDeclarations(modules.path, folder, withLibrary);
  await writeDocuments(folder);
  await writeJson(`${folder}/package.json`, manifestOf(manifest, repository));
}

/** The manifest, with what `deno pack` has no setting for. */
function manifestOf(
  { exports, dependencies: all, ...rest }: Manifest,
  repository: string | undefined,
): unknown {
  const pick = (wanted: boolean) =>
    Object.fromEntries(
      Object.entries(all).filter(([name]) =>
        OPTIONAL.includes(name) === wanted
      ),
    );
  const peers = pick(true);
  if (Object.keys(peers).length !== OPTIONAL.length) {
    throw new Error(`Cannot make the package: it needs ${Object.keys(all)}`);
  }
  return {
    ...rest,
    description:
      "Calls, streams and callbacks between programs in any runtime, over one byte stream",
    keywords: ["rpc", "qmux", "qtalk", "multiplexing", "streams", "websocket"],
    ...repository !== undefined && {
      repository: { type: "git", url: `git+${repository}.git` },
    },
    sideEffects: false,
    // It has process.getBuiltinModule() from this one on.
    engines: { node: ">=22.3" },
    exports: { ...exports, "./package.json": "./package.json" },
    dependencies: pick(false),
    peerDependencies: peers,
    peerDependenciesMeta: Object.fromEntries(
      OPTIONAL.map((name) => [name, { optional: true }]),
    ),
  };
}

/**
 * Makes a declaration that names `Disposable` say that it needs this library of
 * the compiler, which not every program has among its `lib`.
 */
function withLibrary(text: string): string {
  return /\b(?:Async)?Disposable\b|\.(?:asyncDispose|dispose)\b/.test(text)
    ? `/// <reference lib="esnext.disposable" />\n${text}`
    : text;
}

const HELP = `Makes the package for npm.

Usage: deno task npm [options] FOLDER

  --repository URL   where the sources are, which provenance needs
  --help             print this

FOLDER must be empty, or not exist.`;

if (import.meta.main) {
  const { values: { repository, help }, positionals: [folder, ...others] } =
    parseArgs({
      // `deno task` passes `--` on to the program.
      args: Deno.args.filter((arg) => arg !== "--"),
      options: {
        repository: { type: "string" },
        help: { type: "boolean", default: false },
      },
      allowPositionals: true,
    });
  if (help) {
    console.log(HELP);
    Deno.exit();
  }
  if (folder === undefined || others.length > 0) {
    console.error("usage: deno task npm [--repository URL] FOLDER");
    Deno.exit(2);
  }
  await makeNpmPackage(folder, repository);
}
