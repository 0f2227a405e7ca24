import { assertEquals, assertThrows } from "@std/assert";
import { CodecError } from "../errors.ts";
import { type ByteSource, ValueBudget, ValueReader } from "./value_stream.ts";

/** A source of what was put in so far. */
function source(...pieces: Uint8Array[]): ByteSource {
  return {
    ended: false,
    failure: undefined,
    peek: () => pieces[0],
    consume(bytes) {
      const rest = pieces[0]!.subarray(bytes);
      if (rest.length === 0) pieces.shift();
      else pieces[0] = rest;
    },
    whenReadable() {},
  };
}

/** The length of a value, and `bytes` bytes of it. */
function begin(size: number, bytes: number): Uint8Array {
  const out = new Uint8Array(4 + bytes);
  new DataView(out.buffer).setUint32(0, size);
  return out;
}

Deno.test("value budget: values in the making share it, and a complete one gives its part back", () => {
  const budget = new ValueBudget(100);
  const rest = new Uint8Array(10);
  const pieces = [begin(60, 50)];
  const reader = new ValueReader(source(...pieces, rest), 100, budget);
  assertEquals(reader.next()?.length, 60);
  assertEquals(budget.left, 100);
});

Deno.test("value budget: the value that would exceed it fails, and costs no other", () => {
  const budget = new ValueBudget(100);
  const first = new ValueReader(source(begin(60, 50)), 100, budget);
  assertEquals(first.next(), undefined);
  assertEquals(budget.left, 40);
  const second = new ValueReader(source(begin(60, 50)), 100, budget);
  const error = assertThrows(() => second.next(), CodecError);
  assertEquals(error.code, "too-large");
  assertEquals(budget.left, 40);
  first.release();
  assertEquals(budget.left, 100);
});

Deno.test("value budget: a length alone takes 64 KiB at the most", () => {
  const budget = new ValueBudget(1_000_000);
  const reader = new ValueReader(
    source(begin(900_000, 0)),
    1_000_000,
    budget,
  );
  assertEquals(reader.next(), undefined);
  assertEquals(budget.left, 1_000_000 - 64 * 1024);
});

Deno.test("value reader: after a failure every value is that failure", () => {
  const reader = new ValueReader(source(begin(101, 101), begin(1, 1)), 100);
  const first = assertThrows(() => reader.next(), CodecError);
  assertEquals(assertThrows(() => reader.next()), first);
});
