import type { Handler } from "../types.ts";
import { RELEASE_SELECTOR } from "../wire/selector.ts";
import { isPrefix, prefixOf } from "./callback_id.ts";

/** How many prefixes of IDs one session may have calls of. */
const MAX_PREFIXES = 4_096;

/** A session whose peer lends functions, or is lent them. */
export interface RoutedSession {
  /** The way back for functions that were lent to its peer. */
  readonly routes: CallbackRoutes;
  /** Whether this side asks the peer of the session not to ping it. */
  readonly refusesPings: boolean;
  /** Whether the peer has asked not to be pinged. */
  peerRefusesPings: boolean;
  /** Calls back when it ends; returns what cancels that. */
  onEnd(callback: () => void): () => void;
}

/** Where the calls of functions go that begin with one prefix. */
interface Route {
  readonly source: RoutedSession;
  readonly handler: Handler;
}

/**
 * The way back for calls of functions in what was forwarded to the peer of this
 * session: to the sessions that it came from.
 */
export class CallbackRoutes {
  readonly #byPrefix = new Map<string, Route>();
  /** How many of them each source has. */
  readonly #counts = new Map<RoutedSession, number>();

  /**
   * Functions whose IDs begin with `prefix` are called by way of `source`. The
   * first one that says so has them until its session ends.
   *
   * @param handlerTo makes the handler that forwards calls to the source
   */
  add(prefix: string, source: RoutedSession, handlerTo: () => Handler): void {
    if (this.#byPrefix.has(prefix) || !isPrefix(prefix)) return;
    const count = this.#counts.get(source) ?? 0;
    if (count >= MAX_PREFIXES) return;
    this.#counts.set(source, count + 1);
    this.#byPrefix.set(prefix, { source, handler: handlerTo() });
    if (count > 0) return;
    source.onEnd(() => {
      this.#counts.delete(source);
      for (const [prefix, route] of this.#byPrefix) {
        if (route.source === source) this.#byPrefix.delete(prefix);
      }
    });
  }

  /** The handler for a selector that calls or releases such a function. */
  match(selector: string): Handler | undefined {
    if (this.#byPrefix.size === 0) return undefined;
    const id = selector.startsWith(RELEASE_SELECTOR)
      ? selector.slice(RELEASE_SELECTOR.length)
      : selector.slice(1);
    const prefix = prefixOf(id);
    return prefix === undefined
      ? undefined
      : this.#byPrefix.get(prefix)?.handler;
  }
}
