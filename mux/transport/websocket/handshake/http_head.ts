/**
 * Heads of HTTP/1.1 messages: what comes before the body.
 *
 * @module
 */
import type { Transport } from "../../../types.ts";

/** Bytes of a head at most, with the empty line at its end. */
export const MAX_HEAD_SIZE = 16 * 1024;
/** Initial bytes of the buffer for a head that arrives in pieces. */
const SMALL_BUFFER = 1024;

const CR = 13, LF = 10, SPACE = 32;
/** Letters of a request's method at most. */
const MAX_METHOD = 20;
/** How responses start. */
const RESPONSE_START = "HTTP/1.";

/** The reason phrases of the status codes that this package sends. */
export const REASON_PHRASES = Object.freeze({
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  426: "Upgrade Required",
  431: "Request Header Fields Too Large",
  503: "Service Unavailable",
});

/** A head that has arrived, with the bytes after it. */
export interface Head {
  /** The first line. */
  start: string;
  /** The lines of the headers, unparsed. */
  lines: string[];
  /** Bytes that came after the head; valid until the next read. */
  rest: Uint8Array;
}

/** Whether bytes may be the start of a request. */
export function mayBeRequest(bytes: Uint8Array): boolean {
  const method = /^[A-Z]*/.exec(latin1(bytes.subarray(0, MAX_METHOD + 1)))![0];
  if (method.length === bytes.length) return method.length <= MAX_METHOD;
  return method !== "" && bytes[method.length] === SPACE;
}

/** Whether bytes may be the start of a response. */
export function mayBeResponse(bytes: Uint8Array): boolean {
  const start = latin1(bytes.subarray(0, RESPONSE_START.length));
  return RESPONSE_START.startsWith(start);
}

/**
 * Reads up to the empty line after the headers.
 *
 * @param transport what to read from
 * @param checkStart throws if the first bytes do not begin a head: a peer that
 * speaks another protocol need not send an empty line
 * @returns the head, or why there is none
 * @throws {unknown} what `checkStart` throws
 */
export async function readHead(
  transport: Transport,
  checkStart: (bytes: Uint8Array) => void = () => {},
): Promise<Head | "ended" | "too-large"> {
  let buffer = new Uint8Array(0);
  let length = 0;
  for (;;) {
    const chunk = await transport.read();
    if (chunk === null) return "ended";
    // Usually the whole head is in the first chunk.
    let bytes = chunk;
    if (length > 0 || findEnd(chunk, 0) < 0) {
      const room = Math.min(chunk.length, MAX_HEAD_SIZE + 4 - length);
      buffer = grown(buffer, length, length + room);
      buffer.set(chunk.subarray(0, room), length);
      bytes = buffer.subarray(0, length + room);
    }
    checkStart(bytes);
    // The end may start in the previous chunk.
    const end = findEnd(bytes, Math.max(0, length - 3));
    if (end >= 0 && end + 4 <= MAX_HEAD_SIZE) {
      const rest = end + 4 - (bytes === chunk ? 0 : length);
      const [start = "", ...lines] = latin1(bytes.subarray(0, end))
        .split("\r\n");
      return { start, lines, rest: chunk.subarray(rest) };
    }
    length = bytes.length;
    if (end >= 0 || length >= MAX_HEAD_SIZE) return "too-large";
  }
}

/** Parses the lines of headers; undefined if one of them is malformed. */
export function parseHeaders(lines: readonly string[]): Headers | undefined {
  const headers = new Headers();
  for (const line of lines) {
    const colon = line.indexOf(":");
    // A space before the name would continue the line before, and one after it
    // is read differently by different servers.
    if (colon < 1 || /\s/.test(line.slice(0, colon))) return undefined;
    // Half an end of line would be a whole one for some of them.
    if (/[\r\n]/.test(line)) return undefined;
    try {
      headers.append(line.slice(0, colon), line.slice(colon + 1));
    } catch {
      return undefined;
    }
  }
  return headers;
}

/** The members of a header that is a list, in lower case. */
export function listOf(headers: Headers, name: string): string[] {
  return (headers.get(name) ?? "").toLowerCase().split(/\s*,\s*/);
}

function latin1(bytes: Uint8Array): string {
  return new TextDecoder("latin1").decode(bytes);
}

function grown(
  buffer: Uint8Array<ArrayBuffer>,
  used: number,
  needed: number,
): Uint8Array<ArrayBuffer> {
  if (needed <= buffer.length) return buffer;
  const larger = new Uint8Array(
    Math.max(SMALL_BUFFER, 2 * buffer.length, needed),
  );
  larger.set(buffer.subarray(0, used));
  return larger;
}

function findEnd(bytes: Uint8Array, from: number): number {
  for (let i = bytes.indexOf(CR, from); i >= 0; i = bytes.indexOf(CR, i + 1)) {
    if (bytes[i + 1] === LF && bytes[i + 2] === CR && bytes[i + 3] === LF) {
      return i;
    }
  }
  return -1;
}
