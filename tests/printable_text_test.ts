import { assertEquals } from "@std/assert";
import {
  printableText,
  redactedAddress,
  redactedIn,
} from "../printable_text.ts";

Deno.test("printableText(): control characters and overrides of direction are escaped as in JSON", () => {
  const cases: [string, string][] = [
    ["plain text, é 😀 👩‍💻 שלום", "plain text, é 😀 👩‍💻 שלום"],
    ["a\nb\r\n\tc", "a\\nb\\r\\n\\tc"],
    ["\x1b[2J\x07\0", "\\u001b[2J\\u0007\\u0000"],
    ["\x7f\x80\x9b31m\x9d", "\\u007f\\u0080\\u009b31m\\u009d"],
    ["\u202egnp.exe\u2066\u200f\u061c", "\\u202egnp.exe\\u2066\\u200f\\u061c"],
    ["\u2028\u2029", "\\u2028\\u2029"],
  ];
  for (const [text, printable] of cases) {
    assertEquals(printableText(text), printable);
  }
});

Deno.test("printableText(): no character that it lets through is a control character", () => {
  for (let code = 0; code < 0x2100; code++) {
    const printable = printableText(String.fromCharCode(code));
    assertEquals(
      /^[^\p{Cc}\p{Bidi_Control}\u2028\u2029]+$/u.test(printable),
      true,
    );
  }
});

/** Addresses, and what errors call them. */
const ADDRESSES: Record<string, string> = {
  "tcp://localhost:80": "tcp://localhost:80",
  "tcp://[::1]:80": "tcp://[::1]:80",
  "ws://host/path/of/it": "ws://host/path/of/it",
  "ws://host/@ann/room": "ws://host/@ann/room",
  "unix:/run/a@b:c.sock": "unix:/run/a@b:c.sock",
  "unix:///run/a@b": "unix:///run/a@b",
  "stdio:": "stdio:",
  "": "",
  "nothing": "nothing",
  ":1": ":1",
  // Queries and fragments.
  "ws://host/path?token=SECRET": "ws://host/path?…",
  "ws://host?SECRET": "ws://host?…",
  "wss://host:1/?a=1&token=SECRET@b#SECRET": "wss://host:1/?…",
  "wss://host/#access_token=SECRET": "wss://host/#…",
  "tcp://host:80?token=SECRET": "tcp://host:80?…",
  "unix:/run/a?token=SECRET": "unix:/run/a?…",
  "localhost:80?token=SECRET": "localhost:80?…",
  // User and password, also where no scheme has them.
  "ws://user:SECRET@host/path": "ws://…@host/path",
  "WSS://user:SECRET@host:1/path?SECRET": "WSS://…@host:1/path?…",
  "tcp://user:SECRET@host:80": "tcp://…@host:80",
  "tcp://SECRET@host:80": "tcp://…@host:80",
  "ws://:SECRET@host": "ws://…@host",
  "ws://user:SECRET@[::1]:80/": "ws://…@[::1]:80/",
  "ws://user:SEC@RET@host/": "ws://…@host/",
  // Characters that should have been escaped.
  "ws://user:SEC/RET@host/": "ws://…@host/",
  "ws://user:SEC?RET#SECRET@host/a?SECRET": "ws://…@host/a?…",
  "ws://user:SECRET@host:port/": "ws://…@host:port/",
  "ws:\\\\user:SECRET@host": "ws:…@host",
  // Not an address of this package.
  "user:SECRET@host:80": "…@host:80",
  " ws://user:SECRET@host": "…@host",
  "htp://user:SECRET@host?SECRET": "htp://…@host?…",
  "htp:user:SECRET@host": "…@host",
  "tcp:user:SECRET@host": "tcp:…@host",
  "ws:/user:SECRET@host": "ws:/…@host",
};

Deno.test("redactedAddress(): user, password, query and fragment are left out", () => {
  for (const [address, redacted] of Object.entries(ADDRESSES)) {
    assertEquals(redactedAddress(address), redacted);
  }
  assertEquals(redactedAddress("ws://a\x1b[2J\n/"), "ws://a\\u001b[2J\\n/");
});

Deno.test("redactedAddress(): the name and the fingerprint of a peer are no secrets", () => {
  const pin = `#sha256:${"0a".repeat(32)}`;
  const colons = `#${"0A:".repeat(31)}0A`;
  for (
    const [address, redacted] of [
      [`peer:bob@quic://host:1${pin}`, `peer:bob@quic://host:1${pin}`],
      [`peer:bob@quic://host:1${colons}`, `peer:bob@quic://host:1${colons}`],
      [`peer:bob@ws://a:b@host/?c${pin}`, `peer:bob@ws://…@host/?…${pin}`],
      ["peer:bob@quic://host:1#secret", "peer:bob@quic://host:1#…"],
      ["peer:bob@quic://host:1#0a0a", "peer:bob@quic://host:1#…"],
      [`peer:bob@quic://host:1${pin}/x`, "peer:bob@quic://host:1#…"],
    ] as const
  ) assertEquals(redactedAddress(address), redacted);
});

Deno.test("redactedIn(): the addresses in a text are redacted", () => {
  assertEquals(
    redactedIn('Cannot open "ws://a:b@host/?c": no answer from tcp://host:1'),
    'Cannot open "ws://…@host/?…": no answer from tcp://host:1',
  );
});
