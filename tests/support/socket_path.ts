/** Runs `body` with a path at which no file exists. */
export async function withPath(
  body: (path: string) => void | Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await body(`${directory}/socket`);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Whether there is a file, a socket or a link at a path. */
export function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}
