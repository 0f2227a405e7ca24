import { PREFIX_SIZE } from "../../codec/internal.ts";
import {
  type Loan,
  Loans,
  type RoutedSession,
} from "../callback/callback_routes.ts";
import { prefixOf } from "../callback/pointers.ts";
import type { ServerCall } from "../server/server_call.ts";
import type { Caller } from "../types.ts";
import { callbackIdIn, RELEASE_SELECTOR } from "../wire/selector.ts";

/**
 * What counts a call that releases, or uses up, what its caller was lent. That is
 * done when the call has been sent: if it cannot be, what the caller held must still
 * be released when its session ends.
 */
export function countedUse(
  { selector, channel, request, session }: ServerCall,
): () => void {
  const id = callbackIdIn(selector);
  if (!selector.startsWith(RELEASE_SELECTOR)) {
    return () => session?.routes?.loansOf(id)?.used(id);
  }
  const bytes = channel.peek() ?? new Uint8Array(0);
  let given = Infinity;
  try {
    const count = request.context.codec.decode(bytes.subarray(PREFIX_SIZE));
    // Its owner takes anything but a safe integer for 1, and at least 1.
    given = Number.isSafeInteger(count) ? Math.max(count as number, 1) : 1;
  } catch {
    // Its argument is still to come, and the caller holds nothing of it.
  }
  return () => session?.routes?.loansOf(id)?.giveBack(id, given);
}

/** Whether a selector calls or releases a function of an extended peer. */
export function isOfCallback(selector: string): boolean {
  return prefixOf(callbackIdIn(selector)) !== undefined;
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
  const loans = borrower.routes?.loans(
    prefix,
    source,
    () =>
      new Loans(borrower, (id, count) => {
        lender.call(RELEASE_SELECTOR + id, count).catch(() => {});
      }),
  );
  return loans?.begin(prefix);
}
