import { assertEquals, assertThrows } from "@std/assert";
import { CodecError } from "../errors.ts";
import { ValueBudget } from "./value_budget.ts";
import { type ByteSource, ValueReader } from "./value_reader.ts";

/** A source of these bytes, which does not end. */
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

/** The length of a value, and its first `bytes` bytes. */
function begin(size: number, bytes: number): Uint8Array {
  const out = new Uint8Array(4 + bytes);
  new DataView(out.buffer).setUint32(0, size);
  return out;
}

Deno.test("ValueBudget: a value that completes returns its part of the budget", () => {
  const budget = new ValueBudget(100);
  const rest = new Uint8Array(10);
  const pieces = [begin(60, 50)];
  const reader = new ValueReader(source(...pieces, rest), 100, budget);
  assertEquals(reader.next()?.length, 60);
  assertEquals(budget.left, 100);
});

Deno.test("ValueBudget: a value that exceeds the budget fails and does not affect others", () => {
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

Deno.test("ValueBudget: a length alone takes at most 64 KiB", () => {
  const budget = new ValueBudget(1_000_000);
  const reader = new ValueReader(
    source(begin(900_000, 0)),
    1_000_000,
    budget,
  );
  assertEquals(reader.next(), undefined);
  assertEquals(budget.left, 1_000_000 - 64 * 1024);
});
