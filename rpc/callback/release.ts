/**
 * Gives functions and streams back to their owner.
 *
 * @module
 */
import { MuxError } from "../../mux/internal.ts";
import { backgroundTimer, settlesWithin } from "../../time_limit.ts";
import { channelPool } from "../client/pool_key.ts";
import { isNotBegun } from "../errors.ts";
import type { Caller } from "../types.ts";
import { RELEASE_SELECTOR } from "../wire/selector.ts";

/** Milliseconds until a release that was refused is tried again. */
const RETRY_TIME = 1_000;

/** How many functions of one peer wait for that at most: as many as it lends. */
const MAX_OWED = 4_096;

/** The releases of one peer that wait for that, by the ID of the function. */
const owed = new WeakMap<Caller, Map<string, number>>();

/**
 * Releases a function at the peer that `caller` calls, so many times.
 *
 * If there is no channel for it now, or the peer refuses it, the release is made later,
 * unless the session has ended.
 *
 * @throws the error of the call, if the function was not released, and will not be
 */
export async function release(
  id: string,
  caller: Caller,
  count = 1,
): Promise<void> {
  try {
    await caller.call(RELEASE_SELECTOR + id, count);
  } catch (error) {
    if (
      !isNotBegun(error) || saysSessionEnded(error, caller) ||
      !owe(id, caller, count)
    ) throw error;
  }
}

/** A caller, as far as it says whether its session has ended. */
interface SessionCaller extends Caller {
  readonly [channelPool]?: {
    readonly session: {
      readonly ended: boolean;
      onEnd(callback: () => void): () => void;
    } | undefined;
  };
}

/** Whether a call was not sent because the session has ended, and the function with it. */
function saysSessionEnded(error: unknown, caller: SessionCaller): boolean {
  return error instanceof MuxError &&
    (error.code !== "open-refused" && error.code !== "limit-exceeded" ||
      // A session can end with the second of them.
      caller[channelPool]?.session?.ended !== false);
}

/** As {@linkcode release}, for those who do not wait for it. */
export function releaseSoon(id: string, caller: Caller, count = 1): void {
  release(id, caller, count).catch(() => {});
}

/** Lets a release wait; returns false if too many do, or if the session has ended. */
function owe(id: string, caller: SessionCaller, count: number): boolean {
  const session = caller[channelPool]?.session;
  if (session?.ended) return false;
  let counts = owed.get(caller);
  if (counts === undefined) {
    counts = new Map();
    owed.set(caller, counts);
    const cancel = backgroundTimer(RETRY_TIME, () => {
      forget?.();
      retry(caller);
    }, false);
    const forget = session?.onEnd(cancel);
  }
  const before = counts.get(id) ?? 0;
  if (before === 0 && counts.size >= MAX_OWED) return false;
  counts.set(id, before + count);
  return true;
}

/** Makes one of the releases that wait, and the others unless that is refused. */
async function retry(caller: Caller): Promise<void> {
  const others = [...owed.get(caller)!];
  const [id, count] = others.pop()!;
  owed.delete(caller);
  // A forwarding peer waits for the owner, which must not hold up what is others'.
  await settlesWithin(RETRY_TIME, release(id, caller, count));
  for (const [id, count] of others) {
    if (owed.has(caller)) owe(id, caller, count);
    else releaseSoon(id, caller, count);
  }
}
