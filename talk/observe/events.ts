/**
 * What is observed of a session: its frames, its channels and the calls on them.
 *
 * @module
 */

/**
 * An end of a session: `"near"` is this one (for a tap between two peers, the one
 * that dialed the tap), `"far"` the other.
 */
export type End = "near" | "far";

/** The members that every event has. */
export interface ObservedBase {
  /** Milliseconds, on the clock of `performance.now()`. */
  readonly time: number;
  /** The number of the session, from 1. */
  readonly session: number;
}

/** A session has begun, or has ended. */
export interface ObservedSession extends ObservedBase {
  /** The kind of event. */
  readonly type: "session";
  /** What has happened. */
  readonly state: "opened" | "closed";
  /** The address of the far end; empty if it is unknown. */
  readonly address: string;
  /**
   * Why the session was lost, or what was not a frame; undefined after a clean end.
   */
  readonly error?: unknown;
}

/**
 * One end has ended its direction of the byte stream, or sent something other than
 * frames.
 */
export interface ObservedDirection extends ObservedBase {
  /** The kind of event. */
  readonly type: "direction";
  /** What has happened. */
  readonly state: "ended" | "failed" | "malformed";
  /** The end that did it. */
  readonly by: End;
  /** Why reading failed, or what was not a frame; undefined if it has ended. */
  readonly error?: unknown;
}

/** A channel, as far as it has been observed. */
export interface ObservedChannel {
  /** Its number, from 1, across all sessions of an observer. */
  readonly number: number;
  /** The end that opened it. */
  readonly opener: End;
  /** Payload bytes that each end has sent on it. */
  readonly sent: Readonly<Record<End, number>>;
  /** Bytes that each end may still send; 0 until the channel is confirmed. */
  readonly window: Readonly<Record<End, number>>;
  /**
   * The call on it, once its header was read. Undefined again when it has ended and
   * the channel may have another one.
   */
  readonly call: ObservedCall | undefined;
}

/** A channel was confirmed, refused or closed by both ends. */
export interface ObservedChannelState extends ObservedBase {
  /** The kind of event. */
  readonly type: "channel";
  /** What has happened. */
  readonly state: "opened" | "refused" | "closed";
  /** The channel. */
  readonly channel: ObservedChannel;
  /** Milliseconds since it was requested. */
  readonly duration: number;
}

/** The name of a frame. */
export type FrameName =
  | "OPEN"
  | "OPEN_CONFIRM"
  | "OPEN_FAILURE"
  | "WINDOW_ADJUST"
  | "DATA"
  | "EOF"
  | "CLOSE";

/** A frame. */
export interface ObservedFrame extends ObservedBase {
  /** The kind of event. */
  readonly type: "frame";
  /** Its name. */
  readonly name: FrameName;
  /** The end that sent it. */
  readonly by: End;
  /** The channel ID in it: the sender's in OPEN, else the recipient's. */
  readonly id: number;
  /** Its channel; undefined if there is none with that ID. */
  readonly channel: ObservedChannel | undefined;
  /** OPEN, OPEN_CONFIRM: the window. WINDOW_ADJUST: the bytes that are added. */
  readonly window?: number;
  /** OPEN, OPEN_CONFIRM: the maximum packet size. */
  readonly maxPacketSize?: number;
  /** OPEN_CONFIRM: the sender's ID. */
  readonly senderId?: number;
  /** DATA: bytes of the payload. */
  readonly size?: number;
  /** DATA: the first bytes of the payload, at most 32. */
  readonly head?: Uint8Array;
}

/** A value on a channel. */
export interface ObservedValue {
  /** Bytes of the encoded value. */
  readonly size: number;
  /** Its bytes; only the first ones if it was too long to keep. */
  readonly bytes: Uint8Array;
  /** The decoded value; undefined if it could not be decoded, or is incomplete. */
  readonly value?: unknown;
  /** Whether {@linkcode value} was decoded. */
  readonly decoded: boolean;
}

/** A call, as its header says. */
export interface ObservedCall {
  /** Its number among the calls of its channel, from 1. */
  readonly number: number;
  /** What is called, as it was sent. */
  readonly selector: string;
  /** The codec of the call, such as `"JSON"`; undefined if it is unknown. */
  readonly codec: string | undefined;
  /** The members of the field `Q` of its header. */
  readonly extension: Readonly<Record<string, unknown>> | undefined;
  /** When its header was read. */
  readonly time: number;
  /** The end that calls. */
  readonly caller: End;
}

/** The header of a call, with its argument if that came at once. */
export interface ObservedCallStart extends ObservedBase {
  /** The kind of event. */
  readonly type: "call";
  /** The end that did it. */
  readonly by: End;
  /** The channel. */
  readonly channel: ObservedChannel;
  /** The call. */
  readonly call: ObservedCall;
  /** The argument; undefined if it has not arrived with the header. */
  readonly argument: ObservedValue | undefined;
}

/** The header of a response, with its first value if that came at once. */
export interface ObservedAnswer extends ObservedBase {
  /** The kind of event. */
  readonly type: "answer";
  /** The end that did it. */
  readonly by: End;
  /** The channel. */
  readonly channel: ObservedChannel;
  /** The call. */
  readonly call: ObservedCall;
  /** The text of an error; undefined if the call has succeeded. */
  readonly error: string | undefined;
  /** Whether the call goes on after this, with more values or with bytes. */
  readonly continued: boolean;
  /** The members of the field `Q` of its header. */
  readonly extension: Readonly<Record<string, unknown>> | undefined;
  /** The value; undefined if it has not arrived with the header. */
  readonly value: ObservedValue | undefined;
  /** Milliseconds since the header of the call. */
  readonly duration: number;
}

/** A further value: of streamed arguments, of a stream, or a late first one. */
export interface ObservedFurtherValue extends ObservedBase {
  /** The kind of event. */
  readonly type: "value";
  /** The end that did it. */
  readonly by: End;
  /** The channel. */
  readonly channel: ObservedChannel;
  /** The call. */
  readonly call: ObservedCall;
  /** Its place among the values of its direction, from 0. */
  readonly index: number;
  /** The value. */
  readonly value: ObservedValue;
}

/** The trailer of a stream: the stream is complete, or has failed. */
export interface ObservedTrailer extends ObservedBase {
  /** The kind of event. */
  readonly type: "trailer";
  /** The end that did it. */
  readonly by: End;
  /** The channel. */
  readonly channel: ObservedChannel;
  /** The call. */
  readonly call: ObservedCall;
  /** The text of an error; undefined if the stream is complete. */
  readonly error: string | undefined;
}

/** Bytes that are not values, on a channel that became a byte stream. */
export interface ObservedBytes extends ObservedBase {
  /** The kind of event. */
  readonly type: "bytes";
  /** The end that did it. */
  readonly by: End;
  /** The channel. */
  readonly channel: ObservedChannel;
  /** The call; undefined if the bytes came where the header of one was due. */
  readonly call: ObservedCall | undefined;
  /** How many bytes. */
  readonly size: number;
  /** The first of them, at most 1,024. */
  readonly head: Uint8Array;
  /** Whether they are the first ones of their direction. */
  readonly first: boolean;
}

/**
 * A call has ended: its answer is complete and its channel may have another one,
 * both ends have closed the channel, or the session has ended.
 */
export interface ObservedCallEnd extends ObservedBase {
  /** The kind of event. */
  readonly type: "call-end";
  /** The channel. */
  readonly channel: ObservedChannel;
  /** The call. */
  readonly call: ObservedCall;
  /**
   * - `"answered"`: with a result
   * - `"failed"`: with an error
   * - `"cancelled"`: its caller closed it before the response
   * - `"unanswered"`: the responder closed it without a response
   * - `"lost"`: the session ended first
   */
  readonly outcome: "answered" | "failed" | "cancelled" | "unanswered" | "lost";
  /** Milliseconds since the header of the call. */
  readonly duration: number;
  /** Whether the response continued. */
  readonly continued: boolean;
  /** How many values each end sent, without headers. */
  readonly values: Readonly<Record<End, number>>;
  /** Payload bytes that each end has sent on the channel for this call. */
  readonly sent: Readonly<Record<End, number>>;
}

/** An event of a session. */
export type ObservedEvent =
  | ObservedSession
  | ObservedDirection
  | ObservedChannelState
  | ObservedFrame
  | ObservedCallStart
  | ObservedAnswer
  | ObservedFurtherValue
  | ObservedTrailer
  | ObservedBytes
  | ObservedCallEnd;

/**
 * Called with everything that happens in sessions, in order, while the bytes are on
 * their way, so it delays them. It must not change what it gets. An error that it
 * throws is an uncaught error; the session goes on.
 */
export type OnEvent = (event: ObservedEvent) => void;

/** The other end. */
export function otherEnd(end: End): End {
  return end === "near" ? "far" : "near";
}
