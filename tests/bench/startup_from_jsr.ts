import { packageIn, serveRegistry } from "../jsr/registry.ts";
import { makeJsrPackage } from "../package/make_jsr_package.ts";
import { temporaryFolder } from "../support/temporary_folder.ts";

/** A program that imports the package from a registry, all of which is cached. */
export interface Installed extends AsyncDisposable {
  /** The program. */
  file: string;
  /** What `deno run` needs for it. */
  flags: string[];
  /** Variables of its environment: where the registry is. */
  env: Record<string, string>;
}

/**
 * Publishes the package to a registry on the loopback interface, and runs a program
 * with it once, so that Deno has it in its caches.
 *
 * @param program a file that imports `@qtalk/qtalk`
 */
export async function installFromJsr(program: string): Promise<Installed> {
  await using made = await temporaryFolder();
  await makeJsrPackage(made.path);
  const own = packageIn(made.path);
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
  const { flags, env } = installed;
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", ...flags, file],
    env,
    stderr: "inherit",
  }).output();
  if (success) return installed;
  await installed[Symbol.asyncDispose]();
  throw new Error(
    "The program failed that imports the package from a registry",
  );
}
