import { packageIn, serveRegistry } from "../jsr/registry.ts";
import { tmpdir } from "node:os";
import { sharedJsrPackage } from "../package/shared_jsr_package.ts";

/** A program that imports the package from a registry, all of which is cached. */
export interface Installed extends AsyncDisposable {
  /** The program. */
  file: string;
  /** What `deno run` needs for it. */
  flags: string[];
  /** Variables of its environment: where the registry is. */
  env: Record<string, string>;
}

/** Runs the program, and waits before its exit. */
const LATE = `const exit = Deno.exit;
Deno.exit = (code) => setTimeout(exit, 500, code);
await import("./program.ts");
`;

/**
 * Publishes the package to a registry on the loopback interface, and runs a program
 * with it twice, so that Deno has it in its caches.
 *
 * @param program a file that imports `@qtalk/qtalk`
 */
export async function installFromJsr(program: string): Promise<Installed> {
  const own = packageIn(await sharedJsrPackage(tmpdir()));
  const registry = await serveRegistry([own]);
  const folder = await Deno.makeTempDir({ prefix: "qtalk_startup_" });
  const file = `${folder}/program.ts`;
  const source = await Deno.readTextFile(program);
  await Deno.writeTextFile(
    file,
    source.replace(own.name, `jsr:${own.name}@${own.version}`),
  );
  const installed: Installed = {
    file,
    flags: ["--no-config", "--no-lock"],
    env: { JSR_URL: registry.url },
    async [Symbol.asyncDispose]() {
      await registry[Symbol.asyncDispose]();
      await Deno.remove(folder, { recursive: true });
    },
  };
  // `Deno.exit()` may come before Deno has stored its code cache.
  const late = `${folder}/late.ts`;
  await Deno.writeTextFile(late, LATE);
  const { flags, env } = installed;
  for (const started of [file, late]) {
    const { success } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--allow-all", ...flags, started],
      env,
      stderr: "inherit",
    }).output();
    if (success) continue;
    await installed[Symbol.asyncDispose]();
    throw new Error(
      "The program failed that imports the package from a registry",
    );
  }
  return installed;
}
