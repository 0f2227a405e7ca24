/**
 * The states of a channel, as four small machines: one for each direction, one
 * for CLOSE, and one for the channel's slot. Each table is total: every event has
 * an outcome in every state, so that a late or repeated frame is one entry of a
 * table. mux/SPEC.md, "Closing", has what the states mean on the wire.
 *
 * @module
 */

/**
 * What this side may still send.
 *
 * - `open`: anything.
 * - `ending`: nothing new; EOF follows the DATA that was accepted.
 * - `ended`: EOF is queued.
 * - `failed`: nothing; pending writes were rejected.
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

/** The state of the sending direction after `event`. */
export function nextSend(state: SendState, event: SendEvent): SendState {
  return SEND[state][event];
}

/**
 * What the peer may still send.
 *
 * - `open`: DATA, which is buffered for the reader.
 * - `cancelled`: DATA, which is dropped; its credit is returned.
 * - `eof`: nothing; the peer ended its direction with EOF.
 * - `closed`: nothing; this side closed the channel.
 * - `cut`: nothing; the peer sent CLOSE without EOF.
 * - `lost`: nothing; the session ended first.
 *
 * In the last four, the reader gets what is buffered, then the end of the data
 * or, if `lost`, the error. `cut` is an error too if the reader requires EOF.
 */
export type ReceiveState =
  | "open"
  | "cancelled"
  | "eof"
  | "closed"
  | "cut"
  | "lost";
/** What can happen to the receiving direction; `close` is this side's. */
export type ReceiveEvent =
  | "cancel"
  | "eof"
  | "close"
  | "peer-close"
  | "session-end";

const RECEIVE: Record<ReceiveState, Record<ReceiveEvent, ReceiveState>> = {
  open: {
    cancel: "cancelled",
    eof: "eof",
    close: "closed",
    "peer-close": "cut",
    "session-end": "lost",
  },
  cancelled: {
    cancel: "cancelled",
    eof: "eof",
    close: "closed",
    "peer-close": "closed",
    "session-end": "lost",
  },
  eof: {
    cancel: "eof",
    eof: "eof",
    close: "eof",
    "peer-close": "eof",
    "session-end": "eof",
  },
  closed: {
    cancel: "closed",
    // After this side's CLOSE, the peer may still end its direction.
    eof: "eof",
    close: "closed",
    "peer-close": "closed",
    "session-end": "closed",
  },
  cut: {
    cancel: "closed",
    eof: "cut",
    close: "closed",
    "peer-close": "cut",
    "session-end": "cut",
  },
  lost: {
    cancel: "lost",
    eof: "lost",
    close: "lost",
    "peer-close": "lost",
    "session-end": "lost",
  },
};

/** The state of the receiving direction after `event`. */
export function nextReceive(
  state: ReceiveState,
  event: ReceiveEvent,
): ReceiveState {
  return RECEIVE[state][event];
}

/** Whether the peer sends nothing more: its DATA does not count. */
export function receivesNothing(state: ReceiveState): boolean {
  return state !== "open" && state !== "cancelled";
}

/**
 * How far the channel is closed.
 *
 * - `opening`: OPEN is queued; the peer's channel ID is not known yet.
 * - `abandoned`: as `opening`, but this side has closed the channel.
 * - `early`: as `opening`, but the peer's CLOSE came before its OPEN_CONFIRM; the
 *   reply needs the peer's channel ID.
 * - `open`: both sides know each other's channel ID.
 * - `closing`: this side is about to queue CLOSE.
 * - `sent`: this side's CLOSE is queued; no frame may follow it.
 * - `received`: the peer's CLOSE came, and this side is about to queue its own.
 * - `closed`: both sides have sent CLOSE, or the session has ended.
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
export type CloseEvent =
  | "confirm"
  | "close"
  | "sent"
  | "peer-close"
  | "session-end";

const CLOSE: Record<CloseState, Record<CloseEvent, CloseState>> = {
  opening: {
    confirm: "open",
    close: "abandoned",
    sent: "opening",
    "peer-close": "early",
    "session-end": "closed",
  },
  abandoned: {
    confirm: "closing",
    close: "abandoned",
    sent: "abandoned",
    "peer-close": "early",
    "session-end": "closed",
  },
  early: {
    confirm: "received",
    close: "early",
    sent: "early",
    "peer-close": "early",
    "session-end": "closed",
  },
  open: {
    confirm: "open",
    close: "closing",
    sent: "open",
    "peer-close": "received",
    "session-end": "closed",
  },
  closing: {
    confirm: "closing",
    close: "closing",
    sent: "sent",
    "peer-close": "received",
    "session-end": "closed",
  },
  sent: {
    confirm: "sent",
    close: "sent",
    sent: "sent",
    "peer-close": "closed",
    "session-end": "closed",
  },
  received: {
    confirm: "received",
    close: "received",
    sent: "closed",
    "peer-close": "received",
    "session-end": "closed",
  },
  closed: {
    confirm: "closed",
    close: "closed",
    sent: "closed",
    "peer-close": "closed",
    "session-end": "closed",
  },
};

/** The state of the channel after `event`. */
export function nextClose(state: CloseState, event: CloseEvent): CloseState {
  return CLOSE[state][event];
}

/** Whether the peer's channel ID is known, so that frames can be addressed. */
export function isConfirmed(state: CloseState): boolean {
  return state !== "opening" && state !== "abandoned" && state !== "early";
}

/** Whether this side may still queue frames for the channel. */
export function maySend(state: CloseState): boolean {
  return state === "open" || state === "closing" || state === "received";
}

/**
 * Whether the channel occupies a slot of its session (`maxChannels`), because it
 * can still cost memory.
 *
 * - `occupied`: bytes may arrive.
 * - `draining`: no more bytes count; some that arrived were not read yet.
 * - `freed`: nothing is buffered, and nothing can arrive.
 */
export type SlotState = "occupied" | "draining" | "freed";
/**
 * What can happen to a slot: this side's CLOSE is queued or the session has ended
 * (`closed`), or the receive buffer is found empty (`empty`).
 */
export type SlotEvent = "closed" | "empty";

const SLOT: Record<SlotState, Record<SlotEvent, SlotState>> = {
  occupied: { closed: "draining", empty: "occupied" },
  draining: { closed: "draining", empty: "freed" },
  freed: { closed: "freed", empty: "freed" },
};

/** The state of the slot after `event`. */
export function nextSlot(state: SlotState, event: SlotEvent): SlotState {
  return SLOT[state][event];
}
