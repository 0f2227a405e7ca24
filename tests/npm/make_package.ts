/**
 * Makes the package for npm, from the same sources as that for JSR:
 *
 *     deno task npm [--repository URL] FOLDER
 *
 * `deno pack` makes modules and declarations. What it has no setting for is done
 * here: which dependencies are optional, which one takes the place of JSR's, and what
 * declarations need of the compiler's libraries.
 *
 * @module
 */
import { parseArgs } from "node:util";

const ROOT = new URL("../../", import.meta.url);

/** What only some subpaths need, and a program that uses these installs. */
const OPTIONAL = ["@opentelemetry/api", "@peculiar/x509", "reflect-metadata"];

/** A module that the command line loads by a computed name. */
const COMPUTED = {
  name: "./make-certificate",
  path: "./talk/cli/certificates/make_certificate.ts",
};

/**
 * The library that takes the place of JSR's, which plain npm cannot install. Its two
 * functions do the same.
 */
const MSGPACK = {
  jsr: "@std/msgpack",
  npm: "@msgpack/msgpack",
  version: "^3.1",
};

/** What is used of `deno.json`. */
interface Config {
  version: string;
  exports: Record<string, string>;
  imports: Record<string, string>;
  publish?: unknown;
}

/** What `deno pack` writes, and what is added. */
interface Manifest {
  name: string;
  exports: Record<string, unknown>;
  dependencies: Record<string, string>;
  [member: string]: unknown;
}

/**
 * Makes the package.
 *
 * @param folder where it is written: it must be empty, or not exist
 * @param repository the address of the sources, which provenance needs
 */
export async function makePackage(
  folder: string,
  repository?: string,
): Promise<void> {
  const place = await Deno.makeTempDir({ prefix: "qtalk_npm_" });
  try {
    const config: Config = JSON.parse(
      await Deno.readTextFile(new URL("deno.json", ROOT)),
    );
    await copySources(place);
    await writeJson(`${place}/deno.json`, {
      ...config,
      exports: { ...config.exports, [COMPUTED.name]: COMPUTED.path },
      imports: {
        ...config.imports,
        [MSGPACK.npm]: `npm:${MSGPACK.npm}@${MSGPACK.version}`,
      },
      publish: undefined,
    });
    const codec = `${place}/codec/msgpack/msgpack.ts`;
    const source = await Deno.readTextFile(codec);
    const changed = source.replaceAll(MSGPACK.jsr, MSGPACK.npm);
    await Deno.writeTextFile(codec, changed);
    const tarball = `${place}/package.tgz`;
    const args = ["--quiet", "--no-source-maps", "--output", tarball];
    await run(place, Deno.execPath(), ["pack", ...args]);
    await Deno.mkdir(folder, { recursive: true });
    const strip = ["--strip-components", "1"];
    await run(place, "tar", ["-xzf", tarball, "-C", folder, ...strip]);
    await writeManifest(folder, repository);
    // The command line reads its version there.
    const { version } = config;
    await writeJson(`${folder}/deno.json`, { name: "@qtalk/qtalk", version });
    for await (const path of declarationsIn(folder)) await addLibrary(path);
  } finally {
    await Deno.remove(place, { recursive: true });
  }
}

/** Copies what is published: not tests, and of the documents only two. */
async function copySources(to: string): Promise<void> {
  const copy = async (folder: string) => {
    await Deno.mkdir(`${to}/${folder}`, { recursive: true });
    for await (const entry of Deno.readDir(new URL(folder, ROOT))) {
      const path = folder + entry.name;
      if (entry.isDirectory) await copy(`${path}/`);
      else if (/(?<!_test)\.ts$/.test(path)) {
        await Deno.copyFile(new URL(path, ROOT), `${to}/${path}`);
      }
    }
  };
  for (const folder of ["codec/", "mux/", "rpc/", "talk/"]) await copy(folder);
  for await (const { name, isFile } of Deno.readDir(ROOT)) {
    const wanted = /(?<!_test)\.ts$|^(README|CHANGELOG)\.md$|^LICENSE$/;
    if (!isFile || !wanted.test(name)) continue;
    await Deno.copyFile(new URL(name, ROOT), `${to}/${name}`);
  }
}

async function writeManifest(
  folder: string,
  repository: string | undefined,
): Promise<void> {
  const path = `${folder}/package.json`;
  const manifest: Manifest = JSON.parse(await Deno.readTextFile(path));
  const { exports, dependencies: all, ...rest } = manifest;
  delete exports[COMPUTED.name];
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
  await writeJson(path, {
    ...rest,
    description:
      "Calls, streams and callbacks between programs in any runtime, over one byte stream",
    keywords: ["rpc", "qmux", "qtalk", "multiplexing", "streams", "websocket"],
    ...repository !== undefined && {
      repository: { type: "git", url: `git+${repository}.git` },
    },
    // It has none. But esbuild, in one file, would leave out what starts some of the
    // modules that a module without side effects passes on by `export *`.
    sideEffects: ["./mod.js"],
    // It has process.getBuiltinModule() from this one on.
    engines: { node: ">=22.3" },
    exports: { ...exports, "./package.json": "./package.json" },
    dependencies: pick(false),
    peerDependencies: peers,
    peerDependenciesMeta: Object.fromEntries(
      OPTIONAL.map((name) => [name, { optional: true }]),
    ),
  });
}

async function* declarationsIn(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory) yield* declarationsIn(path);
    else if (name.endsWith(".d.ts")) yield path;
  }
}

/**
 * Makes a declaration that names `Disposable` say that it needs this library of
 * the compiler, which not every program has among its `lib`.
 */
async function addLibrary(path: string): Promise<void> {
  const text = await Deno.readTextFile(path);
  if (!/\b(?:Async)?Disposable\b|\.(?:asyncDispose|dispose)\b/.test(text)) {
    return;
  }
  const reference = '/// <reference lib="esnext.disposable" />';
  await Deno.writeTextFile(path, `${reference}\n${text}`);
}

async function writeJson(path: string, value: unknown): Promise<void> {
  await Deno.writeTextFile(path, `${JSON.stringify(value, null, 2)}\n`);
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
  await makePackage(folder, repository);
}
