// The small parts that make something of the words of a command line.

import {
  CodecError,
  MuxError,
  RemoteError,
  RpcError,
  TalkError,
} from "@qtalk/qtalk";
import { assertEquals, assertThrows } from "@std/assert";
import { parse, positive } from "./command.ts";
import { exitCodeOf, OutputClosed, UsageError } from "./exit.ts";
import { isAddress, targetFrom } from "./target.ts";
import { formatValue, highlight, parseValue } from "./values.ts";

Deno.test("a value is JSON, or the word itself", () => {
  const values: [string, unknown][] = [
    ["1", 1],
    ["-0.5e3", -500],
    [" true ", true],
    ["null", null],
    ['"1"', "1"],
    ["[1, [2]]", [1, [2]]],
    ['{"a": {}}', { a: {} }],
    ["9007199254740993", 9007199254740993n],
    ["", ""],
    ["word", "word"],
    ["NaN", "NaN"],
    ["01", "01"],
    ["a{b", "a{b"],
  ];
  for (const [text, value] of values) assertEquals(parseValue(text), value);
  for (const text of ["{", "[1", '"', ' {"a"}', "[1] 2"]) {
    assertThrows(() => parseValue(text), UsageError, "begins as JSON");
  }
});

Deno.test("a value is written as it is read", () => {
  for (const text of ['{"a":[1,9007199254740993]}', '"é"', "null", "true"]) {
    assertEquals(formatValue(parseValue(text)), text);
  }
});

Deno.test("JSON is coloured by its parts, and else left alone", () => {
  const marked = (text: string) =>
    highlight(text, (style, part) => `<${style} ${part}>`);
  assertEquals(
    marked('{"a\\"b":["true: 1",-1.5e3,null]}'),
    '{<cyan "a\\"b">:[<green "true: 1">,<yellow -1.5e3>,<yellow null>]}',
  );
});

Deno.test("a target is address and selector, in one word or in two", () => {
  const cases: [words: string, address: string, selector: string][] = [
    ["tcp://h:1/a/b x", "tcp://h:1", "/a/b"],
    ["tcp://h:1 a.b x", "tcp://h:1", "a.b"],
    ["tcp://h:1/ a.b x", "tcp://h:1", "a.b"],
    ["tcp://h:1 / x", "tcp://h:1", "/"],
    ["tcp://[::1]:1/a x", "tcp://[::1]:1", "/a"],
    ["unix:/p/q a x", "unix:/p/q", "a"],
    ["unix:///p/q a x", "unix:///p/q", "a"],
    ["ws://h:1/p a x", "ws://h:1/p", "a"],
    ["WSS://h/ a x", "WSS://h/", "a"],
  ];
  for (const [words, address, selector] of cases) {
    const target = targetFrom(words.split(" "));
    assertEquals(target, { address, selector, rest: ["x"] }, words);
  }
  for (const words of [[], ["tcp://h:1"], ["tcp://h:1/"], ["unix:/a/b"]]) {
    assertThrows(() => targetFrom(words), UsageError);
  }
});

Deno.test("an address is told from a command by its scheme", () => {
  for (const word of ["tcp://h:1", "unix:/p", "ws://h", "wss://h/p"]) {
    assertEquals(isAddress(word), true, word);
  }
  for (const word of ["./tcp", "go run .", "tcp:", "echo tcp://h:1"]) {
    assertEquals(isAddress(word), false, word);
  }
});

Deno.test("options may stand anywhere, and a number below zero is none", () => {
  const specs = {
    name: { type: "string", about: "" },
    flag: { type: "boolean", short: "f", about: "" },
  } as const;
  assertEquals(parse(["-1", "--name", "-2", "a", "-f", "-.5"], specs), {
    words: ["-1", "a", "-.5"],
    values: { name: "-2", flag: true },
  });
  assertEquals(parse(["--name=x", "--", "--flag", "-3"], specs), {
    words: ["--flag", "-3"],
    values: { name: "x" },
  });
  for (const args of [["--nam"], ["-x"], ["--name"], ["--flag=1"]]) {
    assertThrows(() => parse(args, specs), UsageError);
  }
});

Deno.test("a number of an option is above zero", () => {
  assertEquals(positive("timeout", "0.5"), 0.5);
  assertEquals(positive("timeout", undefined), undefined);
  for (const text of ["0", "-1", "", "x", "Infinity"]) {
    assertThrows(() => positive("timeout", text), UsageError, "--timeout");
  }
});

Deno.test("each failure has its exit code", () => {
  const codes: [Error, number][] = [
    [new OutputClosed(), 0],
    [new RemoteError("x"), 1],
    [new UsageError(), 2],
    [new TalkError("bad-address", ""), 2],
    [new TalkError("unknown-scheme", ""), 2],
    [new TalkError("dial-failed", ""), 3],
    [new TalkError("timeout", ""), 3],
    [new MuxError("connection-lost", ""), 3],
    [new RpcError("timeout", ""), 3],
    [new RpcError("no-response", ""), 3],
    [new RpcError("malformed-header", ""), 4],
    [new CodecError("malformed", ""), 4],
    [new Error(), 4],
  ];
  for (const [error, code] of codes) {
    assertEquals(exitCodeOf(error), code, `${error.name} ${error.message}`);
  }
});
