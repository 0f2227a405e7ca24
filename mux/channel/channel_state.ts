/**
 * The states of a channel, as four small machines: one for each direction, one
 * for CLOSE, and one for the channel's slot. Each table is total: every event has
 * an outcome in every state, so that a late or repeated frame is one entry of a
 * table. mux/SPEC.md, "Closing", has what the states mean on the wire.
 *
 * @module
 */
import { linkStates, type State } from "../../state_machine.ts";

/**
 * What this side may still send.
 *
 * - `open`: anything.
 * - `ending`: nothing new; EOF follows the DATA that was accepted.
 * - `ended`: EOF is queued.
 * - `failed`: nothing; pending writes were rejected.
 */
export type SendStateName = "open" | "ending" | "ended" | "failed";
/** What can happen to the sending direction. */
export type SendEvent = "end" | "flushed" | "fail";

/** The states of the sending direction, which begins `open`. */
export const SEND = linkStates<SendStateName, SendEvent>({
  open: { end: "ending", flushed: "open", fail: "failed" },
  ending: { end: "ending", flushed: "ended", fail: "failed" },
  ended: { end: "ended", flushed: "ended", fail: "failed" },
  failed: { end: "failed", flushed: "failed", fail: "failed" },
});

/** One of {@linkcode SEND}. */
export type SendState = State<SendStateName, SendEvent>;

/**
 * What the peer may still send.
 *
 * - `open`: DATA, which is buffered for the reader.
 * - `cancelled`: DATA, which is dropped; its credit is returned.
 * - `eof`: nothing; the peer ended its direction with EOF.
 * - `closed`: nothing; this side closed the channel.
 * - `cut`: nothing; the peer sent CLOSE without EOF.
 * - `lost`: nothing; the session ended first.
 * - `failed`: nothing; this side gave the channel up, for a reason.
 *
 * In `eof`, `closed`, `cut` and `lost`, the reader gets what is buffered, then the
 * end of the data or, if `lost`, the error. `cut` is an error too if the reader
 * requires EOF. If `failed`, nothing is buffered, and the reader gets the reason.
 */
export type ReceiveStateName =
  | "open"
  | "cancelled"
  | "eof"
  | "closed"
  | "cut"
  | "lost"
  | "failed";
/**
 * What can happen to the receiving direction; `close` and `fail` are this side's.
 */
export type ReceiveEvent =
  | "cancel"
  | "eof"
  | "close"
  | "fail"
  | "peer-close"
  | "session-end";

/** The states of the receiving direction, which begins `open`. */
export const RECEIVE = linkStates<ReceiveStateName, ReceiveEvent>({
  open: {
    cancel: "cancelled",
    eof: "eof",
    close: "closed",
    fail: "failed",
    "peer-close": "cut",
    "session-end": "lost",
  },
  cancelled: {
    cancel: "cancelled",
    eof: "eof",
    close: "closed",
    fail: "failed",
    "peer-close": "closed",
    "session-end": "lost",
  },
  eof: {
    cancel: "eof",
    eof: "eof",
    close: "eof",
    fail: "failed",
    "peer-close": "eof",
    "session-end": "eof",
  },
  closed: {
    cancel: "closed",
    // After this side's CLOSE, the peer may still end its direction.
    eof: "eof",
    close: "closed",
    fail: "closed",
    "peer-close": "closed",
    "session-end": "closed",
  },
  cut: {
    cancel: "closed",
    eof: "cut",
    close: "closed",
    fail: "failed",
    "peer-close": "cut",
    "session-end": "cut",
  },
  lost: {
    cancel: "lost",
    eof: "lost",
    close: "lost",
    fail: "lost",
    "peer-close": "lost",
    "session-end": "lost",
  },
  failed: {
    cancel: "failed",
    eof: "failed",
    close: "failed",
    fail: "failed",
    "peer-close": "failed",
    "session-end": "failed",
  },
});

/** One of {@linkcode RECEIVE}. */
export type ReceiveState = State<ReceiveStateName, ReceiveEvent>;

/** Whether the peer sends nothing more: its DATA does not count. */
export function receivesNothing({ name }: ReceiveState): boolean {
  return name !== "open" && name !== "cancelled";
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
export type CloseStateName =
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

/** The states of the channel as a whole, which begins `opening` or `open`. */
export const CLOSE = linkStates<CloseStateName, CloseEvent>({
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
});

/** One of {@linkcode CLOSE}. */
export type CloseState = State<CloseStateName, CloseEvent>;

/** Whether the peer's channel ID is known, so that frames can be addressed. */
export function isConfirmed({ name }: CloseState): boolean {
  return name !== "opening" && name !== "abandoned" && name !== "early";
}

/** Whether this side may still queue frames for the channel. */
export function maySend({ name }: CloseState): boolean {
  return name === "open" || name === "closing" || name === "received";
}

/**
 * Whether the channel occupies a slot of its session (`maxChannels`), because it
 * can still cost memory.
 *
 * - `occupied`: bytes may arrive.
 * - `draining`: no more bytes count; some that arrived were not read yet.
 * - `freed`: nothing is buffered, and nothing can arrive.
 */
export type SlotStateName = "occupied" | "draining" | "freed";
/**
 * What can happen to a slot: this side's CLOSE is queued or the session has ended
 * (`closed`), or the receive buffer is found empty (`empty`).
 */
export type SlotEvent = "closed" | "empty";

/** The states of the slot, which begins `occupied`. */
export const SLOT = linkStates<SlotStateName, SlotEvent>({
  occupied: { closed: "draining", empty: "occupied" },
  draining: { closed: "draining", empty: "freed" },
  freed: { closed: "freed", empty: "freed" },
});

/** One of {@linkcode SLOT}. */
export type SlotState = State<SlotStateName, SlotEvent>;
