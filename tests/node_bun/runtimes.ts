/**
 * Node and Bun, from npm, and what runs on them.
 *
 * @module
 */
import { bundle } from "../support/bundle.ts";

/** npm packages of the oldest Node and of Bun, and of a later Node. */
const PACKAGES = { oldest: ["node@22", "bun@1"], later: ["node@24"] };
/** Milliseconds that npm has. */
const PATIENCE = 60_000;

/** The command lines of a runtime. */
export interface Commands {
  /** Runs program.ts. */
  program: [string, ...string[]];
  /** Runs examples/node_streams.mjs. */
  example: [string, ...string[]];
  /** Runs tests/support/signal_server.ts. */
  signals: [string, ...string[]];
  /** Runs sockets.ts. */
  sockets: [string, ...string[]];
}

/** The runtimes. */
export type Runtimes = Record<"node" | "node24" | "bun", Commands>;

/**
 * Installs them, and bundles what they run into `directory`; or says why not.
 *
 * @param directory empty, and the caller's to remove
 */
export async function prepareRuntimes(
  directory: string,
): Promise<{ runtimes?: Runtimes; missing?: string }> {
  if (Deno.build.os === "windows") {
    return { missing: "they need Unix sockets and a shell" };
  }
  const { found, missing } = await findRuntimes();
  if (found === undefined) return { missing: missing! };
  const { node, node24, bun } = found;
  // What cannot be bundled is a failure, and nothing that is missing.
  const [program, example, signals, sockets] = await Promise.all([
    bundleInto("program.ts", directory),
    bundleInto("../../examples/node_streams.mjs", directory),
    bundleInto("../support/signal_server.ts", directory),
    bundleInto("sockets.ts", directory),
  ]);
  const commands = (...runtime: [string, ...string[]]): Commands => ({
    program: [...runtime, program],
    example: [...runtime, example],
    signals: [...runtime, signals],
    sockets: [...runtime, sockets],
  });
  return {
    runtimes: {
      node: commands(node, "--no-warnings"),
      node24: commands(node24, "--no-warnings"),
      bun: commands(bun),
    },
  };
}

/** Installs the runtimes: resolves to where each is, or says why not. */
export async function findRuntimes(): Promise<
  { found?: Record<keyof Runtimes, string>; missing?: string }
> {
  let node: string;
  let node24: string;
  try {
    node = await nodeOf(PACKAGES.oldest);
    node24 = await nodeOf(PACKAGES.later);
  } catch (error) {
    return { missing: error instanceof Error ? error.message : `${error}` };
  }
  const modules = /^(.*\/node_modules)\/node\/bin\/node$/.exec(node)?.[1];
  if (modules === undefined) return { missing: `npx found Node at "${node}"` };
  return { found: { node, node24, bun: `${modules}/.bin/bun` } };
}

/** Installs packages with Node among them; resolves to where that is. */
async function nodeOf(names: readonly string[]): Promise<string> {
  const packages = names.map((name) => `--package=${name}`);
  const show = ["node", "-p", "process.execPath"];
  const said = await run("npx", ["--yes", ...packages, "--", ...show]);
  return said.trim().split("\n").at(-1)!;
}

/** Bundles a module into `directory`; resolves to the file. */
async function bundleInto(source: string, directory: string): Promise<string> {
  const { pathname } = new URL(source, import.meta.url);
  const name = pathname.slice(pathname.lastIndexOf("/") + 1);
  const output = `${directory}/${name.replace(/\.\w+$/, ".mjs")}`;
  await bundle(`-o=${output}`, pathname);
  return output;
}

/** Runs a command; resolves to what it printed. */
export async function run(command: string, args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, {
    args,
    env: { npm_config_fetch_retries: "0", npm_config_loglevel: "error" },
    signal: AbortSignal.timeout(PATIENCE),
  }).output();
  const decoder = new TextDecoder();
  if (success) return decoder.decode(stdout);
  const [line] = decoder.decode(stderr).split("\n");
  throw new Error(`${command} failed: ${line}`);
}
