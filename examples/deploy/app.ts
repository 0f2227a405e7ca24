// The application of main.ts: a page, and a service whose peers share a list of
// names. A part of main.ts; tried by tests/deploy_test.ts.

import {
  CallError,
  type CloseOptions,
  handlerFrom,
  type Peer,
  withCall,
} from "@qtalk/qtalk";
import { serveWebSocket } from "@qtalk/qtalk/websocket";
// Importing text needs no read permission. Before Deno 2.8, it needs a flag or
// `"unstable": ["raw-imports"]` in deno.json.
import bundle from "./client.bundle.js" with { type: "text" };
import page from "./page.html" with { type: "text" };
import { openState, type State, type StateOptions } from "./state.ts";

/** Options of {@linkcode startApp}. */
export interface AppOptions extends StateOptions {
  /** The port to serve on; ignored on Deno Deploy. Default: 8000. */
  port?: number | undefined;
  /** The interface to serve on. Default: all. */
  hostname?: string | undefined;
}

/** The running application. */
export interface App {
  /** The address of the page. */
  readonly url: string;
  /** Whether all isolates share the names. */
  readonly shared: boolean;
  /** Resolves when the application has ended. */
  readonly closed: Promise<void>;
  /** Ends the application; calls in progress have `drainTimeout` milliseconds. */
  close(options?: CloseOptions): Promise<void>;
}

/** The functions that the server calls on each client. */
export interface Visitor {
  /** Is called with the names whenever they change. */
  state(names: readonly string[]): void;
  /** Is called with the remaining seconds of a countdown. */
  tick(left: number): void;
}

/** The functions that a client can call, as a type. */
export type Service = ReturnType<typeof serviceFor>["service"];

/** The most characters of a name. */
const MAX_NAME = 40;
/** The most seconds of a countdown. */
const MAX_COUNTDOWN = 60;

/** The functions for one connection; `end` is called when it has ended. */
function serviceFor(state: State) {
  let joined: string | undefined;
  let ended = false;

  /** Replaces the name of this connection. */
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
    /** Joins under a name, which replaces the previous one. */
    async join(name: string): Promise<readonly string[]> {
      const trimmed = typeof name === "string" ? name.trim() : "";
      if (trimmed === "" || trimmed.length > MAX_NAME) {
        throw new CallError(
          `Cannot join: a name has 1 to ${MAX_NAME} characters`,
        );
      }
      if (ended) throw new CallError("Cannot join: the connection has ended");
      await become(trimmed);
      return state.names;
    },
    leave: (): Promise<void> => become(undefined),
    who: (): readonly string[] => state.names,
    upper: (text: string): string => String(text).toUpperCase(),
    /** A slow function that calls its caller back, to show draining. */
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

/** Sends the names to a peer; a slow peer skips all but the latest. */
function follow(peer: Peer, state: State): Disposable {
  let sending = false;
  let changed = false;
  return state.subscribe(async () => {
    changed = true;
    if (sending) return;
    sending = true;
    try {
      while (changed) {
        changed = false;
        await peer.call("state", [state.names]);
      }
    } catch {
      // The peer is gone, or has no such function.
    }
    sending = false;
  });
}

/** Serves the page and the peers. */
export async function startApp(options: AppOptions = {}): Promise<App> {
  const { port, hostname, warn = console.warn } = options;
  const state = await openState(options);
  const handle = serveWebSocket({
    path: "/rpc",
    // Only the platform knows the names of the application. Its visitors have no
    // secrets that a page of another name could use.
    hosts: "*",
    onPeer(peer) {
      const { service, end } = serviceFor(state);
      peer.handle("", handlerFrom(service));
      const following = follow(peer, state);
      const left = async () => {
        following[Symbol.dispose]();
        await end();
      };
      peer.closed.catch(() => {}).then(left).catch((error) => {
        warn(`Cannot remove a name: ${error}`);
      });
    },
    fallback: (request) => answer(new URL(request.url).pathname),
  });
  const server = Deno.serve({
    ...(port !== undefined && { port }),
    ...(hostname !== undefined && { hostname }),
    onListen() {},
  }, handle);
  const closed = handle.listener.closed.then(async () => {
    await state.close();
    await server.shutdown();
  });
  return {
    url: `http://${hostname ?? "localhost"}:${server.addr.port}/`,
    shared: state.shared,
    closed,
    async close(options) {
      await handle.listener.close(options);
      await closed;
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
