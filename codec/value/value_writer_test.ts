import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { forSeeds } from "../../tests/support/random.ts";
import { concat, framed, utf8 } from "../../tests/support/wire.ts";
import { json } from "../json.ts";
import { SpareBuffer, ValueWriter } from "./value_writer.ts";

Deno.test("ValueWriter: each value is written after its length", () => {
  const writer = new ValueWriter();
  const codec = json();
  for (const list of [[1], ["a", null], ["ä".repeat(40_000)], [{ b: [] }]]) {
    writer.begin();
    for (const value of list) writer.add(codec, value);
    assertEquals(
      writer.message().slice(),
      concat(...list.map((value) => framed(utf8(JSON.stringify(value))))),
    );
  }
});

Deno.test("ValueWriter.add: a codec needs no encodeInto()", () => {
  const { name, encode, decode } = json();
  const writer = new ValueWriter();
  writer.begin();
  writer.add({ name, encode, decode }, "ä");
  assertEquals(writer.message().slice(), framed(utf8('"ä"')));
});

Deno.test("ValueWriter.begin: the buffer of a large message is released", () => {
  const writer = new ValueWriter();
  writer.begin();
  writer.addRaw(new Uint8Array(1_000_000));
  assert(writer.message().buffer.byteLength >= 1_000_000);
  writer.begin();
  writer.add(json(), 1);
  assert(writer.message().buffer.byteLength <= 64 * 1024);
});

Deno.test("ValueWriter.begin: a large message goes into the buffer of the one before", () => {
  const writer = new ValueWriter();
  // Without a pause in which the collector could take the buffer.
  const buffers = [1_000_000, 10, 900_000].map((size) => {
    writer.begin();
    writer.addRaw(new Uint8Array(size).fill(size % 251));
    const message = writer.message();
    assert(message.every((byte) => byte === size % 251));
    return message.buffer;
  });
  assertStrictEquals(buffers[2], buffers[0]);
  assert(buffers[1] !== buffers[0]);
});

Deno.test("ValueWriter.message: messages of any sizes in any order are what was added", () =>
  forSeeds(5, (random) => {
    const writer = new ValueWriter();
    const codec = json();
    for (let i = 0; i < 100; i++) {
      writer.begin();
      const header = random.bytes(random.pick([3, 3, 3, 20, 300]));
      const value = random.pick([7, 42, 4_200, "text", "ä".repeat(70_000)]);
      writer.addRaw(header);
      writer.add(codec, value);
      const expected = concat(header, framed(utf8(JSON.stringify(value))));
      const message = writer.message();
      assertEquals(message.length, expected.length);
      assert(message.every((byte, at) => byte === expected[at]));
    }
  }));

const KIB = 1024;

Deno.test("SpareBuffer.take: returns a buffer once, and only if its size is within bounds", () => {
  const spare = new SpareBuffer();
  assertEquals(spare.take(1), undefined);
  const buffer = new Uint8Array(100 * KIB);
  spare.give(buffer);
  assertEquals(spare.take(101 * KIB), undefined);
  assertEquals(spare.take(20 * KIB, 99 * KIB), undefined);
  assertStrictEquals(spare.take(100 * KIB), buffer);
  assertEquals(spare.take(1), undefined);
});

Deno.test("SpareBuffer.give: the largest buffer is kept, but none that is very large or small", () => {
  const spare = new SpareBuffer();
  const larger = new Uint8Array(200 * KIB);
  spare.give(new Uint8Array(100 * KIB));
  spare.give(larger);
  spare.give(new Uint8Array(100 * KIB));
  spare.give(new Uint8Array(3 * KIB * KIB));
  assertStrictEquals(spare.take(1), larger);
  spare.give(new Uint8Array(3 * KIB * KIB));
  spare.give(new Uint8Array(10 * KIB));
  assertEquals(spare.take(1), undefined);
});
