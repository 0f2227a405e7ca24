/**
 * The states of a channel, as three small machines: one for each direction, and one
 * for CLOSE. An event that a state does not name has
 * no effect, as that of a late or repeated frame; the tests have the whole tables.
 * mux/SPEC.md, "Closing", has what the states mean on the wire.
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
  open: { end: "ending", fail: "failed" },
  ending: { flushed: "ended", fail: "failed" },
  ended: { fail: "failed" },
  failed: {},
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
export const RECEIVE = linkStates<ReceiveStateName, ReceiveEvent>(
  {
    open: {
      cancel: "cancelled",
      eof: "eof",
      close: "closed",
      fail: "failed",
      "peer-close": "cut",
      "session-end": "lost",
    },
    cancelled: {
      eof: "eof",
      close: "closed",
      fail: "failed",
      "peer-close": "closed",
      "session-end": "lost",
    },
    eof: { fail: "failed" },
    closed: {
      // After this side's CLOSE, the peer may still end its direction.
      eof: "eof",
    },
    cut: { cancel: "closed", close: "closed", fail: "failed" },
    lost: {},
    failed: {},
  },
);

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
    "peer-close": "early",
    "session-end": "closed",
  },
  abandoned: {
    confirm: "closing",
    "peer-close": "early",
    "session-end": "closed",
  },
  early: { confirm: "received", "session-end": "closed" },
  open: { close: "closing", "peer-close": "received", "session-end": "closed" },
  closing: { sent: "sent", "peer-close": "received", "session-end": "closed" },
  sent: { "peer-close": "closed", "session-end": "closed" },
  received: { sent: "closed", "session-end": "closed" },
  closed: {},
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
 * - `draining`: no more bytes count, as this side's CLOSE is queued or the session has
 *   ended; some that arrived were not read yet.
 * - `freed`: nothing is buffered, and nothing can arrive.
 */
export type SlotState = "occupied" | "draining" | "freed";
