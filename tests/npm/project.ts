/**
 * A project of a user of npm: an empty folder into which the packed package is
 * installed, and what consumes it.
 *
 * @module
 */
import { files, read } from "../support/docs.ts";
import { makeNpmPackage } from "../package/make_npm_package.ts";
import { config } from "../package/sources.ts";

const ROOT = new URL("../../", import.meta.url);
const HERE = new URL(".", import.meta.url);

/** What is installed beside the package. */
const TOOLS = [
  "@opentelemetry/api@1",
  "@types/node@22",
  config().scopes["./tests/"]!["esbuild"]!.replace("npm:", ""),
  "publint@0",
  "typescript-5@npm:typescript@~5.9",
  "typescript-6@npm:typescript@6",
  "typescript@7",
  "vite@8",
  "webpack@5",
  "workerd@1",
];

/** A folder in which the package is installed. */
export class Project implements AsyncDisposable {
  private constructor(
    /** Where it is. */
    readonly folder: string,
    /** The packed package. */
    readonly tarball: string,
  ) {}

  /** Makes the package, packs it, and installs it with what consumes it. */
  static async make(): Promise<Project> {
    const folder = await Deno.makeTempDir({ prefix: "qtalk_npm_" });
    try {
      const place = `${folder}/package`;
      await makeNpmPackage(place);
      await runIn(folder, "npm", [
        "pack",
        place,
        "--pack-destination",
        folder,
      ]);
      const { name, version } = JSON.parse(
        await Deno.readTextFile(`${place}/package.json`),
      );
      const tarball = `${folder}/${
        name.slice(1).replace("/", "-")
      }-${version}.tgz`;
      await Deno.remove(place, { recursive: true });
      await Deno.writeTextFile(
        `${folder}/package.json`,
        JSON.stringify({ private: true, type: "module" }),
      );
      await runIn(folder, "npm", [
        "install",
        `--prefix=${folder}`,
        "--prefer-offline",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        tarball,
        ...TOOLS,
      ]);
      const consumers = new URL("consumers/", HERE);
      for await (const entry of Deno.readDir(consumers)) {
        await Deno.copyFile(
          new URL(entry.name, consumers),
          `${folder}/${entry.name}`,
        );
      }
      await Deno.copyFile(
        new URL("../browser/ws_client.ts", HERE),
        `${folder}/ws_client.ts`,
      );
      return new Project(folder, tarball);
    } catch (error) {
      await Deno.remove(folder, { recursive: true });
      throw error;
    }
  }

  /** Where a command of an installed package is. */
  command(name: string): string {
    return `${this.folder}/node_modules/.bin/${name}`;
  }

  /** The compiler of an installed version of TypeScript. */
  compiler(name: string): string {
    return `${this.folder}/node_modules/${name}/bin/tsc`;
  }

  /** Runs a command in the folder; resolves to what it printed. */
  run(command: string, args: readonly string[]): Promise<string> {
    return runIn(this.folder, command, args);
  }

  /** Writes a file into the folder, or into one in it. */
  async write(name: string, text: string): Promise<void> {
    const path = `${this.folder}/${name}`;
    await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    await Deno.writeTextFile(path, text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.folder, { recursive: true });
  }
}

async function runIn(
  cwd: string,
  command: string,
  args: readonly string[],
): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, {
    args: [...args],
    cwd,
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  const said = decoder.decode(stdout);
  if (success) return said;
  throw new Error(`${command} failed: ${said}${decoder.decode(stderr)}`);
}

/** All subpaths, as programs import them. */
export async function subpaths(): Promise<string[]> {
  const { name, exports } = JSON.parse(
    await Deno.readTextFile(new URL("deno.json", ROOT)),
  );
  return Object.keys(exports).map((path) => name + path.slice(1));
}

/** The files that docs/npm.md shows, by their names. */
export async function documentedFiles(): Promise<Map<string, string>> {
  const page = await Deno.readTextFile(new URL("docs/npm.md", ROOT));
  const block = /`([\w.]+)`:\n\n```\w+(?: ignore)?\n([^]*?)```/g;
  return new Map(
    Array.from(page.matchAll(block), ([, name, text]) => [name!, text!]),
  );
}

/** What an example needs that the package does not have on Node. */
const DENO = /\bDeno\.|"(?:npm|jsr):|new Worker\(/;

/**
 * The examples of the documentation that run on Node and Bun, each by the name of a
 * module.
 */
export function documentedExamples(): Map<string, string> {
  const pages = [...files("docs/")].filter((path) => path.endsWith(".md"));
  return new Map(
    ["README.md", ...pages].flatMap((page) =>
      [...read(page).matchAll(/^```ts\n([^]*?)^```$/gm)]
        .map(([, text]) => text!)
        .filter((text) => !DENO.test(text))
        .map((text, i): [string, string] => [
          `${page.replace(/\W/g, "_")}_${i + 1}.ts`,
          // Without this, an example that imports nothing is no module.
          text.replace(`"@std/assert"`, `"../assert.js"`) + "export {};\n",
        ])
    ),
  );
}
