/**
 * The package for JSR, made once for all that use it. Making it takes half a minute.
 *
 * @module
 */
import { toHex } from "../../hex.ts";
import { files, read } from "../support/docs.ts";
import { exists } from "../support/socket_path.ts";
import { DOCUMENTS, publishedModules } from "./sources.ts";

/** Says where the processes of a run share packages. */
export const PACKAGES = "QTALK_PACKAGES";

/**
 * Returns a folder with the package as it is published, and makes it if it is not
 * there. Nobody may change what is in it.
 *
 * The folder lies in the one that `QTALK_PACKAGES` names. Its name says what the
 * package was made of, and by which programs.
 *
 * @param otherwise the folder for where that variable is not set
 */
export async function sharedJsrPackage(otherwise: string): Promise<string> {
  const parent = Deno.env.get(PACKAGES) ?? otherwise;
  const folder = `${parent}/qtalk_jsr_package_${await digest()}`;
  await Deno.mkdir(parent, { recursive: true });
  // Whoever else needs it waits. Closing the file releases the lock.
  const options = { create: true, write: true };
  using lock = await Deno.open(`${folder}.lock`, options);
  await lock.lock(true);
  if (exists(folder)) return folder;
  const place = await Deno.makeTempDir({ dir: parent, prefix: "qtalk_jsr_" });
  try {
    await make(place);
    await Deno.rename(place, folder);
  } catch (error) {
    await Deno.remove(place, { recursive: true });
    throw error;
  }
  return folder;
}

/** A digest of all that the package is made of. */
async function digest(): Promise<string> {
  const makers = [...files("tests/package/")];
  const sources = ["deno.json", ...DOCUMENTS, ...makers, ...publishedModules()]
    .map(read).join("");
  const bytes = new TextEncoder().encode(Deno.version.deno + sources);
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  return toHex(new Uint8Array(digest, 0, 16));
}

/** Makes the package in a process of its own, which needs what JSR serves. */
async function make(place: string): Promise<void> {
  const script = (path: string) => new URL(path, import.meta.url).href;
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", script("../jsr/with_jsr.ts"), "deno"],
      ...["run", "-A", script("make_jsr_package.ts"), place],
    ],
    stdout: "null",
  }).output();
  if (success) return;
  const said = new TextDecoder().decode(stderr);
  throw new Error(`Cannot make the package for JSR: ${said}`);
}
