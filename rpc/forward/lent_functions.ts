import type { Codec } from "../../codec/internal.ts";
import {
  LentTotal,
  type Loan,
  Loans,
  type RoutedSession,
} from "../callback/callback_routes.ts";
import { prefixOf } from "../callback/pointers.ts";
import { release } from "../callback/received_pointers.ts";
import type { ChannelPool } from "../client/channel_pool.ts";
import { Client } from "../client/client.ts";
import type { ServerCall } from "../server/server_call.ts";
import type { Caller } from "../types.ts";
import { callbackIdIn, RELEASE_SELECTOR } from "../wire/selector.ts";
import type { CallLends } from "./call_lends.ts";
import { passedOn } from "./errors.ts";

/** Sessions whose peers say what the IDs of the functions begin with that they lend. */
const lenders = new WeakSet<RoutedSession>();

/** What clients hold of the peers of sessions. */
const totals = new WeakMap<RoutedSession, LentTotal>();

/** What all clients hold of the peer of a session. */
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

/** Whether a selector calls or releases a function of an extended peer. */
export function isOfCallback(selector: string): boolean {
  return prefixOf(callbackIdIn(selector)) !== undefined;
}

/** Whether a call releases a function. */
export function isRelease({ selector }: ServerCall): boolean {
  return selector.startsWith(RELEASE_SELECTOR);
}

/**
 * Whether a call that has no way back releases a function of a target that says what
 * it lends. Then the caller was not lent it: it has the ID from elsewhere.
 */
export function isStray(
  call: ServerCall,
  target: RoutedSession | undefined,
): boolean {
  return isRelease(call) && isOfCallback(call.selector) &&
    target !== undefined && lenders.has(target);
}

/**
 * Passes a release on, and answers the call: of what the caller asks to give back, only
 * what it was lent itself. Others may hold the same function.
 *
 * @param lender calls the owner of the function
 */
export async function passRelease(
  call: ServerCall,
  lender: Caller,
): Promise<void> {
  const id = callbackIdIn(call.selector);
  const asked = await call.receive();
  const loans = call.session.routes?.loansOf(id);
  // As at the owner, any other argument than a number counts as 1.
  const count = Number.isSafeInteger(asked) ? asked as number : 1;
  const given = loans?.giveBack(id, count) ?? 0;
  if (given === 0) return;
  try {
    await lender.call(RELEASE_SELECTOR + id, given);
  } catch (error) {
    // The caller still holds it, until its session ends.
    loans!.add(id, given);
    throw passedOn(error, call);
  }
}

/** What one response lends. */
export interface ForwardedLoan extends Loan {
  /** Whether the caller does not get it, since it holds too many functions. */
  readonly isRefused: boolean;
}

/** A response that lends functions. */
export interface LendingResponse {
  /** What their IDs begin with. */
  readonly lends: string;
  readonly borrower: RoutedSession;
  readonly source: RoutedSession | undefined;
  /** Calls the peer that lends them. */
  readonly lender: Caller;
  /** How many functions of that peer all clients may hold. */
  readonly max: number;
  readonly continued: boolean;
  /** Ends it, if it continues: it has more functions than the client may hold. */
  readonly cutOff: () => void;
}

/**
 * Returns what counts the functions that a caller gets with a response, if there is a
 * way back to them.
 */
export function beginLoan(
  { lends, borrower, source, lender, max, continued, cutOff }: LendingResponse,
): ForwardedLoan | undefined {
  if (source !== undefined) lenders.add(source);
  const loans = loansFrom(lends, borrower, source, lender);
  if (loans === undefined) return undefined;
  const isRefused = !continued && !loans.hasRoom(max);
  const onLend = continued
    ? () => {
      if (!loans.hasRoom(max)) cutOff();
    }
    : undefined;
  return { ...loans.begin(lends, continued, onLend), isRefused };
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
  for (const id of kept) loans?.add(id, 1);
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
  const give = (id: string, count: number) => release(id, lender, count);
  return new Loans(borrower, give, source && totalOf(source));
}

function loansFrom(
  prefix: string,
  borrower: RoutedSession,
  source: RoutedSession | undefined,
  lender: Caller,
): Loans | undefined {
  return borrower.routes?.loans(
    prefix,
    source,
    () => newLoans(borrower, source, lender),
  );
}
