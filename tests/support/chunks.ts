/**
 * The chunks of a bundle: what a page loads, and how large that is.
 *
 * @module
 */

/** The chunks of a bundle by their names, as a bundler that splits makes them. */
export type Chunks = ReadonlyMap<string, string>;

/** Reads the chunks in a folder. */
export async function chunksIn(folder: string): Promise<Chunks> {
  const chunks = new Map<string, string>();
  for await (const { name } of Deno.readDir(folder)) {
    chunks.set(name, await Deno.readTextFile(`${folder}/${name}`));
  }
  return chunks;
}

/** The chunks that are loaded with some: what they import, and not by `import()`. */
export function loadedWith(
  names: readonly string[],
  chunks: Chunks,
): string[] {
  const loaded = new Set<string>();
  const load = (name: string) => {
    const code = chunks.get(name);
    if (code === undefined) throw new Error(`There is no chunk ${name}`);
    if (loaded.has(name)) return;
    loaded.add(name);
    const imports = code.matchAll(/\b(?:import|from)\s*"\.\/([^"]+)"/g);
    for (const [, imported] of imports) load(imported!);
  };
  for (const name of names) load(name);
  return [...loaded];
}

/**
 * What a page loads that runs ws_client.ts: the chunks with it and with `wss:`.
 *
 * @throws {Error} if there is not one chunk with that scheme
 */
export function loadedByClient(chunks: Chunks): string[] {
  // Other schemes have files of the same name.
  const schemes = [...chunks].filter(([_, code]) =>
    code.includes("a WebSocket of a browser")
  ).map(([name]) => name);
  if (schemes.length !== 1) {
    throw new Error(`The chunks of wss: are ${schemes}`);
  }
  return loadedWith(["ws_client.js", ...schemes], chunks);
}

/** Bytes of chunks, each compressed by itself, as a server sends them. */
export async function gzippedSize(
  names: Iterable<string>,
  chunks: Chunks,
): Promise<number> {
  let size = 0;
  for (const name of names) {
    const stream = new Blob([chunks.get(name)!]).stream()
      .pipeThrough(new CompressionStream("gzip"));
    size += (await new Response(stream).bytes()).length;
  }
  return size;
}
