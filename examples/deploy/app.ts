// The application of main.ts: a page, and peers beside it that share who is
// here. A part of main.ts; tried by tests/deploy_test.ts.

import { handlerFrom, type Peer, withCall } from "@qtalk/qtalk";
import { serveWebSocket } from "@qtalk/qtalk/websocket";
// Text that is imported needs no permission to be read. Before Deno 2.8 it needs
// a flag, or `"unstable": ["raw-imports"]` in deno.json.
import bundle from "./client.bundle.js" with { type: "text" };
import page from "./page.html" with { type: "text" };
import { openState, type State, type StateOptions } from "./state.ts";

/** Choices for {@linkcode startApp}. */
export interface AppOptions extends StateOptions {
  /** Where to serve; on Deno Deploy it does not matter. Default: 8000. */
  port?: number | undefined;
  /** The interface to serve on. Default: all. */
  hostname?: string | undefined;
}

/** The application at work. */
export interface App {
  /** The page's address. */
  readonly url: string;
  /** Whether other isolates see who is here. */
  readonly shared: boolean;
  /** Ends, giving calls under way so many milliseconds. */
  close(drainTimeout: number): Promise<void>;
}

/** What the server asks of those that connect to it. */
export interface Visitor {
  /** Hears who is here, whenever that has changed. */
  state(names: readonly string[]): void;
  /** Hears how many seconds are left of a countdown. */
  tick(left: number): void;
}

/** What a connection can ask of the server, as a type for its other end. */
export type Service = ReturnType<typeof serviceFor>["service"];

/** Characters of a name. */
const MAX_NAME = 40;
/** Seconds of a countdown. */
const MAX_COUNTDOWN = 60;

/** The functions for one connection, and what to do when it has ended. */
function serviceFor(state: State) {
  let joined: string | undefined;
  let ended = false;

  /** Puts a name in place of the one before. */
  async function become(name: string | undefined): Promise<void> {
    const before = joined;
    joined = name;
    try {
      if (name !== undefined) await state.join(name);
    } finally {
      if (before !== undefined) await state.leave(before);
    }
  }

  const service = {
    /** Joins by a name, in place of the one before. */
    async join(name: string): Promise<readonly string[]> {
      const trimmed = typeof name === "string" ? name.trim() : "";
      if (trimmed === "" || trimmed.length > MAX_NAME) {
        throw new Error(`Cannot join: a name has 1 to ${MAX_NAME} characters`);
      }
      if (ended) throw new Error("Cannot join: the connection has ended");
      await become(trimmed);
      return state.names;
    },
    leave: (): Promise<void> => become(undefined),
    who: (): readonly string[] => state.names,
    upper: (text: string): string => String(text).toUpperCase(),
    /** Takes its time, and calls back: what goes on while the app drains. */
    countdown: withCall(async (call, seconds: number): Promise<string> => {
      for (let left = Math.min(seconds, MAX_COUNTDOWN); left > 0; left--) {
        await call.caller.call("tick", [left], { signal: call.signal });
        await sleep(1_000, call.signal);
      }
      return "done";
    }),
  };
  async function end(): Promise<void> {
    ended = true;
    await become(undefined);
  }
  return { service, end };
}

/** Tells a peer who is here; one that is slow hears the newest only. */
function follow(peer: Peer, state: State): Disposable {
  let telling = false;
  let news = false;
  return state.subscribe(async () => {
    news = true;
    if (telling) return;
    telling = true;
    try {
      while (news) {
        news = false;
        await peer.call("state", [state.names]);
      }
    } catch {
      // It has gone, or does not want to know.
    }
    telling = false;
  });
}

/** Serves the page and the peers. */
export async function startApp(options: AppOptions = {}): Promise<App> {
  const { port, hostname, warn = console.warn } = options;
  const state = await openState(options);
  const handle = serveWebSocket({
    path: "/rpc",
    onPeer(peer) {
      const { service, end } = serviceFor(state);
      peer.handle("", handlerFrom(service));
      const following = follow(peer, state);
      const left = async () => {
        following[Symbol.dispose]();
        await end();
      };
      peer.closed.catch(() => {}).then(left).catch((error) => {
        warn(`Cannot take a name away: ${error}`);
      });
    },
    fallback: (request) => answer(new URL(request.url).pathname),
  });
  const server = Deno.serve({
    ...(port !== undefined && { port }),
    ...(hostname !== undefined && { hostname }),
    onListen() {},
  }, handle);
  return {
    url: `http://${hostname ?? "localhost"}:${server.addr.port}/`,
    shared: state.shared,
    async close(drainTimeout) {
      await handle.listener.close({ drainTimeout });
      await state.close();
      await server.shutdown();
    },
  };
}

function answer(path: string): Response {
  if (path === "/") return text(page, "text/html");
  if (path === "/client.js") return text(bundle, "text/javascript");
  return new Response("Not Found\n", { status: 404 });
}

function text(body: string, type: string): Response {
  const headers = { "content-type": `${type}; charset=utf-8` };
  return new Response(body, { headers });
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const giveUp = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", giveUp);
      resolve();
    }, ms);
    signal.addEventListener("abort", giveUp, { once: true });
  });
}
