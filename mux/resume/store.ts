/**
 * The sessions that several listeners share, so that a session may continue at any of
 * them.
 *
 * @module
 */
import type { SessionRegistry } from "./session_registry.ts";
import {
  type ListenResumeOptions,
  type ResolvedListenResume,
  resolveListenResume,
} from "./types.ts";

/** Sessions of several listeners. {@linkcode resumeStore} makes one. */
export interface ResumeStore {
  /** How many sessions have not ended. */
  readonly sessions: number;
  /** How many of them have no connection. */
  readonly detached: number;
}

/**
 * Makes a store for the option `resume` of several listeners: `listen()`,
 * `listenSession()` and `serveWebSocket()`. A session that has begun at one of them may
 * continue at any other, so that its dialer can move from TCP to WebSocket. The limits
 * are those of all of them together.
 *
 * A session belongs to the listener at which it has begun: that has its peer, and ends
 * it when it is closed. The others only carry its bytes. Each connection has to pass
 * the checks of the listener that accepts it.
 *
 * @example A session may move from TCP to a WebSocket of `Deno.serve()`
 * ```ts
 * import { dial, handlerFrom, listen } from "@qtalk/qtalk";
 * import { resumeStore } from "@qtalk/qtalk/mux";
 * import { serveWebSocket } from "@qtalk/qtalk/websocket";
 * import { assertEquals } from "@std/assert";
 *
 * const options = {
 *   resume: resumeStore(),
 *   handler: handlerFrom({ add: (a: number, b: number) => a + b }),
 * };
 * await using listener = await listen("tcp://127.0.0.1:0", options);
 * const handle = serveWebSocket(options);
 * const server = Deno.serve({ port: 0, onListen() {} }, handle);
 *
 * const peer = await dial(listener.addr, {
 *   resume: {
 *     addresses: [listener.addr, `ws://127.0.0.1:${server.addr.port}/`],
 *   },
 * });
 * assertEquals(await peer.call("add", [1, 2]), 3);
 *
 * await peer.close();
 * await handle.listener.close();
 * await server.shutdown();
 * ```
 *
 * @param options the limits
 * @throws {RangeError} if an option is out of range
 */
export function resumeStore(options: ListenResumeOptions = {}): ResumeStore {
  return new SessionStore(options);
}

/** A store, as listeners know it. */
export class SessionStore implements ResumeStore {
  readonly limits: ResolvedListenResume;
  /** The sessions; the first listener makes it, as its module is loaded late. */
  registry: SessionRegistry | undefined;

  /**
   * Makes a store without sessions.
   *
   * @throws {RangeError} if an option is out of range
   */
  constructor(options: ListenResumeOptions) {
    this.limits = resolveListenResume(options);
  }

  get sessions(): number {
    return this.registry?.size ?? 0;
  }

  get detached(): number {
    return this.registry?.detached ?? 0;
  }
}

/**
 * The store that the option `resume` of a listener means: that itself, or one of its
 * own with these limits.
 *
 * @throws {RangeError} if an option is out of range
 */
export function storeOf(
  resume: ListenResumeOptions | ResumeStore,
): SessionStore {
  return resume instanceof SessionStore
    ? resume
    : new SessionStore(resume as ListenResumeOptions);
}
