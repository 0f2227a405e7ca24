/**
 * Counts the functions that are lent to clients that are not extended: these neither
 * release them, nor does the target say that it lends some.
 *
 * @module
 */
import type { Loans, RoutedSession } from "../../callback/callback_routes.ts";
import { PointerFinder } from "../../callback/pointer_finder.ts";
import { releaseSoon } from "../../callback/release.ts";
import type { Caller } from "../../types.ts";
import { type ForwardedLoan, hasRoomFor, newLoans } from "./lent_functions.ts";

/** What the peer of one session holds of another's. */
interface PlainLoans {
  readonly loans: Loans;
  /** Calls the owner. */
  readonly lender: Caller;
  /** The session of the owner. */
  readonly source: RoutedSession;
}

/** What the peers of sessions hold, by the session that it came from. */
const loansOf = new WeakMap<RoutedSession, Map<RoutedSession, PlainLoans>>();

/** What the peer of one session holds of another's. */
export function plainLoans(
  borrower: RoutedSession,
  source: RoutedSession,
): Loans | undefined {
  return loansOf.get(borrower)?.get(source)?.loans;
}

/** Where a function comes from that the peer of a session holds. */
export function plainLenderOf(
  borrower: RoutedSession,
  id: string,
): PlainLoans | undefined {
  for (const one of loansOf.get(borrower)?.values() ?? []) {
    if (one.loans.holds(id)) return one;
  }
  return undefined;
}

function makeLoans(
  borrower: RoutedSession,
  source: RoutedSession,
  lender: Caller,
  max: number | undefined,
): Loans | undefined {
  if (borrower.ended || source.ended) return undefined;
  const bySource = loansOf.get(borrower) ??
    new Map<RoutedSession, PlainLoans>();
  loansOf.set(borrower, bySource);
  const loans = newLoans(borrower, source, lender);
  loans.remember(max);
  bySource.set(source, { loans, lender, source });
  // Neither session remembers the other when that has ended.
  const cancel = borrower.onEnd(() => cancelSource());
  const cancelSource = source.onEnd(() => {
    cancel();
    loans.cancel();
    bySource.delete(source);
  });
  return loans;
}

/** A response to a client that is not extended. */
export interface PlainResponse {
  readonly borrower: RoutedSession;
  readonly source: RoutedSession;
  /** Calls the peer that may lend functions. */
  readonly lender: () => Caller;
  /** How many functions of that peer all clients may hold. Default: any number. */
  readonly max: number | undefined;
  /** The bytes that have arrived. */
  readonly bytes: Uint8Array | undefined;
  /** Whether it continues. */
  readonly isContinued: () => boolean;
  /** Ends it: it has more functions than the client may hold. */
  readonly cutOff: () => void;
}

/** Returns what counts the functions in a response. */
export function beginPlainLoan(response: PlainResponse): ForwardedLoan {
  const { borrower, source, lender, max, isContinued } = response;
  const isRefused = !hasRoomFor(response, plainLoans(borrower, source)) &&
    !isContinued();
  let dropped = false;
  const finder = new PointerFinder((id) => {
    const loans = dropped ? undefined : plainLoans(borrower, source) ??
      makeLoans(borrower, source, lender(), max);
    if (loans?.holds(id) || loans?.hasRoom(max)) return loans.add(id, 1);
    releaseSoon(id, lender());
    if (loans === undefined) return;
    // The rest does not reach the client.
    dropped = true;
    response.cutOff();
  });
  return {
    isRefused,
    isComplete: false,
    onBytes: finder.add,
    onDropped: (bytes) => {
      dropped = true;
      finder.add(bytes);
    },
    end: () => {},
  };
}
