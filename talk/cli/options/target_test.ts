import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../exit_code.ts";
import { isAddress, targetFrom } from "./target.ts";

Deno.test("targetFrom: address and selector are one word or two", () => {
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
    ["quic://h:1/a/b x", "quic://h:1", "/a/b"],
    ["quic://h:1 a.b x", "quic://h:1", "a.b"],
    ["wt://h:1/p a x", "wt://h:1/p", "a"],
    ["peer:bob@quic://h:1#ab:cd a x", "peer:bob@quic://h:1#ab:cd", "a"],
    ["peer:bob@quic://h:1#ab:cd/a/b x", "peer:bob@quic://h:1#ab:cd", "/a/b"],
    ["peer:bob@wss://h/p#sha256:ab/a x", "peer:bob@wss://h/p#sha256:ab", "/a"],
    ["peer:bob@wss://h/p a x", "peer:bob@wss://h/p", "a"],
  ];
  for (const [words, address, selector] of cases) {
    const target = targetFrom(words.split(" "));
    assertEquals(target, { address, selector, rest: ["x"] }, words);
  }
  for (const words of [[], ["tcp://h:1"], ["tcp://h:1/"], ["unix:/a/b"]]) {
    assertThrows(() => targetFrom(words), UsageError);
  }
});

Deno.test("isAddress: an address begins with a scheme, a command does not", () => {
  for (
    const word of [
      "tcp://h:1",
      "tls://h:1",
      "unix:/p",
      "ws://h",
      "wss://h/p",
      "quic://h:1",
      "wt://h:1/p",
      "peer:bob@quic://h:1#sha256:ab",
    ]
  ) {
    assertEquals(isAddress(word), true, word);
  }
  for (
    const word of [
      "./tcp",
      "go run .",
      "tcp:",
      "echo tcp://h:1",
      "peer:",
      "peer",
    ]
  ) {
    assertEquals(isAddress(word), false, word);
  }
});
