import {
  type Loan,
  Loans,
  type RoutedSession,
} from "../callback/callback_routes.ts";
import { prefixOf } from "../callback/pointers.ts";
import type { ServerCall } from "../server/server_call.ts";
import type { Caller } from "../types.ts";
import { callbackIdIn, RELEASE_SELECTOR } from "../wire/selector.ts";

/** Sessions whose peers say what the IDs of the functions begin with that they lend. */
const lenders = new WeakSet<RoutedSession>();

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
    throw error;
  }
}

/**
 * A response lends functions whose IDs begin with `prefix` to a caller. Returns
 * what counts those that the caller gets, if there is a way back to them.
 *
 * @param lender calls the peer that lends them
 */
export function beginLoan(
  prefix: string,
  borrower: RoutedSession,
  source: RoutedSession | undefined,
  lender: Caller,
): Loan | undefined {
  if (source !== undefined) lenders.add(source);
  return loansFrom(prefix, borrower, source, lender)?.begin(prefix);
}

/**
 * A response to a call says which of the functions in the call the responder keeps.
 *
 * @param borrower the session of the responder
 * @param lender calls the caller
 */
export function keepLent(
  ids: readonly string[],
  borrower: RoutedSession,
  { request: { lends }, session, caller }: ServerCall,
): void {
  if (lends === undefined) return;
  const loans = loansFrom(lends, borrower, session, caller);
  // Each call lends a function once.
  for (const id of new Set(ids)) if (prefixOf(id) === lends) loans?.add(id, 1);
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
    () =>
      new Loans(borrower, (id, count) => {
        lender.call(RELEASE_SELECTOR + id, count).catch(() => {});
      }),
  );
}
