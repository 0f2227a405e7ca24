/** The paths of the declarations in a folder and those below it. */
export function* declarationsIn(folder: string, below = ""): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(`${folder}/${below}`)) {
    const path = below + name;
    if (isDirectory) yield* declarationsIn(folder, `${path}/`);
    else if (name.endsWith(".d.ts")) yield path;
  }
}
