/**
 * Node and Bun, from npm, and what runs on them.
 *
 * @module
 */
import { bundle } from "../support/bundle.ts";

/** npm packages: what runs, and the WebSocket server that Node lacks. */
const PACKAGES = ["node@22", "bun@1"];
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
}

/** The runtimes. */
export type Runtimes = Record<"node" | "bun", Commands>;

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
  let node: string;
  try {
    const packages = PACKAGES.map((name) => `--package=${name}`);
    const show = ["node", "-p", "process.execPath"];
    const said = await run("npx", ["--yes", ...packages, "--", ...show]);
    node = said.trim().split("\n").at(-1)!;
  } catch (error) {
    return { missing: error instanceof Error ? error.message : `${error}` };
  }
  const modules = /^(.*\/node_modules)\/node\/bin\/node$/.exec(node)?.[1];
  if (modules === undefined) return { missing: `npx found Node at "${node}"` };
  // Where an import of `ws` is looked for.
  await Deno.symlink(modules, `${directory}/node_modules`);
  // What cannot be bundled is a failure, and nothing that is missing.
  const [program, example, signals] = await Promise.all([
    bundleInto("program.ts", directory),
    bundleInto("../../examples/node_streams.mjs", directory),
    bundleInto("../support/signal_server.ts", directory),
  ]);
  const bun = `${modules}/.bin/bun`;
  return {
    runtimes: {
      node: {
        program: [node, "--no-warnings", program],
        example: [node, example],
        signals: [node, signals],
      },
      bun: {
        program: [bun, program],
        example: [bun, example],
        signals: [bun, signals],
      },
    },
  };
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
