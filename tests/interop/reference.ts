/**
 * Builds the Go program of `go/` on the reference, where that can be had.
 *
 * @module
 */

/** The program, or why there is none. */
export type Reference =
  | { binary: string; missing?: undefined }
  | { binary?: undefined; missing: string };

/** What Go says of a module that the place it asked does not give. */
const NOT_TO_BE_HAD =
  /@v\S+: (?:reading|Get|invalid version: git) .*|module lookup disabled by .*/;

/**
 * Builds the program into `directory`, by `go build` and nothing else.
 *
 * @throws {Error} if the build fails for any reason but that there is no Go on
 * this machine, or no way to the module
 */
export function buildReference(directory: string): Promise<Reference> {
  return buildGo(directory, "go", "qtalk-go");
}

/**
 * As {@linkcode buildReference}, the program of another folder.
 *
 * @param folder the folder, beside this file
 * @param module the module that it is built on
 */
export async function buildGo(
  directory: string,
  folder: string,
  module: string,
): Promise<Reference> {
  const binary = `${directory}/${folder}`;
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command("go", {
      args: ["build", "-trimpath", "-o", binary, "."],
      cwd: new URL(`${folder}/`, import.meta.url),
    }).output();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return { missing: "there is no go command" };
  }
  if (output.success) return { binary };
  const text = new TextDecoder().decode(output.stderr);
  const missing = /checksum mismatch|SECURITY ERROR/.test(text)
    ? null
    : NOT_TO_BE_HAD.exec(text);
  if (missing === null) {
    throw new Error(`Cannot build tests/interop/${folder}: ${text}`);
  }
  const status = /^.*@v\S+: .*?(\d{3} [A-Z][A-Za-z ]*)$/.exec(missing[0]);
  return {
    missing: `the module ${module} cannot be had here (${
      status?.[1] ?? missing[0].replace(/^@v\S+: /, "")
    })`,
  };
}
