/**
 * Loads the library of this or another checkout, so that the harness can measure
 * an older version. Types are those of this checkout.
 *
 * @module
 */

/** What the entry points of the core export together. */
export type Library =
  & typeof import("../../codec/mod.ts")
  & typeof import("../../mux/mod.ts")
  & typeof import("../../rpc/mod.ts")
  & typeof import("../../talk/mod.ts");
/** What makes codecs. */
export type Codec = import("../../codec/mod.ts").Codec;

/** Loads an entry point, by its name in the `exports` of `deno.json`. */
async function load(directory: string, entry: string): Promise<unknown> {
  const { exports } = JSON.parse(
    await Deno.readTextFile(`${directory}/deno.json`),
  ) as { exports: Record<string, string> };
  return await import(
    new URL(exports[entry]!, `file://${directory}/`).href
  );
}

/** Loads the core. Versions differ in what `mod.ts` exports of it. */
export async function loadLibrary(directory: string): Promise<Library> {
  const entries = ["./codec", "./mux", "./rpc", "./talk"];
  const loaded = await Promise.all(
    entries.map((entry) => load(directory, entry)),
  );
  return Object.assign({}, ...loaded) as Library;
}

/** Loads `serveWebSocket()`. */
export async function loadServeWebSocket(
  directory: string,
): Promise<
  typeof import("../../talk/listener/serve_websocket.ts").serveWebSocket
> {
  const { serveWebSocket } = await load(
    directory,
    "./websocket",
  ) as typeof import("../../talk/listener/serve_websocket.ts");
  return serveWebSocket;
}

/** Loads `rendezvousService()`. */
export async function loadRendezvous(
  directory: string,
): Promise<typeof import("../../talk/rendezvous/mod.ts")> {
  return await load(
    directory,
    "./rendezvous",
  ) as typeof import("../../talk/rendezvous/mod.ts");
}

/** Makes a codec of that name. */
export async function loadCodec(
  directory: string,
  name: string,
): Promise<Codec> {
  if (name === "json") return (await loadLibrary(directory)).json();
  const made = await load(directory, `./codec/${name}`) as Record<
    string,
    () => Codec
  >;
  return made[name]!();
}
