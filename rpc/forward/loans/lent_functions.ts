import type { Codec } from "../../../codec/internal.ts";
import {
  LentTotal,
  type Loan,
  Loans,
  type RoutedSession,
} from "../../callback/callback_routes.ts";
import { PointerFinder } from "../../callback/pointer_finder.ts";
import { ID_LENGTH, POINTER_KEY } from "../../callback/pointers.ts";
import { releaseSoon } from "../../callback/release.ts";
import type { ChannelPool } from "../../client/channel_pool.ts";
import { Client } from "../../client/client.ts";
import type { ServerCall } from "../../server/server_call.ts";
import type { Caller } from "../../types.ts";
import type { CallLends } from "./call_lends.ts";

/**
 * What clients hold of the peers of sessions that have lent functions of the form of
 * this package.
 */
const totals = new WeakMap<RoutedSession, LentTotal>();

/** What all clients hold of the peer of a session, which has lent functions. */
function totalOf(source: RoutedSession): LentTotal {
  let total = totals.get(source);
  if (total === undefined) totals.set(source, total = new LentTotal());
  return total;
}

/** What releases functions at the peers of sessions, by the name of a codec. */
const releasers = new WeakMap<RoutedSession, Map<string, Caller>>();

/**
 * What releases functions at a target, in the codec of the call that they came with:
 * the target may accept no other one.
 */
export function releaserIn(
  codec: Codec,
  { caller, pool }: { readonly caller: Caller; readonly pool: ChannelPool },
): Caller {
  const state = pool.session;
  if (state === undefined) return caller;
  let byCodec = releasers.get(state);
  if (byCodec === undefined) releasers.set(state, byCodec = new Map());
  let releaser = byCodec.get(codec.name);
  if (releaser === undefined) {
    releaser = new Client(pool, {
      codec,
      maxValueSize: 64, // The reply is `null`.
      account: state.account,
      state,
      nested: true, // Calls that never end could take all the other channels.
    });
    byCodec.set(codec.name, releaser);
  }
  return releaser;
}

/** Whether functions were lent that the peer of a session has. */
export function isLender(source: RoutedSession): boolean {
  return totals.has(source);
}

/** What one response lends. */
export interface ForwardedLoan extends Loan {
  /** Whether the caller does not get it, since it holds too many functions. */
  readonly isRefused: boolean;
  /** Whether it is known to be complete. */
  readonly isComplete: boolean;
}

/** A response that lends functions. */
export interface LendingResponse {
  /** What their IDs begin with. */
  readonly lends: string;
  readonly borrower: RoutedSession;
  readonly source: RoutedSession | undefined;
  /** Calls the peer that lends them. */
  readonly lender: Caller;
  /** How many functions of that peer all clients may hold. Default: any number. */
  readonly max: number | undefined;
  readonly continued: boolean;
  /** The bytes that have arrived. */
  readonly bytes: Uint8Array | undefined;
  /** Ends it: it has more functions than the client may hold. */
  readonly cutOff: () => void;
}

/** Stands for clients that have no way back to what they are lent: it is not counted. */
const UNCOUNTED: RoutedSession = { routes: undefined, onEnd: () => () => {} };

/**
 * Returns what counts the functions that a caller gets with a response, if there is a
 * way back to them, and releases those that it does not get.
 */
export function beginLoan(response: LendingResponse): ForwardedLoan {
  const { lends, borrower, source, lender, max, continued } = response;
  // From now on it is a lender.
  if (source !== undefined) totalOf(source);
  const loans = loansFrom(lends, borrower, source, lender, max) ??
    newLoans(UNCOUNTED, undefined, lender);
  const isRefused = !continued &&
    !(loans.hasRoom(max) && hasRoomFor(response, loans, lends));
  const mayLend = () => {
    if (loans.hasRoom(max)) return true;
    response.cutOff();
    return false;
  };
  const loan = loans.begin(lends, continued, mayLend);
  return { ...loan, isRefused, isComplete: !continued };
}

/** The bytes that a pointer has at least. */
const POINTER_SIZE = POINTER_KEY.length + ID_LENGTH;

/**
 * Whether a client may hold all functions that are in the bytes of a response.
 *
 * @param loans what it holds, if it was lent anything
 * @param prefix what their IDs begin with. Default: they are those of any peer
 */
export function hasRoomFor(
  { bytes, max, source }: Pick<LendingResponse, "bytes" | "max" | "source">,
  loans: Loans | undefined,
  prefix?: string,
): boolean {
  if (bytes === undefined || source === undefined) return true;
  const hasRoom = (count: number) =>
    loans?.hasRoom(max, count) ??
      (totals.get(source) ?? new LentTotal()).hasRoom(max, 0, count);
  // Most clients have room for as many as there can be.
  if (hasRoom(bytes.length / POINTER_SIZE)) return true;
  const ids = new Set<string>();
  new PointerFinder((id) => {
    if (!loans?.holds(id)) ids.add(id);
  }, prefix).add(bytes);
  return ids.size === 0 || hasRoom(ids.size);
}

/**
 * A response to a call says which of the functions in the call the responder keeps.
 *
 * @param lent what is in the call
 * @param borrower the session of the responder
 */
export function keepLent(
  ids: readonly string[],
  lent: CallLends,
  borrower: RoutedSession,
  { request: { lends }, session, caller }: ServerCall,
): void {
  const kept = lent.among(ids);
  if (lends === undefined || kept.length === 0) return;
  const loans = loansFrom(lends, borrower, session, caller);
  for (const id of kept) {
    if (borrower.ended) releaseSoon(id, caller);
    else loans?.add(id, 1);
  }
}

/**
 * Makes the list of what the peer of one session holds of another's.
 *
 * @param lender calls the peer that lends them
 */
export function newLoans(
  borrower: RoutedSession,
  source: RoutedSession | undefined,
  lender: Caller,
): Loans {
  const give = (id: string, count: number) => releaseSoon(id, lender, count);
  return new Loans(borrower, give, source && totalOf(source));
}

/** The list, also if it was made for less than `max`. */
function loansFrom(
  prefix: string,
  borrower: RoutedSession,
  source: RoutedSession | undefined,
  lender: Caller,
  max?: number,
): Loans | undefined {
  const loans = borrower.routes?.loans(
    prefix,
    source,
    () => newLoans(borrower, source, lender),
  );
  loans?.remember(max);
  return loans;
}
