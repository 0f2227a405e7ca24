/**
 * What one chooses for, and hears of, a peer that connects again.
 *
 * @module
 */
import type { Handler } from "../../rpc/internal.ts";
import type { BackoffOptions } from "./backoff.ts";
import type { Peer } from "../peer.ts";

/** Calls that wait for a connection at once unless told otherwise. */
export const DEFAULT_MAX_WAITING_CALLS = 1_024;

/** What a `ReconnectingPeer` is doing. */
export type ConnectionState =
  /** It tries to connect; `attempt` counts from 1 since the last connection. */
  | { readonly name: "connecting"; readonly attempt: number }
  /** Calls go to `peer`. */
  | { readonly name: "connected"; readonly peer: Peer }
  /** It will try again in `delay` milliseconds, after `error`. */
  | {
    readonly name: "waiting";
    readonly attempt: number;
    readonly delay: number;
    readonly error: unknown;
  }
  /** It was closed, or has given up after `error`. */
  | { readonly name: "closed"; readonly error?: unknown };

/** Choices for reconnecting. */
export interface ReconnectOptions extends BackoffOptions {
  /**
   * Attempts in a row: when as many have failed, the peer has given up. The
   * first connection counts, too. Default: no limit; a server that refuses
   * (401, 404) is asked again for ever.
   */
  maxAttempts?: number;
  /**
   * Calls that may wait for a connection; the next ones fail with
   * `limit-exceeded`. Default: 1,024.
   */
  maxWaitingCalls?: number;
  /**
   * Told of every new connection, to register there again what the other side
   * forgot with the last. It calls on `peer`; other calls wait until it is
   * done. If it throws, the connection is closed and counts as failed.
   */
  onConnect?: (peer: Peer) => void | Promise<void>;
  /** Told of every change of state. */
  onState?: (state: ConnectionState) => void;
}

/** What time and chance are, and how a connection is made. */
export interface ReconnectEnvironment {
  /** Makes a connection whose calls `handler` answers. */
  connect(handler: Handler, signal: AbortSignal): Promise<Peer>;
  /** Waits, up to the signal. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
  /** Milliseconds, from whenever. */
  now(): number;
  /** A number from 0 up to 1. */
  random(): number;
}
