/**
 * The seven frames of qmux: their types, sizes and writers. All integers are
 * big-endian uint32 (mux/SPEC.md, "Frames"; the ancestor is RFC 4254, section 5).
 *
 * @module
 */
import { writeUint32 } from "../../uint32.ts";
import { protocolError } from "../errors.ts";

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
/** Bytes of the longest frame, without the payload of a DATA frame. */
export const MAX_FRAME_HEADER_SIZE = OPEN_CONFIRM_SIZE;

/**
 * Bytes of a frame of this type, without the payload of a DATA frame.
 *
 * @throws {MuxError} `protocol-error` if there is no such type
 */
export function headerSize(type: number): number {
  switch (type) {
    case FrameType.OPEN:
      return OPEN_SIZE;
    case FrameType.OPEN_CONFIRM:
      return OPEN_CONFIRM_SIZE;
    case FrameType.WINDOW_ADJUST:
      return WINDOW_ADJUST_SIZE;
    case FrameType.DATA:
      return DATA_HEADER_SIZE;
    case FrameType.OPEN_FAILURE:
      return OPEN_FAILURE_SIZE;
    case FrameType.EOF:
      return EOF_SIZE;
    case FrameType.CLOSE:
      return CLOSE_SIZE;
    default:
      throw protocolError(
        `received 0x${
          type.toString(16).padStart(2, "0")
        }, which is not a frame type`,
      );
  }
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
