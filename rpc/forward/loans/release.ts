/**
 * Releases of functions by those that were lent them by way of this side.
 *
 * @module
 */
import type { RoutedSession } from "../../callback/callback_routes.ts";
import { prefixOf } from "../../callback/pointers.ts";
import { release } from "../../callback/release.ts";
import type { ServerCall } from "../../server/server_call.ts";
import type { Caller } from "../../types.ts";
import { callbackIdIn, RELEASE_SELECTOR } from "../../wire/selector.ts";
import { passedOn } from "../errors.ts";
import { plainLoans } from "./plain_loans.ts";

/** Whether a selector calls or releases a function of an extended peer. */
export function isOfCallback(selector: string): boolean {
  return prefixOf(callbackIdIn(selector)) !== undefined;
}

/** Whether a call releases a function. */
export function isRelease({ selector }: ServerCall): boolean {
  return selector.startsWith(RELEASE_SELECTOR);
}

/**
 * Passes a release on, and answers the call: of what the caller asks to give back, only
 * what it was lent itself. Others may hold the same function.
 *
 * @param source the session of the owner of the function
 * @param lender calls the owner
 */
export async function passRelease(
  call: ServerCall,
  source: RoutedSession,
  lender: Caller,
): Promise<void> {
  const { session } = call;
  const id = callbackIdIn(call.selector);
  const asked = await call.receive();
  // As at the owner, any other argument than a number counts as 1.
  const count = Number.isSafeInteger(asked) ? Math.max(1, asked as number) : 1;
  // A peer that forwards calls, too, may hold it for clients of both kinds.
  const loans = session.routes?.loansOf(id),
    plain = plainLoans(session, source);
  const given = loans?.giveBack(id, count) ?? 0;
  const rest = count - given;
  const plainGiven = rest > 0 ? plain?.giveBack(id, rest) ?? 0 : 0;
  if (given + plainGiven === 0) return;
  try {
    await release(id, lender, given + plainGiven);
  } catch (error) {
    // The caller still holds it, until its session ends.
    if (given > 0) loans!.add(id, given);
    if (plainGiven > 0) plain!.add(id, plainGiven);
    throw passedOn(error, call);
  }
}
