/**
 * What the bytes of peers that do not speak this protocol look like, and what
 * errors say of them. It is loaded for such an error.
 *
 * @module
 */
import { printableText } from "../../printable_text.ts";
import { MuxError, TlsError } from "../errors.ts";
import {
  isFrameType,
  isTextByte,
  QUOTE_SIZE,
  textOf,
} from "./frame_decoder.ts";

/** How a record of TLS begins. */
// deno-lint-ignore no-control-regex
const TLS_RECORD = /^[\x14-\x17]\x03[\0-\x04]/;

/** How the first bytes of other protocols look, read as Latin-1. */
const OTHER_PROTOCOLS: readonly (readonly [RegExp, string])[] = [
  [/^HTTP\/\d/, "an HTTP server; if it accepts WebSockets, dial ws: or wss:"],
  [/^PRI \* HTTP\/2/, "an HTTP/2 client"],
  [
    /^(?:GET|HEAD|POST|PUT|DELETE|PATCH|OPTIONS|TRACE|CONNECT) \S/,
    "an HTTP client; for WebSockets, listen on ws:",
  ],
  // deno-lint-ignore no-control-regex
  [/^[^]{3}\x04[\0\x01]\0{4}/, "an HTTP/2 server"],
  [/^SSH-\d/, "SSH"],
  [TLS_RECORD, "TLS; for TLS, use a tls: or wss: address"],
  [/^\*\S* ?(?:OK|PREAUTH|BYE)\b/, "an IMAP server"],
  [/^\+OK [^]*POP/i, "a POP3 server"],
  [
    /^(?:-(?:ERR|NOAUTH|DENIED|LOADING|WRONGPASS|MISCONF|READONLY)\b|\+(?:OK|PONG)\r\n|[*$:]-?\d+\r\n)/,
    "Redis",
  ],
  [/^\d{3}[ -]/, "a server of SMTP or FTP"],
  [/^(?:E\0\0[^]{2}S|EFATAL)|^R\0\0\0[\b-\xff]\0\0\0/, "a PostgreSQL server"],
  // deno-lint-ignore no-control-regex
  [/^\0\0\0[^](?:\0\x03\0\0|\x04\xd2\x16)/, "a PostgreSQL client"],
  // deno-lint-ignore no-control-regex
  [/^[^]{2}\0[^](?:\n\d+\.\d|\xff[^]\x04)/, "a MySQL server"],
  // deno-lint-ignore no-control-regex
  [/^AMQP[\0-\x03]/, "an AMQP server"],
  [/^INFO \{/, "a NATS server"],
  [/^RFB \d/, "a VNC server"],
  [/^[\x81\x82\x88\x89][\0-\xff]/, "WebSocket without its handshake"],
  [/^Content-(?:Length|Type):/i, "messages with headers, such as JSON-RPC"],
  [
    /^\s*(?:\{\s*["}]|\[\s*(?:["{[]|\]\s*$|-?\d[\d.e+]*\s*(?:,|\]\s*$)))/,
    "JSON",
  ],
  [/^(?:\xff\xfe|\xfe\xff)/, "text in UTF-16"],
  [/^\s*<[!?a-z]/i, "HTML or XML"],
];

/**
 * The error for the first bytes of TLS, where none is spoken; undefined if they are of
 * another protocol.
 */
export function tlsIn(
  bytes: Uint8Array,
  message: string,
): TlsError | undefined {
  return TLS_RECORD.test(latin1(bytes.subarray(0, QUOTE_SIZE)))
    ? new TlsError("unexpected-tls", message)
    : undefined;
}

/**
 * Quotes the first bytes of a peer that does not speak this protocol, and says
 * what they look like.
 *
 * @returns such as `"SSH-2.0-OpenSSH\r\n" looks like SSH`
 */
export function describeBytes(bytes: Uint8Array): string {
  const lines = leadingLines(bytes);
  const text = textOf(lines);
  return `${quoteBytes(lines)} looks like ${
    protocolOf(bytes) ??
      (text === undefined ? "binary data" : "text, such as a line of a log")
  }`;
}

/** Describes the beginning of a text as {@linkcode describeBytes} does its bytes. */
export function describeText(text: string): string {
  return describeBytes(new TextEncoder().encode(text.slice(0, QUOTE_SIZE + 1)));
}

/** Bytes as a quoted text that is safe to print, cut to {@linkcode QUOTE_SIZE}. */
export function quoteBytes(bytes: Uint8Array): string {
  const first = bytes.subarray(0, QUOTE_SIZE);
  const text = textOf(first);
  const printable = text === undefined
    ? latin1(first).replace(
      /[^\x20-\x7e]/g,
      (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`,
    )
    : printableText(text);
  return `"${printable}"${bytes.length > QUOTE_SIZE ? "\u2026" : ""}`;
}

/**
 * The error for bytes that are no frames: that of the decoder, which may be about
 * a number that the peer never meant to send, with what the bytes look like.
 *
 * @param error the error of the decoder
 * @param bytes the bytes from the start of the frame that it could not decode
 * @param advice what else to say about text, if anything
 */
export function notFrames(
  error: MuxError,
  bytes: Uint8Array,
  advice: string | undefined,
): MuxError {
  const isFrame = isFrameType(bytes[0]);
  const isText = bytes.length > 1 && textOf(leadingLines(bytes)) !== undefined;
  if (isFrame && !isText && protocolOf(bytes) === undefined) return error;
  const more = isText && advice !== undefined ? `; ${advice}` : "";
  const message = `${error.message}: ${describeBytes(bytes)}${more}`;
  const cause = tlsIn(bytes, message);
  return new MuxError(error.code, message, cause && { cause });
}

/**
 * The lines of text that bytes begin with, or all of the bytes if there are none.
 * Frames may have arrived together with a line of a log.
 */
function leadingLines(bytes: Uint8Array): Uint8Array {
  let end = 0;
  for (let at = 0; at < bytes.length; at++) {
    if (bytes[at]! < 128 && !isTextByte(bytes[at]!)) break;
    if (bytes[at] === 10) end = at + 1;
  }
  const lines = bytes.subarray(0, end);
  return end > 1 && textOf(bytes) === undefined && textOf(lines) !== undefined
    ? lines
    : bytes;
}

function protocolOf(bytes: Uint8Array): string | undefined {
  const start = latin1(bytes.subarray(0, QUOTE_SIZE));
  return OTHER_PROTOCOLS.find(([pattern]) => pattern.test(start))?.[1];
}

function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}
