/**
 * The seven frames of qmux: their types, sizes and their writer. All integers are
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

/** Bytes of a DATA frame without its payload. */
export const DATA_HEADER_SIZE = 9;
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
export const MAX_FRAME_HEADER_SIZE = 17;

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

/**
 * The sizes by type, which is looked up faster than in a `switch`: from OPEN to CLOSE,
 * in the order of {@linkcode FrameType}.
 */
const HEADER_SIZES = new Uint8Array(256);
HEADER_SIZES.set(
  [13, MAX_FRAME_HEADER_SIZE, 5, 9, DATA_HEADER_SIZE, 5, CLOSE_SIZE],
  FrameType.OPEN,
);

function unknownType(type: number): MuxError {
  return protocolError(
    `received 0x${
      type.toString(16).padStart(2, "0")
    }, which is not a frame type`,
  );
}

/**
 * Writes a frame at `offset`, without the payload of DATA. Its integers are those of
 * mux/SPEC.md, in that order; a type that has fewer ignores the last ones.
 */
export function writeFrame(
  bytes: Uint8Array,
  offset: number,
  type: number,
  id: number,
  second = 0,
  third = 0,
  fourth = 0,
): void {
  const size = HEADER_SIZES[type]!;
  bytes[offset] = type;
  writeUint32(bytes, offset + 1, id);
  if (size > 5) writeUint32(bytes, offset + 5, second);
  if (size > 9) writeUint32(bytes, offset + 9, third);
  if (size > 13) writeUint32(bytes, offset + 13, fourth);
}
