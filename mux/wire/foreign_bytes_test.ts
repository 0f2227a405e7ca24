import { assert, assertEquals } from "@std/assert";
import { utf8 } from "../../tests/support/wire.ts";
import { MuxError } from "../errors.ts";
import { describeBytes, notFrames, quoteBytes } from "./foreign_bytes.ts";

/** The first bytes of a peer, and what an error says that they look like. */
const FIRST_BYTES: [bytes: string | number[], what: string][] = [
  ["HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n", "an HTTP server;"],
  ["HTTP/1.0 200 OK\r\n", "an HTTP server;"],
  ["GET / HTTP/1.1\r\nhost: a\r\n\r\n", "an HTTP client;"],
  ["OPTIONS * HTTP/1.1\r\n", "an HTTP client;"],
  ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "an HTTP/2 client"],
  [[0, 0, 18, 4, 0, 0, 0, 0, 0, 0, 3], "an HTTP/2 server"],
  ["SSH-2.0-OpenSSH_9.6\r\n", "SSH"],
  [[0x15, 3, 3, 0, 2, 2, 70], "TLS;"],
  [[0x16, 3, 1, 2, 0, 1], "TLS;"],
  ["220 mail.example ESMTP Postfix\r\n", "a server of SMTP or FTP"],
  ["220-Welcome\r\n", "a server of SMTP or FTP"],
  ["500 Command unrecognized\r\n", "a server of SMTP or FTP"],
  ["+OK POP3 ready\r\n", "a POP3 server"],
  ["* OK [CAPABILITY IMAP4rev1] ready\r\n", "an IMAP server"],
  ["-ERR unknown command\r\n", "Redis"],
  ["-NOAUTH Authentication required.\r\n", "Redis"],
  ["+PONG\r\n", "Redis"],
  ["$5\r\nhello\r\n", "Redis"],
  [[0x45, 0, 0, 0, 0x8a, 0x53, 0x46, 0x41], "a PostgreSQL server"],
  ["EFATAL:  unsupported frontend protocol\0", "a PostgreSQL server"],
  [[0x52, 0, 0, 0, 8, 0, 0, 0, 3], "a PostgreSQL server"],
  [[0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f], "a PostgreSQL client"],
  [[0, 0, 0, 41, 0, 3, 0, 0, 0x75], "a PostgreSQL client"],
  [[0x4a, 0, 0, 0, 10, 0x38, 0x2e, 0x30, 0x2e], "a MySQL server"],
  ["j\0\0\0\n5.5.5-10.11-MariaDB", "a MySQL server"],
  ["AMQP\0\0\x09\x01", "an AMQP server"],
  ['INFO {"server_id":"N"} \r\n', "a NATS server"],
  ["RFB 003.008\n", "a VNC server"],
  [[0x81, 5, 0x68, 0x65], "WebSocket without its handshake"],
  ["Content-Length: 42\r\n\r\n{}", "messages with headers, such as JSON-RPC"],
  ['{"jsonrpc":"2.0"}\n', "JSON"],
  ["[1,2,3]\n", "JSON"],
  ["<!doctype html>", "HTML or XML"],
  ['<?xml version="1.0"?>', "HTML or XML"],
  ["our log\n", "text, such as a line of a log"],
  ["[2026-11-26] started\n", "text, such as a line of a log"],
  ["[info] started\n", "text, such as a line of a log"],
  ["\x1b[32mready\x1b[0m\n", "text, such as a line of a log"],
  ["Größe: 5 — 日本語\n", "text, such as a line of a log"],
  [[0xff, 0xfe, 0x68, 0, 0x69, 0], "text in UTF-16"],
  [[0, 1, 2, 0xff, 0xc8], "binary data"],
  [[0x7f, 0x45, 0x4c, 0x46, 2, 1], "binary data"],
];

Deno.test("describeBytes(): other protocols and text are recognized by their first bytes", () => {
  for (const [first, what] of FIRST_BYTES) {
    const bytes = typeof first === "string"
      ? utf8(first)
      : new Uint8Array(first);
    const [, after] = describeBytes(bytes).split(/ looks like (?=[^"]*$)/);
    assert(after!.startsWith(what), `${describeBytes(bytes)}, not ${what}`);
  }
});

Deno.test("quoteBytes(): bytes are one line of printable text, and not many", () => {
  assertEquals(quoteBytes(utf8("a\tb\r\n")), '"a\\tb\\r\\n"');
  assertEquals(quoteBytes(utf8("\x1b[2J\u202e!")), '"\\u001b[2J\\u202e!"');
  assertEquals(
    quoteBytes(new Uint8Array([0, 0x41, 0xff])),
    '"\\x00A\\xff"',
  );
  assertEquals(quoteBytes(utf8("x".repeat(64))), `"${"x".repeat(64)}"`);
  assertEquals(quoteBytes(utf8("x".repeat(65))), `"${"x".repeat(64)}"…`);
  // Half a character at the end is left out.
  assertEquals(quoteBytes(utf8("é".repeat(40))), `"${"é".repeat(32)}"…`);
  assertEquals(quoteBytes(utf8("x" + "é".repeat(40))), `"x${"é".repeat(31)}"…`);
});

Deno.test("notFrames(): a line of a log is text, also if frames came together with it", () => {
  const error = new MuxError("protocol-error", "Cannot continue session");
  for (
    const line of ["our log\n", "hello from the handler\n", "a\nb\n", "é\n"]
  ) {
    for (const frame of [[0x68, 0, 0, 0, 0], [0x69, 0, 0, 0, 0, 0xff, 10]]) {
      const bytes = new Uint8Array([...utf8(line), ...frame]);
      assertEquals(
        notFrames(error, bytes, "logs belong on stderr").message,
        `Cannot continue session: ${
          JSON.stringify(line)
        } looks like text, such as a line of a log; logs belong on stderr`,
      );
    }
  }
});

Deno.test("notFrames(): the error for a malformed frame of a peer stays as it is", () => {
  const error = new MuxError("protocol-error", "Cannot continue session: no");
  const data = new Uint8Array([104, 0, 0, 0, 7, 0, 0, 0, 1, 65]);
  assertEquals(notFrames(error, data, "advice"), error);
  const text = notFrames(error, utf8("hi there\n"), "advice");
  assertEquals(
    [text.code, text.message],
    [
      "protocol-error",
      'Cannot continue session: no: "hi there\\n" looks like text, such as a line of a log; advice',
    ],
  );
});
