import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { forSeeds } from "../../tests/support/random.ts";
import { concat, framed, utf8 } from "../../tests/support/wire.ts";
import { turn, watch, within } from "../../tests/support/within.ts";
import { CodecError } from "../errors.ts";
import { json } from "../json.ts";
import { type ByteSource, ValueReader, ValueWriter } from "./value_stream.ts";

/** Bytes that arrive when a test says so. */
class Source implements ByteSource {
  ended = false;
  failure: unknown;
  taken = 0;
  #pieces: Uint8Array[] = [];
  #waiting: (() => void) | undefined;

  arrive(...pieces: Uint8Array[]): void {
    this.#pieces.push(...pieces.filter((piece) => piece.length > 0));
    this.#tell();
  }

  end(failure?: unknown): void {
    this.ended = true;
    this.failure = failure;
    this.#tell();
  }

  peek(): Uint8Array | undefined {
    return this.#pieces[0];
  }

  consume(bytes: number): void {
    const first = this.#pieces[0]!;
    assert(bytes <= first.length, "takes more than it saw");
    this.taken += bytes;
    if (bytes === first.length) this.#pieces.shift();
    else this.#pieces[0] = first.subarray(bytes);
  }

  whenReadable(callback: () => void): void {
    if (this.#pieces.length > 0 || this.ended) return callback();
    assert(this.#waiting === undefined, "waits twice");
    this.#waiting = callback;
  }

  #tell(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.();
  }
}

function started(maxSize?: number): { source: Source; reader: ValueReader } {
  const source = new Source();
  return { source, reader: new ValueReader(source, maxSize) };
}

function prefix(length: number): Uint8Array {
  return framed(new Uint8Array(0)).map((_, i) => length >>> (24 - 8 * i));
}

Deno.test("ValueReader gives the same values however the bytes are cut", () =>
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

Deno.test("ValueReader takes no byte beyond the value asked for", () => {
  for (const cut of [0, 2, 4, 5, 7, 9]) {
    const { source, reader } = started();
    const bytes = concat(framed(utf8("first")), utf8("raw bytes"));
    source.arrive(bytes.subarray(0, cut), bytes.subarray(cut));
    assertEquals(reader.next()?.slice(), utf8("first"));
    assertEquals(source.taken, 9);
  }
});

Deno.test("ValueReader takes what has arrived of a value, and waits for the rest", async () => {
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

Deno.test("ValueReader takes values up to the limit, the limit included", () => {
  const { source, reader } = started(5);
  source.arrive(framed(utf8("12345")), prefix(6));
  assertEquals(reader.next()?.slice(), utf8("12345"));
  const error = assertThrows(() => reader.next(), CodecError);
  assertEquals(error.code, "too-large");
  assertEquals(error.message, "Cannot read value: 6 bytes are more than 5");
});

Deno.test("ValueReader refuses a length before any byte of the value arrived", () => {
  const { source, reader } = started();
  source.arrive(new Uint8Array([0xff, 0xff, 0xff, 0xff]));
  assertEquals(assertThrows(() => reader.next(), CodecError).code, "too-large");
});

Deno.test("ValueReader's memory follows what arrived, not what was announced", async () => {
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
      Math.max(...allocated) <= Math.max(64 * 1024, 2 * 1000 * i),
      `${Math.max(...allocated)} bytes at once for ${1000 * i}`,
    );
  }
  source.end();
  await assertRejects(() => reader.read(() => {}), CodecError, "1000000 of");
});

Deno.test("ValueReader says where a stream ended inside a value", async () => {
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

Deno.test("ValueReader gives what arrived before a failure, then the failure", async () => {
  const failure = new Error("gone");
  const { source, reader } = started();
  source.arrive(framed(utf8("kept")), new Uint8Array([0]));
  source.end(failure);
  assertEquals(await reader.read((bytes) => bytes.slice()), utf8("kept"));
  const error = await assertRejects(() => reader.read(() => {}));
  assertEquals(error, failure);
});

Deno.test("ValueReader rejects with what decoding throws, and can read on", async () => {
  const { source, reader } = started();
  source.arrive(framed(utf8("bad")), framed(utf8("1")));
  const codec = json();
  await assertRejects(() => reader.read((b) => codec.decode(b)), CodecError);
  assertEquals(await reader.read((b) => codec.decode(b)), 1);
});

Deno.test("ValueReader decodes while the bytes are valid, not later", async () => {
  const { source, reader } = started();
  const value = reader.read((bytes) => new TextDecoder().decode(bytes));
  const bytes = framed(utf8("text"));
  source.arrive(bytes);
  bytes.fill(0);
  assertEquals(await within(value, "the value"), "text");
});

Deno.test("ValueWriter writes each value behind its length", () => {
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

Deno.test("ValueWriter takes codecs that only encode", () => {
  const { name, encode, decode } = json();
  const writer = new ValueWriter();
  writer.begin();
  writer.add({ name, encode, decode }, "ä");
  assertEquals(writer.message().slice(), framed(utf8('"ä"')));
});

Deno.test("ValueWriter lets a buffer go that one large message needed", () => {
  const writer = new ValueWriter();
  writer.begin();
  writer.addRaw(new Uint8Array(1_000_000));
  assert(writer.message().buffer.byteLength >= 1_000_000);
  writer.begin();
  writer.add(json(), 1);
  assert(writer.message().buffer.byteLength <= 64 * 1024);
});

/** Notes the size of every Uint8Array that is made of a length. */
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

Deno.test("value reader: asks for a value's bytes as soon as it knows of them, for few on a length alone", () => {
  const { source, reader } = started();
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
  // What is there as a whole needs nothing.
  const asked = expected.length;
  telling.arrive(framed(new Uint8Array(50)));
  assertEquals(reader.next()?.length, 50);
  assertEquals(expected.length, asked);
});
