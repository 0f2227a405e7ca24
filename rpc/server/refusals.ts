/**
 * Calls that no handler gets, and those that a handler leaves unanswered: their
 * errors.
 *
 * @module
 */
import { printableText } from "../../printable_text.ts";
import { CallError } from "../errors.ts";
import type { Call } from "../types.ts";
import type { IncomingCall } from "./incoming_call.ts";

/**
 * Whether a handler gets a call that is not a usual one.
 *
 * @throws {CallError} `deadline-exceeded` if it is too late, `too-large` if it has
 * too much metadata
 */
export function mayBegin({ request, isLate }: IncomingCall): boolean {
  const { metaRefusal } = request;
  if (metaRefusal !== undefined) {
    const { message, code } = metaRefusal;
    throw new CallError(message, { code });
  }
  if (!isLate) return !request.namesNothing;
  throw new CallError(
    `Cannot call "${
      printableText(request.selector)
    }": its deadline had passed before it could begin`,
    { code: "deadline-exceeded" },
  );
}

/** Refuses a call because this side is closing. */
export function refuseClosing(call: IncomingCall): void {
  refuse(call, "unavailable", "this side is closing");
}

/**
 * Answers a call that no handler gets: the caller can make it again. Callers that are
 * not extended get the text that other implementations know.
 *
 * @param limit what an extended caller learns of the limit that is reached
 */
export function refuse(
  call: IncomingCall,
  code: "busy" | "unavailable",
  why: string,
  limit = "",
): void {
  const { extended, selector } = call.request;
  const text = `${code}: ${why}`;
  const more = `${limit}; cannot call "${printableText(selector)}"`;
  call.responder.returnError(
    new CallError(extended ? text + more : text, { code }),
  );
  call.release();
}

/** The error of a handler that returned a value in place of responding. */
export function unanswered({ selector }: Call): TypeError {
  return new TypeError(
    `Cannot answer call "${
      printableText(selector)
    }": its handler returned a value and did not respond; write handlerFrom(fn) for a function whose result is the answer`,
  );
}
