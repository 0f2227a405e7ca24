/**
 * The seven frames of qmux, as pure functions from and to bytes: no state, no
 * streams, no policy. All integers are big-endian uint32 (mux/SPEC.md,
 * "Frames"; RFC 4254, section 5, is the ancestor).
 *
 * @module
 */
import { writeUint32 } from "../../uint32.ts";
import { protocolError } from "../errors.ts";

/** The first byte of each frame. */
export const FrameType = {
  /** Asks for a new channel. */
  OPEN: 100,
  /** Grants it. */
  OPEN_CONFIRM: 101,
  /** Refuses it. */
  OPEN_FAILURE: 102,
  /** Lets the receiver of the frame send that many bytes more. */
  WINDOW_ADJUST: 103,
  /** Carries bytes. */
  DATA: 104,
  /** No more data from this side. */
  EOF: 105,
  /** The channel is over. */
  CLOSE: 106,
} as const;

/** A frame as a value: what tests, tools and logs look at. */
export type Frame =
  | { type: "open"; sender: number; window: number; maxPacketSize: number }
  | {
    type: "open-confirm";
    recipient: number;
    sender: number;
    window: number;
    maxPacketSize: number;
  }
  | { type: "open-failure"; recipient: number }
  | { type: "window-adjust"; recipient: number; bytes: number }
  | { type: "data"; recipient: number; payload: Uint8Array }
  | { type: "eof"; recipient: number }
  | { type: "close"; recipient: number };

/** Bytes of a DATA frame in front of its payload. */
export const DATA_HEADER_SIZE = 9;
/** Bytes of the longest frame without payload. */
export const MAX_FRAME_HEADER_SIZE = 17;

/**
 * Bytes that a frame of this type takes, without a DATA frame's payload.
 *
 * @throws {MuxError} `protocol-error` if no frame begins with this byte
 */
export function headerSize(type: number): number {
  switch (type) {
    case FrameType.OPEN:
      return 13;
    case FrameType.OPEN_CONFIRM:
      return 17;
    case FrameType.WINDOW_ADJUST:
    case FrameType.DATA:
      return 9;
    case FrameType.OPEN_FAILURE:
    case FrameType.EOF:
    case FrameType.CLOSE:
      return 5;
    default:
      throw protocolError(
        `no frame begins with byte 0x${type.toString(16).padStart(2, "0")}`,
      );
  }
}

/**
 * Writes a type byte and up to four fields at `offset`; returns the offset
 * behind them. A DATA frame's payload is the caller's to put there.
 */
export function writeHeader(
  bytes: Uint8Array,
  offset: number,
  type: number,
  a: number,
  b?: number,
  c?: number,
  d?: number,
): number {
  bytes[offset] = type;
  writeUint32(bytes, offset + 1, a);
  if (b === undefined) return offset + 5;
  writeUint32(bytes, offset + 5, b);
  if (c === undefined) return offset + 9;
  writeUint32(bytes, offset + 9, c);
  if (d === undefined) return offset + 13;
  writeUint32(bytes, offset + 13, d);
  return offset + 17;
}

/** Encodes one frame into bytes of its own. */
export function encodeFrame(frame: Frame): Uint8Array<ArrayBuffer> {
  const size = frame.type === "data" ? frame.payload.length : 0;
  const out = new Uint8Array(MAX_FRAME_HEADER_SIZE + size);
  const end = writeFrame(out, frame);
  if (frame.type === "data") out.set(frame.payload, end);
  return out.slice(0, end + size);
}

function writeFrame(out: Uint8Array, frame: Frame): number {
  switch (frame.type) {
    case "open":
      return writeHeader(
        out,
        0,
        FrameType.OPEN,
        frame.sender,
        frame.window,
        frame.maxPacketSize,
      );
    case "open-confirm":
      return writeHeader(
        out,
        0,
        FrameType.OPEN_CONFIRM,
        frame.recipient,
        frame.sender,
        frame.window,
        frame.maxPacketSize,
      );
    case "open-failure":
      return writeHeader(out, 0, FrameType.OPEN_FAILURE, frame.recipient);
    case "window-adjust":
      return writeHeader(
        out,
        0,
        FrameType.WINDOW_ADJUST,
        frame.recipient,
        frame.bytes,
      );
    case "data":
      return writeHeader(
        out,
        0,
        FrameType.DATA,
        frame.recipient,
        frame.payload.length,
      );
    case "eof":
      return writeHeader(out, 0, FrameType.EOF, frame.recipient);
    case "close":
      return writeHeader(out, 0, FrameType.CLOSE, frame.recipient);
  }
}
