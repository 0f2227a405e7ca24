/**
 * The package as a bundler or `tsc` of another runtime gets it: its declarations,
 * without Deno's.
 *
 * @module
 */
import { assert } from "@std/assert";

const ROOT = new URL("../../", import.meta.url);

/** Compilers, by their names: what `deno run` runs. */
export const COMPILERS = {
  "TypeScript 5": "npm:typescript@^5.9/tsc",
  "TypeScript 7": "npm:typescript@^7/tsc",
  "the native preview": "npm:@typescript/native-preview/tsgo",
} as const;

/** The name of a compiler. */
export type Compiler = keyof typeof COMPILERS;

/** What a browser's program sees; nothing of Deno or Node. */
const OPTIONS = {
  target: "ES2022",
  module: "ESNext",
  moduleResolution: "Bundler",
  lib: ["ES2022", "DOM", "DOM.AsyncIterable", "ESNext.Disposable"],
  types: [],
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
} as const;

/** What a compiler said. */
export interface Compiled {
  readonly ok: boolean;
  readonly text: string;
}

async function run(
  compiler: Compiler,
  folder: string,
  args: readonly string[],
): Promise<Compiled> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-config", "-A", COMPILERS[compiler], ...args],
    cwd: folder,
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return {
    ok: success,
    text: decoder.decode(stdout) + (success ? "" : decoder.decode(stderr)),
  };
}

/** Whether npm has the compilers. */
export async function isAvailable(): Promise<boolean> {
  const names = Object.keys(COMPILERS) as Compiler[];
  const found = await Promise.all(
    names.map((name) => run(name, ".", ["--version"])),
  );
  return found.every(({ ok }) => ok);
}

/** A folder with the declarations of the package, and programs that use them. */
export class EmittedPackage implements AsyncDisposable {
  readonly #folder: string;
  readonly #names: string[] = [];

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Emits the declarations of all entry points. */
  static async emit(): Promise<EmittedPackage> {
    const folder = await Deno.makeTempDir();
    const emitted = new EmittedPackage(folder);
    try {
      await emitted.#emit();
    } catch (error) {
      await emitted[Symbol.asyncDispose]();
      throw error;
    }
    return emitted;
  }

  async #emit(): Promise<void> {
    const folder = this.#folder;
    const root = new URL(".", ROOT).pathname;
    const { exports } = JSON.parse(
      await Deno.readTextFile(new URL("deno.json", ROOT)),
    ) as { exports: Record<string, string> };
    // The command line is a program of Deno.
    const entries = Object.entries(exports).filter(([name]) =>
      name !== "./cli"
    );
    this.#names.push(...entries.map(([name]) => name.slice(2)));
    const declarations = `${folder}/node_modules/@qtalk/qtalk`;
    await Deno.writeTextFile(
      `${folder}/emit.json`,
      JSON.stringify({
        compilerOptions: {
          ...OPTIONS,
          rootDir: root,
          outDir: declarations,
          declaration: true,
          emitDeclarationOnly: true,
          allowImportingTsExtensions: true,
          noCheck: true,
        },
        files: entries.map(([, path]) => `${root}${path.slice(2)}`),
      }),
    );
    const { ok, text } = await run("TypeScript 5", folder, ["-p", "emit.json"]);
    assert(ok, text);
    await renameImports(declarations);
    await Deno.writeTextFile(
      `${declarations}/package.json`,
      JSON.stringify({
        name: "@qtalk/qtalk",
        type: "module",
        exports: Object.fromEntries(
          entries.map(([name, path]) => [
            name,
            { types: path.replace(/\.ts$/, ".d.ts") },
          ]),
        ),
      }),
    );
  }

  /** A program that imports every entry point. */
  importAll(): string {
    return this.#names.map((name, i) => {
      const path = name === "" ? "@qtalk/qtalk" : `@qtalk/qtalk/${name}`;
      return `import * as m${i} from "${path}"; export { m${i} };`;
    }).join("\n");
  }

  /** Compiles programs, and all declarations that they reach. */
  async compile(
    compiler: Compiler,
    sources: readonly string[],
    args: readonly string[] = [],
  ): Promise<Compiled> {
    const name = crypto.randomUUID();
    const files = sources.map((_, i) => `${name}_${i}.ts`);
    const config = `${name}.json`;
    for (const [i, source] of sources.entries()) {
      await Deno.writeTextFile(`${this.#folder}/${files[i]}`, source);
    }
    await Deno.writeTextFile(
      `${this.#folder}/${config}`,
      JSON.stringify({ compilerOptions: { ...OPTIONS, noEmit: true }, files }),
    );
    return await run(compiler, this.#folder, ["-p", config, ...args]);
  }

  /** The text of every declaration file, by its path. */
  async declarations(): Promise<Map<string, string>> {
    const files = new Map<string, string>();
    const root = `${this.#folder}/node_modules/@qtalk/qtalk`;
    for await (const path of declarationsIn(root)) {
      files.set(path.slice(root.length + 1), await Deno.readTextFile(path));
    }
    return files;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#folder, { recursive: true });
  }
}

async function* declarationsIn(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory) yield* declarationsIn(path);
    else if (name.endsWith(".d.ts")) yield path;
  }
}

/** Makes imports name declarations, as they do in what JSR makes for npm. */
async function renameImports(folder: string): Promise<void> {
  for await (const path of declarationsIn(folder)) {
    const text = await Deno.readTextFile(path);
    await Deno.writeTextFile(
      path,
      text.replaceAll(/((?:from|import\()\s*"\.[^"]*)\.ts"/g, '$1.js"'),
    );
  }
}
