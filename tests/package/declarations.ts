/**
 * The declarations of a package.
 *
 * @module
 */
import { filesIn } from "../support/files_in.ts";
import { write } from "./sources.ts";

/** The paths of the declarations in a folder and those below it. */
export function declarationsIn(folder: string): string[] {
  return [...filesIn(folder)].filter((path) => path.endsWith(".d.ts"));
}

/**
 * Writes the declarations of a folder into another one.
 *
 * @param change makes what is written of the text of one
 */
export async function writeDeclarations(
  from: string,
  to: string,
  change: (text: string) => string,
): Promise<void> {
  for (const path of declarationsIn(from)) {
    const text = await Deno.readTextFile(`${from}/${path}`);
    await write(`${to}/${path}`, change(text));
  }
}
