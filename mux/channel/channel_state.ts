/**
 * The states of a channel, as three small machines: one for each direction and
 * one for CLOSE. Each table is total: every event has an outcome in every
 * state, so a late or repeated frame is a row here and not an accident.
 * mux/SPEC.md, "Closing", says what the rows mean on the wire.
 *
 * @module
 */

/**
 * What this side may still send.
 *
 * - `open`: anything.
 * - `ending`: nothing new; EOF waits behind the DATA that was accepted.
 * - `ended`: EOF has gone to the queue.
 * - `failed`: nothing; what waited was dropped.
 */
export type SendState = "open" | "ending" | "ended" | "failed";
/** What can happen to the sending direction. */
export type SendEvent = "end" | "flushed" | "fail";

const SEND: Record<SendState, Record<SendEvent, SendState>> = {
  open: { end: "ending", flushed: "open", fail: "failed" },
  ending: { end: "ending", flushed: "ended", fail: "failed" },
  ended: { end: "ended", flushed: "ended", fail: "failed" },
  failed: { end: "failed", flushed: "failed", fail: "failed" },
};

/** The sending direction after `event`. */
export function nextSend(state: SendState, event: SendEvent): SendState {
  return SEND[state][event];
}

/**
 * What the peer may still send.
 *
 * - `open`: DATA is kept for the reader.
 * - `cancelled`: nobody reads; DATA is dropped and its credit returned.
 * - `ended`: EOF or CLOSE came; the reader gets what is kept, then the end.
 * - `lost`: the session broke first; the reader gets what is kept, then the
 *   error.
 */
export type ReceiveState = "open" | "cancelled" | "ended" | "lost";
/** What can happen to the receiving direction. */
export type ReceiveEvent = "cancel" | "end" | "lose";

const RECEIVE: Record<ReceiveState, Record<ReceiveEvent, ReceiveState>> = {
  open: { cancel: "cancelled", end: "ended", lose: "lost" },
  cancelled: { cancel: "cancelled", end: "ended", lose: "lost" },
  ended: { cancel: "ended", end: "ended", lose: "ended" },
  lost: { cancel: "lost", end: "lost", lose: "lost" },
};

/** The receiving direction after `event`. */
export function nextReceive(
  state: ReceiveState,
  event: ReceiveEvent,
): ReceiveState {
  return RECEIVE[state][event];
}

/**
 * How far the channel is on its way to being over.
 *
 * - `opening`: OPEN went out; the peer's number is not known yet.
 * - `abandoned`: as `opening`, but nobody wants it any more.
 * - `early`: as `opening`, but the peer's CLOSE came before its CONFIRM; the
 *   answer waits for the number to address.
 * - `open`: both sides know each other's number.
 * - `closing`: this side's CLOSE waits behind its DATA.
 * - `sent`: this side's CLOSE has gone to the queue; no frame may follow it.
 * - `received`: the peer's CLOSE came; ours is owed.
 * - `closed`: CLOSE went both ways, or the session is over.
 */
export type CloseState =
  | "opening"
  | "abandoned"
  | "early"
  | "open"
  | "closing"
  | "sent"
  | "received"
  | "closed";
/** What can happen to a channel as a whole. */
export type CloseEvent = "confirm" | "close" | "sent" | "peer-close" | "over";

const CLOSE: Record<CloseState, Record<CloseEvent, CloseState>> = {
  opening: {
    confirm: "open",
    close: "abandoned",
    sent: "opening",
    "peer-close": "early",
    over: "closed",
  },
  abandoned: {
    confirm: "closing",
    close: "abandoned",
    sent: "abandoned",
    "peer-close": "early",
    over: "closed",
  },
  early: {
    confirm: "received",
    close: "early",
    sent: "early",
    "peer-close": "early",
    over: "closed",
  },
  open: {
    confirm: "open",
    close: "closing",
    sent: "open",
    "peer-close": "received",
    over: "closed",
  },
  closing: {
    confirm: "closing",
    close: "closing",
    sent: "sent",
    "peer-close": "received",
    over: "closed",
  },
  sent: {
    confirm: "sent",
    close: "sent",
    sent: "sent",
    "peer-close": "closed",
    over: "closed",
  },
  received: {
    confirm: "received",
    close: "received",
    sent: "closed",
    "peer-close": "received",
    over: "closed",
  },
  closed: {
    confirm: "closed",
    close: "closed",
    sent: "closed",
    "peer-close": "closed",
    over: "closed",
  },
};

/** The channel after `event`. */
export function nextClose(state: CloseState, event: CloseEvent): CloseState {
  return CLOSE[state][event];
}

/** Whether the peer's number is known, so that frames can be addressed. */
export function isConfirmed(state: CloseState): boolean {
  return state !== "opening" && state !== "abandoned" && state !== "early";
}

/** Whether this side may still put frames for the channel into the queue. */
export function maySend(state: CloseState): boolean {
  return state === "open" || state === "closing" || state === "received";
}
