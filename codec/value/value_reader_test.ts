import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { prefix, Source, started } from "../../tests/support/byte_source.ts";
import { forSeeds } from "../../tests/support/random.ts";
import { concat, framed, utf8 } from "../../tests/support/wire.ts";
import { turn, watch, within } from "../../tests/support/within.ts";
import { CodecError } from "../errors.ts";
import { json, tinyDecoderOf } from "../json.ts";
import { ValueReader } from "./value_reader.ts";

Deno.test("ValueReader: values do not depend on how the bytes are split", () =>
  forSeeds(100, async (random) => {
    const values = Array.from(
      { length: 5 },
      () => random.bytes(random.pick([0, 1, 3, 4, 5, 200])),
    );
    const bytes = concat(...values.map(framed));
    const { source, reader } = started();
    for (const piece of random.split(bytes, random.pick([1, 3, 50, 1_000]))) {
      source.arrive(piece);
    }
    source.end();
    for (const value of values) {
      assertEquals(await reader.read((bytes) => bytes.slice()), value);
    }
    assertEquals(await reader.read((bytes) => bytes.slice()), undefined);
  }));

Deno.test("ValueReader.next: no byte after the value is consumed", () => {
  for (const cut of [0, 2, 4, 5, 7, 9]) {
    const { source, reader } = started();
    const bytes = concat(framed(utf8("first")), utf8("raw bytes"));
    source.arrive(bytes.subarray(0, cut), bytes.subarray(cut));
    assertEquals(reader.next()?.slice(), utf8("first"));
    assertEquals(source.taken, 9);
  }
});

Deno.test("ValueReader.read: a partial value is consumed while the rest is awaited", async () => {
  const { source, reader } = started();
  const value = watch(reader.read((bytes) => bytes.slice()));
  source.arrive(new Uint8Array([0, 0]));
  source.arrive(new Uint8Array([0, 3, 7]));
  await turn();
  assertEquals(value.state, "pending");
  assertEquals(source.taken, 5);
  source.arrive(new Uint8Array([8, 9, 1]));
  await turn();
  assertEquals(value.state, "resolved");
  assertEquals(source.taken, 7);
});

Deno.test("ValueReader.next: a value may be as large as the limit, but not larger", () => {
  const { source, reader } = started(5);
  source.arrive(framed(utf8("12345")), prefix(6));
  assertEquals(reader.next()?.slice(), utf8("12345"));
  const error = assertThrows(() => reader.next(), CodecError);
  assertEquals(error.code, "too-large");
  assertEquals(
    error.message,
    'Cannot read value: its 6 bytes exceed the limit of 5 bytes (option "maxValueSize")',
  );
});

Deno.test("ValueReader.next: a smaller limit of one value is not called the option", () => {
  const { source, reader } = started(100);
  source.arrive(framed(utf8("12345")), prefix(6));
  assertEquals(reader.next(5)?.slice(), utf8("12345"));
  const error = assertThrows(() => reader.next(5), CodecError);
  assertEquals(
    error.message,
    "Cannot read value: its 6 bytes exceed the limit of 5 bytes",
  );
});

Deno.test("ValueReader.next: a length above the limit is refused before the value arrives", () => {
  const { source, reader } = started();
  source.arrive(new Uint8Array([0xff, 0xff, 0xff, 0xff]));
  assertEquals(assertThrows(() => reader.next(), CodecError).code, "too-large");
});

Deno.test("ValueReader.next: after a failure, every call throws the same error", () => {
  const { source, reader } = started(100);
  source.arrive(framed(new Uint8Array(101)), framed(new Uint8Array(1)));
  const first = assertThrows(() => reader.next(), CodecError);
  assertStrictEquals(assertThrows(() => reader.next()), first);
});

Deno.test("ValueReader.read: the error for a truncated value says where the stream ended", async () => {
  const cases: [Uint8Array[], string][] = [
    [[new Uint8Array([0])], "inside its length"],
    [[prefix(5)], "after 0 of 5 bytes"],
    [[prefix(5), utf8("123")], "after 3 of 5 bytes"],
  ];
  for (const [pieces, where] of cases) {
    const { source, reader } = started();
    source.arrive(...pieces);
    source.end();
    const error = await assertRejects(
      () => reader.read(() => {}),
      CodecError,
      where,
    );
    assertEquals(error.code, "truncated");
  }
});

Deno.test("ValueReader.read: values that arrived before a failure are read first", async () => {
  const failure = new Error("gone");
  const { source, reader } = started();
  source.arrive(framed(utf8("kept")), new Uint8Array([0]));
  source.end(failure);
  assertEquals(await reader.read((bytes) => bytes.slice()), utf8("kept"));
  const error = await assertRejects(() => reader.read(() => {}));
  assertEquals(error, failure);
});

Deno.test("ValueReader.read: an error of decode() rejects that read only", async () => {
  const { source, reader } = started();
  source.arrive(framed(utf8("bad")), framed(utf8("1")));
  const codec = json();
  await assertRejects(() => reader.read((b) => codec.decode(b)), CodecError);
  assertEquals(await reader.read((b) => codec.decode(b)), 1);
});

Deno.test("ValueReader.read: decode() runs while the bytes are valid", async () => {
  const { source, reader } = started();
  const value = reader.read((bytes) => new TextDecoder().decode(bytes));
  const bytes = framed(utf8("text"));
  source.arrive(bytes);
  bytes.fill(0);
  assertEquals(await within(value, "the value"), "text");
});

Deno.test("ValueReader.next: the bytes of a value are announced in proportion to those that arrived", () => {
  const { source, reader } = started(10 * 1024 * 1024);
  const expected: number[] = [];
  const telling = Object.assign(source, {
    expect: (bytes: number) => expected.push(bytes),
  });
  const mib = 1024 * 1024;
  telling.arrive(prefix(10 * mib), new Uint8Array(10));
  assertEquals(reader.next(), undefined);
  assertEquals(expected, [mib, mib]);
  telling.arrive(new Uint8Array(2 * mib - 10));
  assertEquals(reader.next(), undefined);
  assertEquals(expected.at(-1), 4 * mib);
  telling.arrive(new Uint8Array(7 * mib));
  assertEquals(reader.next(), undefined);
  assertEquals(expected.at(-1), mib);
  telling.arrive(new Uint8Array(mib));
  assertEquals(reader.next()?.length, 10 * mib);
  // A value that arrived as a whole needs no announcement.
  const asked = expected.length;
  telling.arrive(framed(new Uint8Array(50)));
  assertEquals(reader.next()?.length, 50);
  assertEquals(expected.length, asked);
});

Deno.test("ValueReader.next: the rest of a value is announced with what comes before it, if it is less than half as much", () => {
  const mib = 1024 * 1024;
  // A text of 1 MiB, as JSON.
  for (const size of [mib, mib + 4, 1.5 * mib]) {
    const { source, reader } = started(2 * mib);
    source.arrive(prefix(size));
    assertEquals(reader.next(), undefined);
    assertEquals(source.expected, [size]);
  }
  const { source, reader } = started(2 * mib);
  source.arrive(prefix(1.5 * mib + 1));
  assertEquals(reader.next(), undefined);
  assertEquals(source.expected, [mib]);
});

Deno.test("ValueReader.takeIf: a value is taken only if it is the same and has arrived", () => {
  const bytes = concat(framed(utf8("same")), framed(utf8("next")));
  for (const cut of [0, 2, 4, 6, 8, 11]) {
    const { source, reader } = started();
    source.arrive(bytes.subarray(0, cut));
    const whole = cut >= 8;
    assertEquals(reader.takeIf(utf8("same")), whole);
    assertEquals(source.taken, whole ? 8 : 0);
    source.arrive(bytes.subarray(cut));
    const next = whole ? "next" : "same";
    assertEquals(reader.next()?.slice(), utf8(next));
  }
  for (const other of ["", "sam", "some", "same "]) {
    const { source, reader } = started();
    source.arrive(bytes);
    assertEquals(reader.takeIf(utf8(other)), false);
    assertEquals(source.taken, 0);
  }
});

Deno.test("ValueReader.takeIf: a value that has begun is left to next()", () => {
  const { source, reader } = started();
  source.arrive(utf8("\0\0"));
  assertEquals(reader.next(), undefined);
  source.arrive(concat(utf8("\0\x08"), framed(utf8("same"))));
  assertEquals(reader.takeIf(utf8("same")), false);
  assertEquals(reader.next()?.slice(), framed(utf8("same")));
});

Deno.test("ValueReader.takeTiny: a value is taken only if it has arrived and is decoded", () => {
  const decode = tinyDecoderOf(json())!;
  const bytes = concat(framed(utf8("[42]")), framed(utf8("[1.5]")));
  for (const cut of [0, 2, 4, 6, 8, 11]) {
    const { source, reader } = started();
    source.arrive(bytes.subarray(0, cut));
    const whole = cut >= 8;
    assertEquals(reader.takeTiny(decode), whole ? [42] : undefined);
    assertEquals(source.taken, whole ? 8 : 0);
    source.arrive(bytes.subarray(cut));
    assertEquals(reader.next()?.slice(), utf8(whole ? "[1.5]" : "[42]"));
  }
  const { source, reader } = started();
  source.arrive(framed(utf8("[1.5]")));
  assertEquals(reader.takeTiny(decode), undefined);
  assertEquals(source.taken, 0);
});

Deno.test("ValueReader.takeTiny: a value that has begun, or is too large, is left to next()", () => {
  const decode = tinyDecoderOf(json())!;
  const { source, reader } = started();
  source.arrive(utf8("\0\0"));
  assertEquals(reader.next(), undefined);
  source.arrive(concat(utf8("\0\x05"), utf8("\0\0\0\x01"), utf8("7")));
  assertEquals(reader.takeTiny(decode), undefined);
  assertEquals(reader.next()?.slice(), framed(utf8("7")));

  const small = new Source();
  const strict = new ValueReader(small, 3);
  small.arrive(framed(utf8("[42]")));
  assertEquals(strict.takeTiny(decode), undefined);
  assertThrows(() => strict.next(), CodecError, "exceed");
  assertEquals(strict.takeTiny(decode), undefined);
});

Deno.test("ValueReader.partial: has what was read of a value that is not complete", () => {
  const source = new Source();
  const reader = new ValueReader(source);
  const bytes = framed(utf8("value"));
  for (let i = 0; i < bytes.length - 1; i++) {
    source.arrive(bytes.subarray(i, i + 1));
    assertEquals(reader.next(), undefined);
    assertEquals(reader.partial, bytes.subarray(0, i + 1));
  }
  source.arrive(bytes.subarray(-1));
  assertEquals(reader.next(), utf8("value"));
  assertEquals(reader.partial, undefined);
});

/** Records the size of every Uint8Array that is allocated. */
function watchAllocations(sizes: number[]): Disposable {
  const original = globalThis.Uint8Array;
  globalThis.Uint8Array = new Proxy(original, {
    construct(target, args, newTarget) {
      if (typeof args[0] === "number") sizes.push(args[0]);
      return Reflect.construct(target, args, newTarget);
    },
  });
  return {
    [Symbol.dispose]: () => {
      globalThis.Uint8Array = original;
    },
  };
}

Deno.test("ValueReader.next: memory is allocated in proportion to the bytes that arrived", async () => {
  const allocated: number[] = [];
  using _ = watchAllocations(allocated);
  const size = 16 * 1024 * 1024;
  const { source, reader } = started(size);
  source.arrive(prefix(size));
  assertEquals(reader.next(), undefined);
  const piece = new Uint8Array(1000);
  for (let i = 1; i <= 1_000; i++) {
    source.arrive(piece);
    assertEquals(reader.next(), undefined);
    assert(
      Math.max(...allocated) <= Math.max(128 * 1024, 4 * 1000 * i),
      `${Math.max(...allocated)} bytes at once for ${1000 * i}`,
    );
  }
  source.end();
  await assertRejects(() => reader.read(() => {}), CodecError, "1000000 of");
});
