/**
 * Gives functions and streams back to their owner.
 *
 * @module
 */
import { MuxError } from "../../mux/internal.ts";
import { backgroundTimer } from "../../time_limit.ts";
import { channelPool } from "../client/pool_key.ts";
import { isNotBegun } from "../errors.ts";
import type { Caller } from "../types.ts";
import { RELEASE_SELECTOR } from "../wire/selector.ts";

/** Milliseconds until a release that was refused is tried again. */
const RETRY_TIME = 1_000;

/** How many functions of one peer wait for that at most: as many as it lends. */
const MAX_OWED = 4_096;

/** The releases of one peer that were refused, by the ID of the function. */
const owed = new WeakMap<Caller, Map<string, number>>();

/**
 * Releases a function at the peer that `caller` calls, so many times.
 *
 * If calls that do not end soon have taken all channels, or all room at the peer, it is
 * made later.
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
    if (!isNotBegun(error) || isOfEnd(error, caller)) throw error;
    const counts = owedBy(caller);
    if (counts.size >= MAX_OWED && !counts.has(id)) throw error;
    counts.set(id, (counts.get(id) ?? 0) + count);
  }
}

/** A caller, as far as it says whether its session has ended. */
interface SessionCaller extends Caller {
  readonly [channelPool]?: {
    readonly session: { readonly ended: boolean } | undefined;
  };
}

/** Whether a call was not sent because the session has ended, and the function with it. */
function isOfEnd(error: unknown, caller: SessionCaller): boolean {
  return error instanceof MuxError &&
    (error.code !== "open-refused" && error.code !== "limit-exceeded" ||
      // A session can end with the second of them.
      caller[channelPool]?.session?.ended !== false);
}

/** As {@linkcode release}, for those who do not wait for it. */
export function releaseSoon(id: string, caller: Caller, count = 1): void {
  release(id, caller, count).catch(() => {});
}

/** What is owed to a peer until all of it is tried again. */
function owedBy(caller: Caller): Map<string, number> {
  const known = owed.get(caller);
  if (known !== undefined) return known;
  const counts = new Map<string, number>();
  owed.set(caller, counts);
  backgroundTimer(RETRY_TIME, () => {
    owed.delete(caller);
    for (const [id, count] of counts) releaseSoon(id, caller, count);
  }, false);
  return counts;
}
