/**
 * Frames and values as tests write them down.
 *
 * @module
 */
import {
  headerSize,
  MAX_FRAME_HEADER_SIZE,
  writeClose,
  writeData,
  writeEof,
  writeOpen,
  writeOpenConfirm,
  writeOpenFailure,
  writeWindowAdjust,
} from "../../mux/wire/frame.ts";
import { FrameDecoder } from "../../mux/wire/frame_decoder.ts";

/** A frame as a value. */
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

/** Encodes one frame, by the functions that the frame queue uses. */
export function encodeFrame(frame: Frame): Uint8Array<ArrayBuffer> {
  const size = frame.type === "data" ? frame.payload.length : 0;
  const out = new Uint8Array(MAX_FRAME_HEADER_SIZE + size);
  writeFrame(out, frame);
  return out.slice(0, headerSize(out[0]!) + size);
}

function writeFrame(out: Uint8Array, frame: Frame): void {
  switch (frame.type) {
    case "open":
      return writeOpen(
        out,
        0,
        frame.sender,
        frame.window,
        frame.maxPacketSize,
      );
    case "open-confirm":
      return writeOpenConfirm(
        out,
        0,
        frame.recipient,
        frame.sender,
        frame.window,
        frame.maxPacketSize,
      );
    case "open-failure":
      return writeOpenFailure(out, 0, frame.recipient);
    case "window-adjust":
      return writeWindowAdjust(out, 0, frame.recipient, frame.bytes);
    case "data":
      return writeData(out, 0, frame.recipient, frame.payload);
    case "eof":
      return writeEof(out, 0, frame.recipient);
    case "close":
      return writeClose(out, 0, frame.recipient);
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The window that the reference grants. */
export const GO_WINDOW = 64 * 16 * 1024 * 1024;
/** The packet size that the reference grants. */
export const GO_PACKET = 16 * 1024 * 1024;

/** OPEN. */
export function open(
  sender: number,
  window: number = GO_WINDOW,
  maxPacketSize: number = GO_PACKET,
): Uint8Array {
  return encodeFrame({ type: "open", sender, window, maxPacketSize });
}

/** OPEN_CONFIRM. */
export function confirm(
  recipient: number,
  sender: number,
  window: number = GO_WINDOW,
  maxPacketSize: number = GO_PACKET,
): Uint8Array {
  return encodeFrame({
    type: "open-confirm",
    recipient,
    sender,
    window,
    maxPacketSize,
  });
}

/** OPEN_FAILURE. */
export function failure(recipient: number): Uint8Array {
  return encodeFrame({ type: "open-failure", recipient });
}

/** WINDOW_ADJUST. */
export function adjust(recipient: number, bytes: number): Uint8Array {
  return encodeFrame({ type: "window-adjust", recipient, bytes });
}

/** DATA. */
export function data(
  recipient: number,
  payload: Uint8Array | string,
): Uint8Array {
  return encodeFrame({
    type: "data",
    recipient,
    payload: typeof payload === "string" ? utf8(payload) : payload,
  });
}

/** The header of a DATA frame whose payload may never come. */
export function dataHeader(recipient: number, length: number): Uint8Array {
  const header = data(recipient, "");
  new DataView(header.buffer, header.byteOffset).setUint32(5, length);
  return header;
}

/** EOF. */
export function eof(recipient: number): Uint8Array {
  return encodeFrame({ type: "eof", recipient });
}

/** CLOSE. */
export function close(recipient: number): Uint8Array {
  return encodeFrame({ type: "close", recipient });
}

/** Bytes of a text. */
export function utf8(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text);
}

/** The text of bytes. */
export function text(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** Joins bytes. */
export function concat(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Bytes behind their length, as RPC frames a value. */
export function framed(value: Uint8Array): Uint8Array {
  const prefix = new Uint8Array(4);
  new DataView(prefix.buffer).setUint32(0, value.length);
  return concat(prefix, value);
}

/** Values in JSON, each behind its length, with the reference's newline. */
export function values(...list: unknown[]): Uint8Array {
  return concat(
    ...list.map((value) => framed(utf8(`${JSON.stringify(value)}\n`))),
  );
}

/** What {@linkcode values} wrote. */
export function parseValues(bytes: Uint8Array): unknown[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const list: unknown[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = at + 4 + view.getUint32(at);
    if (end > bytes.length) {
      throw new RangeError("Cannot read value: it is cut");
    }
    list.push(JSON.parse(text(bytes.subarray(at + 4, end))));
    at = end;
  }
  return list;
}

/** Bytes written in hexadecimal digits. */
export function fromHex(hex: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(
    hex.match(/../g) ?? [],
    (pair) => parseInt(pair, 16),
  );
}

/** Bytes as hexadecimal digits. */
export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}

/** Gathers frames, payloads whole, from bytes in any chunks. */
export class FrameCollector {
  readonly #onFrame: (frame: Frame) => void;
  readonly #decoder: FrameDecoder;
  #payload:
    | { recipient: number; bytes: Uint8Array; filled: number }
    | undefined;

  /** Tells `onFrame` each frame once all of it is there. */
  constructor(onFrame: (frame: Frame) => void) {
    this.#onFrame = onFrame;
    this.#decoder = new FrameDecoder({
      onOpen: (sender, window, maxPacketSize) =>
        onFrame({ type: "open", sender, window, maxPacketSize }),
      onOpenConfirm: (recipient, sender, window, maxPacketSize) =>
        onFrame({
          type: "open-confirm",
          recipient,
          sender,
          window,
          maxPacketSize,
        }),
      onOpenFailure: (recipient) =>
        onFrame({ type: "open-failure", recipient }),
      onWindowAdjust: (recipient, bytes) =>
        onFrame({ type: "window-adjust", recipient, bytes }),
      onData: (recipient, length) => {
        const bytes = new Uint8Array(length);
        this.#payload = { recipient, bytes, filled: 0 };
        this.#fill(new Uint8Array(0));
      },
      onPayload: (chunk, from, to) => this.#fill(chunk.subarray(from, to)),
      onEof: (recipient) => onFrame({ type: "eof", recipient }),
      onClose: (recipient) => onFrame({ type: "close", recipient }),
    });
  }

  /** Whether the bytes so far end between two frames. */
  get atBoundary(): boolean {
    return this.#decoder.atBoundary;
  }

  /** Takes the next chunk. */
  push(chunk: Uint8Array): void {
    this.#decoder.push(chunk);
  }

  #fill(piece: Uint8Array): void {
    const payload = this.#payload!;
    payload.bytes.set(piece, payload.filled);
    payload.filled += piece.length;
    if (payload.filled < payload.bytes.length) return;
    this.#payload = undefined;
    this.#onFrame({
      type: "data",
      recipient: payload.recipient,
      payload: payload.bytes,
    });
  }
}

/** The frames in these chunks, which must end between two. */
export function parseFrames(...chunks: Uint8Array[]): Frame[] {
  const frames: Frame[] = [];
  const collector = new FrameCollector((frame) => frames.push(frame));
  for (const chunk of chunks) collector.push(chunk);
  if (!collector.atBoundary) {
    throw new RangeError("Cannot parse frames: the bytes end inside one");
  }
  return frames;
}
