/**
 * Bytes that break the rules, and what must be said of them.
 *
 * @module
 */
import type { MuxErrorCode } from "../../mux/errors.ts";
import { DEFAULT_SESSION_OPTIONS } from "../../mux/options.ts";
import {
  adjust,
  close,
  concat,
  confirm,
  data,
  dataHeader,
  eof,
  failure,
  fromHex,
  open,
  utf8,
} from "../support/wire.ts";

/** One way to break a session. */
export interface Hostile {
  /** What the peer sends, given the number of an open channel nobody reads. */
  bytes: (id: number) => Uint8Array;
  /** Whether it means the same when every channel is accepted and read. */
  served?: false;
  /** Whether the peer then ends its side. */
  ends?: boolean;
  /** The error's code. */
  code: MuxErrorCode;
  /** What its text must name. */
  names: string;
}

const { maxPacketSize, initialWindowSize } = DEFAULT_SESSION_OPTIONS;
const NEVER = 4_000_000;

/** By what it is. */
export const HOSTILE: Readonly<Record<string, Hostile>> = {
  "an HTTP request": {
    bytes: () => utf8("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"),
    code: "protocol-error",
    names: "received 0x47, which is not a frame type",
  },
  "a TLS hello": {
    bytes: () => fromHex("16030100c8010000c40303"),
    code: "protocol-error",
    names: "received 0x16, which is not a frame type",
  },
  "an SSH greeting": {
    bytes: () => utf8("SSH-2.0-OpenSSH_9.9\r\n"),
    code: "protocol-error",
    names: "received 0x53, which is not a frame type",
  },
  "a frame type below the first": {
    bytes: () => Uint8Array.of(99, 0, 0, 0, 0),
    code: "protocol-error",
    names: "received 0x63, which is not a frame type",
  },
  "a frame type above the last": {
    bytes: () => Uint8Array.of(107, 0, 0, 0, 0),
    code: "protocol-error",
    names: "received 0x6b, which is not a frame type",
  },
  "a zero byte": {
    bytes: () => Uint8Array.of(0),
    code: "protocol-error",
    names: "received 0x00, which is not a frame type",
  },
  "DATA that says it is 4 GiB long": {
    bytes: (id) => concat(dataHeader(id, 0xffff_ffff), new Uint8Array(1_000)),
    code: "protocol-error",
    names:
      `received DATA of 4294967295 bytes, which exceeds the maximum packet size of ${maxPacketSize}`,
  },
  "DATA a byte over the packet size": {
    bytes: (id) => dataHeader(id, maxPacketSize + 1),
    code: "protocol-error",
    names: `received DATA of ${
      maxPacketSize + 1
    } bytes, which exceeds the maximum packet size`,
  },
  "DATA a byte over the window": {
    served: false,
    bytes: (id) =>
      concat(
        data(id, new Uint8Array(initialWindowSize)),
        data(id, "x"),
      ),
    code: "protocol-error",
    names: "received DATA of 1 bytes for a window of 0",
  },
  "DATA partly over the window": {
    served: false,
    bytes: (id) =>
      concat(
        data(id, new Uint8Array(initialWindowSize - 5)),
        data(id, "seven b"),
      ),
    code: "protocol-error",
    names: "received DATA of 7 bytes for a window of 5",
  },
  "a window past 2^32 - 1": {
    bytes: (id) => concat(adjust(id, 0xffff_ffff), adjust(id, 1)),
    code: "protocol-error",
    names: "exceeds 2^32 - 1",
  },
  "WINDOW_ADJUST for a number never given": {
    bytes: () => adjust(NEVER, 1),
    code: "protocol-error",
    names: `received WINDOW_ADJUST for channel ${NEVER}`,
  },
  "DATA for a number never given": {
    bytes: () => data(NEVER, "x"),
    code: "protocol-error",
    names: `received DATA for channel ${NEVER}`,
  },
  "EOF for a number never given": {
    bytes: () => eof(NEVER),
    code: "protocol-error",
    names: `received EOF for channel ${NEVER}`,
  },
  "CLOSE for a number never given": {
    bytes: () => close(NEVER),
    code: "protocol-error",
    names: `received CLOSE for channel ${NEVER}`,
  },
  "OPEN_CONFIRM for a number never given": {
    bytes: () => confirm(NEVER, 1),
    code: "protocol-error",
    names: `received OPEN_CONFIRM for channel ${NEVER}`,
  },
  "OPEN_FAILURE for a number never given": {
    bytes: () => failure(NEVER),
    code: "protocol-error",
    names: `received OPEN_FAILURE for channel ${NEVER}`,
  },
  "OPEN_CONFIRM for a channel that the peer opened": {
    bytes: (id) => confirm(id, 1),
    code: "protocol-error",
    names: "received OPEN_CONFIRM for channel",
  },
  "OPEN_FAILURE for a channel that the peer opened": {
    bytes: (id) => failure(id),
    code: "protocol-error",
    names: "received OPEN_FAILURE for channel",
  },
  "half a frame, then the end": {
    bytes: (id) => data(id, "cut").subarray(0, 10),
    ends: true,
    code: "connection-lost",
    names: "ended inside a frame",
  },
  "half a frame header, then the end": {
    bytes: () => open(5).subarray(0, 3),
    ends: true,
    code: "connection-lost",
    names: "ended inside a frame",
  },
};
