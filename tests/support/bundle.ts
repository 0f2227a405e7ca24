/**
 * `deno bundle`, one at a time.
 *
 * @module
 */
import { tmpdir } from "node:os";

/**
 * Runs `deno bundle`, in the project's folder; resolves to what it printed.
 *
 * On a new machine the first one fetches the bundler, and two at once get into
 * each other's way (Deno 2.9.6: "failed to copy esbuild binary"). So whoever
 * bundles, in whatever process, waits for the others.
 *
 * @throws {Error} if it fails
 */
export async function bundle(...args: string[]): Promise<string> {
  const path = `${tmpdir()}/qtalk_deno_bundle.lock`;
  // Its lock ends with the file.
  using lock = await Deno.open(path, { create: true, write: true });
  await lock.lock(true);
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", ...args],
    cwd: new URL("../..", import.meta.url),
  }).output();
  const decoder = new TextDecoder();
  if (success) return decoder.decode(stdout);
  throw new Error(`Cannot bundle ${args.at(-1)}: ${decoder.decode(stderr)}`);
}
