import { linkStates, type State } from "../../state_machine.ts";

/**
 * How far a call is on its way to its outcome.
 *
 * - `opening`: its channel is being opened.
 * - `header`: the request was sent; the response header has not arrived.
 * - `values`: the values of a response that is not continued are arriving.
 * - `first`: the first value of a continued response has not arrived.
 * - `resolved`: it has resolved, and its channel is closed or left to another call.
 * - `continued`: it has resolved to a continued response, which has the channel.
 * - `failed`: it has rejected.
 */
export type PendingCallStateName =
  | "opening"
  | "header"
  | "values"
  | "first"
  | "resolved"
  | "continued"
  | "failed";

/**
 * What can happen to a call.
 *
 * - `open`: its channel is open.
 * - `complete`, `continue`: a response header arrived, without or with the field
 *   that keeps the channel open.
 * - `satisfy`: all values that the caller wants have arrived.
 * - `hand-over`: the first value of a continued response has arrived, and the
 *   caller wants the rest.
 * - `end`: the peer sent EOF or CLOSE.
 * - `fail`: the peer sent an error, or this side gives the call up.
 */
export type PendingCallEvent =
  | "open"
  | "complete"
  | "continue"
  | "satisfy"
  | "hand-over"
  | "end"
  | "fail";

/** The states of a call, which begins `opening`. */
export const PENDING_CALL = linkStates<PendingCallStateName, PendingCallEvent>(
  {
    opening: { open: "header", fail: "failed" },
    header: {
      complete: "values",
      continue: "first",
      end: "failed",
      fail: "failed",
    },
    values: { satisfy: "resolved", end: "resolved", fail: "failed" },
    first: {
      satisfy: "resolved",
      "hand-over": "continued",
      end: "resolved",
      fail: "failed",
    },
    resolved: {},
    continued: {},
    failed: {},
  },
);

/** One of {@linkcode PENDING_CALL}. */
export type PendingCallState = State<PendingCallStateName, PendingCallEvent>;
