/**
 * The schemes of addresses and the modules that implement them. A module is
 * loaded when its scheme is first used, so that unused schemes cost nothing, and
 * programs run where some of them cannot.
 *
 * @module
 */
import type { Scheme } from "./types.ts";

const LOADERS: Readonly<Record<string, () => Promise<Scheme>>> = Object.freeze({
  tcp: async () =>
    isDeno()
      ? (await import("./deno/conn.ts")).tcp
      : (await import("./node/sockets.ts")).nodeTcp,
  unix: async () =>
    isDeno()
      ? (await import("./deno/unix.ts")).unix
      : (await import("./node/sockets.ts")).nodeUnix,
  stdio: async () =>
    isDeno()
      ? (await import("./deno/stdio.ts")).stdio
      : (await import("./node/stdio.ts")).nodeStdio,
  // Deno has no named pipes of its own, and those of Node.
  pipe: async () => (await import("./node/sockets.ts")).nodePipe,
  tls: async () => (await import("./node/tls/scheme.ts")).tls,
  quic: async () => (await import("../quic/scheme.ts")).quic,
  ws: () => webSocket("ws"),
  wss: () => webSocket("wss"),
  wt: async () => (await import("./webtransport/scheme.ts")).webTransport,
});

function isDeno(): boolean {
  return "Deno" in globalThis;
}

async function webSocket(name: "ws" | "wss"): Promise<Scheme> {
  return (await import("./websocket/scheme.ts")).webSocketScheme(name);
}

/** Loads sessions that survive their connection, which few programs use. */
export function loadResume(): Promise<typeof import("../resume/resume.ts")> {
  return import("../resume/resume.ts");
}

/** The names of all schemes. */
export const SCHEME_NAMES: readonly string[] = Object.keys(LOADERS);

/** Loads a scheme; undefined if there is none of that name. */
export function loadScheme(name: string): Promise<Scheme> | undefined {
  return Object.hasOwn(LOADERS, name) ? LOADERS[name]!() : undefined;
}
