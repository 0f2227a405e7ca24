/**
 * What an address means: its scheme names a module that connects and listens.
 * Modules are loaded when their scheme is first used, so that what a program
 * does not use costs it nothing, and the core runs where they cannot.
 *
 * @module
 */
import type { Scheme } from "../mux/transport/types.ts";
import { TalkError } from "./errors.ts";

const SCHEMES: Readonly<Record<string, () => Promise<Scheme>>> = Object.freeze({
  tcp: async () => (await import("../mux/transport/tcp.ts")).tcp,
  unix: async () => (await import("../mux/transport/unix.ts")).unix,
  stdio: async () => (await import("../mux/transport/stdio.ts")).stdio,
  ws: () => webSocket("ws"),
  wss: () => webSocket("wss"),
});

async function webSocket(name: "ws" | "wss"): Promise<Scheme> {
  const dialing = await import("../mux/transport/websocket_dial.ts");
  return dialing.webSocketScheme(name);
}

/** Finds an address's scheme, and what stands behind it. */
export async function resolveAddress(
  address: string,
): Promise<{ scheme: Scheme; rest: string }> {
  const colon = address.indexOf(":");
  const name = colon < 0 ? "" : address.slice(0, colon).toLowerCase();
  const load = Object.hasOwn(SCHEMES, name) ? SCHEMES[name] : undefined;
  if (load === undefined) {
    const known = Object.keys(SCHEMES).join(", ");
    throw new TalkError(
      "unknown-scheme",
      `Cannot use address "${address}": its scheme is none of ${known}`,
    );
  }
  return { scheme: await load(), rest: address.slice(colon + 1) };
}
