import { assertEquals } from "@std/assert";
import {
  hideSecrets,
  printableText,
  withoutSecrets,
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

/** Addresses, and how they are shown. */
const ADDRESSES: [string, string][] = [
  ["tcp://127.0.0.1:80", "tcp://127.0.0.1:80"],
  ["tcp://[::1]:80", "tcp://[::1]:80"],
  ["unix:/run/math.sock", "unix:/run/math.sock"],
  ["stdio:", "stdio:"],
  ["ws://host:80/users/@me", "ws://host:80/users/@me"],
  ["ws://host/a?token=SECRET", "ws://host/a?…"],
  ["wss://host?SECRET", "wss://host?…"],
  ["ws://host/#token=SECRET", "ws://host/#…"],
  ["WS://me:SECRET@host:80/a", "WS://…@host:80/a"],
  ["ws://me@host", "ws://me@host"],
  ["ws://me:SECRET@[::1]:80/?key=SECRET", "ws://…@[::1]:80/?…"],
  ["ws://me:SE@CRET@host/", "ws://…@host/"],
  ["tcp://me:SE/CRET@host:80", "tcp://…@host:80"],
  ["tcp://me:SE?CRET@host:80", "tcp://…@host:80"],
  ["http://me:SECRET@host/", "http://…@host/"],
  ["me:SECRET@host:80", "…@host:80"],
  ["ws:me:SECRET@host", "…@host"],
  ["host:80?token=SECRET", "host:80?…"],
];

Deno.test("withoutSecrets(): user, password, query and fragment are left out", () => {
  for (const [address, shown] of ADDRESSES) {
    assertEquals(withoutSecrets(address), shown, address);
  }
});

Deno.test("hideSecrets(): what an error quotes of an address has no secrets", () => {
  for (const [address] of ADDRESSES) {
    const url = URL.canParse(address) ? new URL(address).href : address;
    for (const text of [address, url, `Invalid URL: '${url}' (${address})`]) {
      const hidden = hideSecrets(`Cannot connect: ${text}`, address);
      assertEquals(/SE.?CRET/.test(hidden), false, hidden);
    }
  }
  assertEquals(
    hideSecrets("got token=SECRET; or SECRET", "ws://h/?token=SECRET"),
    "got …; or …",
  );
});
