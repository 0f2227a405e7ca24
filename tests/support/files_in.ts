/** The paths of all files in a folder and those below it, relative to it. */
export function* filesIn(folder: string, below = ""): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(`${folder}/${below}`)) {
    const path = below + name;
    if (isDirectory) yield* filesIn(folder, `${path}/`);
    else yield path;
  }
}
