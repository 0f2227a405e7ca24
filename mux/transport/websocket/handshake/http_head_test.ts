import { assert, assertEquals } from "@std/assert";
import { forSeeds } from "../../../../tests/support/random.ts";
import { text, utf8 } from "../../../../tests/support/wire.ts";
import { until, watch } from "../../../../tests/support/within.ts";
import type { Transport } from "../../../types.ts";
import { listOf, MAX_HEAD_SIZE, parseHeaders, readHead } from "./http_head.ts";

/** A transport with these chunks to read. */
function chunked(chunks: Uint8Array[]): Transport {
  const rest = [...chunks];
  return {
    read: () => Promise.resolve(rest.shift() ?? null),
    write: () => Promise.resolve(),
    closeWrite: () => Promise.resolve(),
    close() {},
  };
}

Deno.test("readHead: is the same in any chunks, and what follows it is the rest", async () => {
  const bytes = utf8("GET / HTTP/1.1\r\nhost: a\r\nx: \xe9\r\n\r\nthe rest");
  await forSeeds(50, async (random) => {
    const chunks = random.split(bytes, random.pick([1, 3, 30]));
    const transport = chunked(chunks);
    const head = await readHead(transport);
    assert(typeof head === "object");
    assertEquals(head.start, "GET / HTTP/1.1");
    // Latin-1, as HTTP has it.
    assertEquals(head.lines, ["host: a", "x: \xc3\xa9"]);
    let rest = text(head.rest);
    for (;;) {
      const chunk = await transport.read();
      if (chunk === null) break;
      rest += text(chunk);
    }
    assertEquals(rest, "the rest");
  });
});

Deno.test("readHead: a connection that ends first has no head", async () => {
  assertEquals(await readHead(chunked([utf8("GET / HTTP/1.1\r\n")])), "ended");
  assertEquals(await readHead(chunked([])), "ended");
});

Deno.test("readHead: a head of the maximum size is read, a longer one is too large", async () => {
  const head = (size: number) =>
    utf8(`GET / HTTP/1.1\r\nx: ${"x".repeat(size - 23)}\r\n\r\n`);
  assertEquals(head(MAX_HEAD_SIZE).length, MAX_HEAD_SIZE);
  for (const step of [MAX_HEAD_SIZE + 1, 1_000, 1]) {
    const split = (bytes: Uint8Array) => {
      const chunks = [];
      for (let at = 0; at < bytes.length; at += step) {
        chunks.push(bytes.subarray(at, at + step));
      }
      return chunked(chunks);
    };
    assert(typeof await readHead(split(head(MAX_HEAD_SIZE))) === "object");
    assertEquals(
      await readHead(split(head(MAX_HEAD_SIZE + 1))),
      "too-large",
    );
  }
});

Deno.test("readHead: gives up on a head without an end once it is too large", async () => {
  let reads = 0;
  const endless: Transport = {
    ...chunked([]),
    read: () => Promise.resolve(utf8(`x${reads++}`)),
  };
  const reading = watch(readHead(endless));
  await until(() => reading.state !== "pending");
  assertEquals(await readHead(endless), "too-large");
});

Deno.test("parseHeaders: names ignore case, and values have no space around", () => {
  const headers = parseHeaders(["Host:a:80", "UPGRADE: \t websocket \t"])!;
  assertEquals([...headers], [["host", "a:80"], ["upgrade", "websocket"]]);
});

Deno.test("parseHeaders: a malformed line is refused", () => {
  for (
    const line of [
      "no colon",
      ": no name",
      " folded: line",
      "space : before",
      "a b: c",
      "nul: \0",
      "line: \nfeed",
      "return: \rhere",
    ]
  ) {
    assertEquals(parseHeaders(["host: a", line]), undefined, line);
  }
});

Deno.test("listOf: splits a header at its commas, in lower case", () => {
  const headers = new Headers({ connection: "keep-alive , Upgrade" });
  assertEquals(listOf(headers, "connection"), ["keep-alive", "upgrade"]);
  assertEquals(listOf(headers, "upgrade"), [""]);
});
