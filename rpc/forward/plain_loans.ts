/**
 * Counts the functions that are lent to clients that are not extended: these neither
 * release them, nor does the target say that it lends some.
 *
 * @module
 */
import type { Loans, RoutedSession } from "../callback/callback_routes.ts";
import { release } from "../callback/received_pointers.ts";
import type { Caller } from "../types.ts";
import { type ForwardedLoan, newLoans } from "./lent_functions.ts";
import { PointerFinder } from "./pointer_finder.ts";

/** What the peers of sessions hold, by the session that it came from. */
const loansOf = new WeakMap<RoutedSession, WeakMap<RoutedSession, Loans>>();

/** What the peer of one session holds of another's. */
export function plainLoans(
  borrower: RoutedSession,
  source: RoutedSession,
): Loans | undefined {
  return loansOf.get(borrower)?.get(source);
}

function makeLoans(
  borrower: RoutedSession,
  source: RoutedSession,
  lender: Caller,
): Loans | undefined {
  if (borrower.ended || source.ended) return undefined;
  let bySource = loansOf.get(borrower);
  if (bySource === undefined) loansOf.set(borrower, bySource = new WeakMap());
  const loans = newLoans(borrower, source, lender);
  bySource.set(source, loans);
  // Neither session remembers the other when that has ended.
  const cancel = borrower.onEnd(() => cancelSource());
  const cancelSource = source.onEnd(() => {
    cancel();
    loans.cancel();
  });
  return loans;
}

/** A response to a client that is not extended. */
export interface PlainResponse {
  readonly borrower: RoutedSession;
  readonly source: RoutedSession;
  /** Calls the peer that may lend functions. */
  readonly lender: () => Caller;
  /** How many functions of that peer all clients may hold. */
  readonly max: number;
  /** The bytes that have arrived. */
  readonly bytes: Uint8Array | undefined;
  /** Whether it continues. */
  readonly isContinued: () => boolean;
  /** Ends it: it has more functions than the client may hold. */
  readonly cutOff: () => void;
}

/** Returns what counts the functions in a response. */
export function beginPlainLoan(response: PlainResponse): ForwardedLoan {
  const { borrower, source, lender, max, bytes, isContinued } = response;
  const isFull = plainLoans(borrower, source)?.hasRoom(max) === false;
  let dropped = false;
  const finder = new PointerFinder((id) => {
    const loans = dropped
      ? undefined
      : plainLoans(borrower, source) ?? makeLoans(borrower, source, lender());
    if (loans === undefined) return release(id, lender());
    // No function of a complete one had arrived when it could be refused.
    if (!loans.hasRoom(max) && (isFull || isContinued())) response.cutOff();
    loans.add(id, 1);
  });
  return {
    isRefused: isFull && hasPointer(bytes) && !isContinued(),
    onBytes: finder.add,
    onDropped: (bytes) => {
      dropped = true;
      finder.add(bytes);
    },
    end: () => {},
  };
}

function hasPointer(bytes: Uint8Array | undefined): boolean {
  let found = false;
  if (bytes !== undefined) new PointerFinder(() => found = true).add(bytes);
  return found;
}
