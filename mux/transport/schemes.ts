/**
 * The schemes of addresses, each with the module that implements it. A module is
 * loaded when its scheme is first used: what a program does not use costs it
 * nothing, and the core runs where they cannot.
 *
 * @module
 */
import type { Scheme } from "./types.ts";

const LOADERS: Readonly<Record<string, () => Promise<Scheme>>> = Object.freeze({
  tcp: async () => (await import("./tcp.ts")).tcp,
  unix: async () => (await import("./unix.ts")).unix,
  stdio: async () => (await import("./stdio.ts")).stdio,
  ws: () => webSocket("ws"),
  wss: () => webSocket("wss"),
});

async function webSocket(name: "ws" | "wss"): Promise<Scheme> {
  return (await import("./websocket/scheme.ts")).webSocketScheme(name);
}

/** The names of all schemes. */
export const SCHEME_NAMES: readonly string[] = Object.keys(LOADERS);

/** Loads the scheme of that name, if there is one. */
export function loadScheme(name: string): Promise<Scheme> | undefined {
  return Object.hasOwn(LOADERS, name) ? LOADERS[name]!() : undefined;
}
