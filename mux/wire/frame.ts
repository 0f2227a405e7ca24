/**
 * The seven frames of qmux: their types, sizes and writers. All integers are
 * big-endian uint32 (mux/SPEC.md, "Frames"; the ancestor is RFC 4254, section 5).
 *
 * @module
 */
import { writeUint32 } from "../../uint32.ts";
import { type MuxError, protocolError } from "../errors.ts";

/** The first byte of each frame. */
export const FrameType = {
  /** Requests a new channel. */
  OPEN: 100,
  /** Accepts it. */
  OPEN_CONFIRM: 101,
  /** Refuses it. */
  OPEN_FAILURE: 102,
  /** Lets its receiver send more bytes. */
  WINDOW_ADJUST: 103,
  /** Carries bytes. */
  DATA: 104,
  /** Ends the sender's direction. */
  EOF: 105,
  /** Ends the channel. */
  CLOSE: 106,
} as const;

/** Bytes of an OPEN frame. */
export const OPEN_SIZE = 13;
/** Bytes of an OPEN_CONFIRM frame. */
export const OPEN_CONFIRM_SIZE = 17;
/** Bytes of an OPEN_FAILURE frame. */
export const OPEN_FAILURE_SIZE = 5;
/** Bytes of a WINDOW_ADJUST frame. */
export const WINDOW_ADJUST_SIZE = 9;
/** Bytes of a DATA frame without its payload. */
export const DATA_HEADER_SIZE = 9;
/** Bytes of an EOF frame. */
export const EOF_SIZE = 5;
/** Bytes of a CLOSE frame. */
export const CLOSE_SIZE = 5;
/**
 * Bytes of DATA that one channel sends before the next one may: as many as an initial
 * window has. A value of 64 KiB fits, with its length and a header before it. In two
 * frames, its receiver has to copy it; and qtalk-js needs it in one.
 */
export const SEND_QUANTUM = 65 * 1024;
/**
 * As {@linkcode SEND_QUANTUM}, for a large value while nothing else waits: half of
 * 1 MiB, and some room. Each write and frame costs both ends time that has nothing to
 * do with its bytes, so what is left of a value of 1 MiB after the first window
 * leaves in two (tests/bench/LOG.md).
 */
export const LONE_QUANTUM = 520 * 1024;
/** Bytes of the longest frame, without the payload of a DATA frame. */
export const MAX_FRAME_HEADER_SIZE = OPEN_CONFIRM_SIZE;

/**
 * Bytes of a frame of this type, without the payload of a DATA frame.
 *
 * @throws {MuxError} `protocol-error` if there is no such type
 */
export function headerSize(type: number): number {
  const size = HEADER_SIZES[type]!;
  if (size === 0) throw unknownType(type);
  return size;
}

/** Whether a byte is the type of a frame for a channel that is open. */
export function isChannelFrame(type: number): boolean {
  switch (type) {
    case FrameType.WINDOW_ADJUST:
    case FrameType.DATA:
    case FrameType.EOF:
    case FrameType.CLOSE:
      return true;
    default:
      return false;
  }
}

/** The sizes by type, which is looked up faster than in a `switch`. */
const HEADER_SIZES = new Uint8Array(256);
HEADER_SIZES[FrameType.OPEN] = OPEN_SIZE;
HEADER_SIZES[FrameType.OPEN_CONFIRM] = OPEN_CONFIRM_SIZE;
HEADER_SIZES[FrameType.OPEN_FAILURE] = OPEN_FAILURE_SIZE;
HEADER_SIZES[FrameType.WINDOW_ADJUST] = WINDOW_ADJUST_SIZE;
HEADER_SIZES[FrameType.DATA] = DATA_HEADER_SIZE;
HEADER_SIZES[FrameType.EOF] = EOF_SIZE;
HEADER_SIZES[FrameType.CLOSE] = CLOSE_SIZE;

function unknownType(type: number): MuxError {
  return protocolError(
    `received 0x${
      type.toString(16).padStart(2, "0")
    }, which is not a frame type`,
  );
}

/** Writes an OPEN frame at `offset`. */
export function writeOpen(
  bytes: Uint8Array,
  offset: number,
  senderId: number,
  windowSize: number,
  maxPacketSize: number,
): void {
  bytes[offset] = FrameType.OPEN;
  writeUint32(bytes, offset + 1, senderId);
  writeUint32(bytes, offset + 5, windowSize);
  writeUint32(bytes, offset + 9, maxPacketSize);
}

/** Writes an OPEN_CONFIRM frame at `offset`. */
export function writeOpenConfirm(
  bytes: Uint8Array,
  offset: number,
  recipientId: number,
  senderId: number,
  windowSize: number,
  maxPacketSize: number,
): void {
  bytes[offset] = FrameType.OPEN_CONFIRM;
  writeUint32(bytes, offset + 1, recipientId);
  writeUint32(bytes, offset + 5, senderId);
  writeUint32(bytes, offset + 9, windowSize);
  writeUint32(bytes, offset + 13, maxPacketSize);
}

/** Writes an OPEN_FAILURE frame at `offset`. */
export function writeOpenFailure(
  bytes: Uint8Array,
  offset: number,
  recipientId: number,
): void {
  bytes[offset] = FrameType.OPEN_FAILURE;
  writeUint32(bytes, offset + 1, recipientId);
}

/** Writes a WINDOW_ADJUST frame at `offset`. */
export function writeWindowAdjust(
  bytes: Uint8Array,
  offset: number,
  recipientId: number,
  bytesToAdd: number,
): void {
  bytes[offset] = FrameType.WINDOW_ADJUST;
  writeUint32(bytes, offset + 1, recipientId);
  writeUint32(bytes, offset + 5, bytesToAdd);
}

/** Writes a DATA frame with its payload at `offset`. */
export function writeData(
  bytes: Uint8Array,
  offset: number,
  recipientId: number,
  payload: Uint8Array,
): void {
  bytes[offset] = FrameType.DATA;
  writeUint32(bytes, offset + 1, recipientId);
  writeUint32(bytes, offset + 5, payload.length);
  bytes.set(payload, offset + DATA_HEADER_SIZE);
}

/** Writes an EOF frame at `offset`. */
export function writeEof(
  bytes: Uint8Array,
  offset: number,
  recipientId: number,
): void {
  bytes[offset] = FrameType.EOF;
  writeUint32(bytes, offset + 1, recipientId);
}

/** Writes a CLOSE frame at `offset`. */
export function writeClose(
  bytes: Uint8Array,
  offset: number,
  recipientId: number,
): void {
  bytes[offset] = FrameType.CLOSE;
  writeUint32(bytes, offset + 1, recipientId);
}
