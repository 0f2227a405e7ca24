import type { Caller, CallOptions } from "../types.ts";

/** The key of what a caller with several peers, or changing ones, forwards to. */
export const forwardTargets: unique symbol = Symbol("qtalk.forwardTargets");

/** A call that is forwarded to one of several peers. */
export interface ForwardedCall {
  /** What is called, in its canonical form. */
  readonly selector: string;
  /** When it is no longer wanted, and how long it has. */
  readonly options: Pick<CallOptions, "signal" | "parent">;
  /**
   * Sends it to a peer. Resolves when all of the response has been passed on. Rejects
   * as `request()` does if the call was not begun.
   */
  send(peer: Caller): Promise<void>;
}

/** The peers of a pool, or the one that a reconnecting peer is connected to. */
export interface ForwardTargets {
  /** Whether a call goes to another peer after one has refused it. */
  readonly failsOver: boolean;
  /** Whether few calls at a time can be at each of the peers. Default: no. */
  readonly hasFewPlaces?: boolean;
  /**
   * How many calls can be in progress at the peers that are connected.
   *
   * @param max how many at each of them; the answer if there are none
   */
  capacity(max: number): number;
  /** Calls back whenever another peer is connected; returns what cancels that. */
  onConnected(callback: () => void): () => void;
  /**
   * Sends a call to one of the peers, and by the rules of the pool to others.
   *
   * @throws {unknown} what `send()` has thrown, or why there is no peer
   */
  forward(call: ForwardedCall): Promise<void>;
}

/** A caller that forwards to one of several peers. */
interface TargetingCaller extends Caller {
  readonly [forwardTargets]: ForwardTargets;
}

/** What a caller forwards to, if that is not one session. */
export function forwardTargetsOf(caller: Caller): ForwardTargets | undefined {
  return (caller as Partial<TargetingCaller> | undefined)?.[forwardTargets];
}
