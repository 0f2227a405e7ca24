import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { forSeeds } from "../../tests/support/random.ts";
import { concat, framed, utf8 } from "../../tests/support/wire.ts";
import { turn, watch, within } from "../../tests/support/within.ts";
import { CodecError } from "../errors.ts";
import { json, tinyDecoderOf } from "../json.ts";
import { SpareBuffer } from "./value_writer.ts";
import {
  type ByteSource,
  UNLIMITED,
  type ValueMemory,
  ValueReader,
} from "./value_reader.ts";
import { test } from "../../tests/support/harness.ts";

/** A source of these bytes, and of others when the test says so. */
class Source implements ByteSource {
  ended = false;
  failure: unknown;
  taken = 0;
  /** What was announced with `expect()`. */
  readonly expected: number[] = [];
  #pieces: Uint8Array[] = [];
  #waiting: (() => void) | undefined;

  constructor(...pieces: Uint8Array[]) {
    this.arrive(...pieces);
  }

  /** Bytes that were not taken. */
  get length(): number {
    return this.#pieces.reduce((sum, { length }) => sum + length, 0);
  }

  arrive(...pieces: Uint8Array[]): void {
    this.#pieces.push(...pieces.filter((piece) => piece.length > 0));
    this.#notify();
  }

  end(failure?: unknown): void {
    this.ended = true;
    this.failure = failure;
    this.#notify();
  }

  peek(): Uint8Array | undefined {
    return this.#pieces[0];
  }

  get chunk(): Uint8Array | undefined {
    return this.peek();
  }

  readonly chunkStart = 0;

  get chunkEnd(): number {
    return this.peek()?.length ?? 0;
  }

  consume(bytes: number): void {
    const first = this.#pieces[0]!;
    assert(
      bytes <= first.length,
      "more bytes are consumed than peek() returned",
    );
    this.taken += bytes;
    if (bytes === first.length) this.#pieces.shift();
    else this.#pieces[0] = first.subarray(bytes);
  }

  whenReadable(callback: () => void): void {
    if (this.#pieces.length > 0 || this.ended) return callback();
    assert(this.#waiting === undefined, "two callbacks wait");
    this.#waiting = callback;
  }

  cancelWhenReadable(callback: () => void): void {
    if (this.#waiting === callback) this.#waiting = undefined;
  }

  expect(bytes: number): void {
    this.expected.push(bytes);
  }

  #notify(): void {
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

/** Memory of a fixed size, whose waiting takers are served in order. */
class Memory implements ValueMemory {
  left: number;
  readonly largest: number;
  #waiting: { bytes: number; callback: () => void }[] = [];

  constructor(size: number, largest = size) {
    this.left = size;
    this.largest = largest;
  }

  canTake(bytes: number): boolean {
    return bytes <= this.left;
  }

  tryTake(bytes: number): boolean {
    if (bytes > this.left) return false;
    this.left -= bytes;
    return true;
  }

  give(bytes: number): void {
    this.left += bytes;
    const [first] = this.#waiting;
    if (first === undefined || first.bytes > this.left) return;
    this.#waiting.shift();
    this.left -= first.bytes;
    queueMicrotask(first.callback);
  }

  whenFree(bytes: number, callback: () => void): () => void {
    const waiter = { bytes, callback };
    this.#waiting.push(waiter);
    return () => {
      this.#waiting = this.#waiting.filter((other) => other !== waiter);
    };
  }
}

/** The length of a value, and its first `bytes` bytes. */
function begin(size: number, bytes: number): Uint8Array {
  const out = new Uint8Array(4 + bytes);
  new DataView(out.buffer).setUint32(0, size);
  return out;
}

test("ValueReader: takes all of a value's size when its length has arrived, and gives it back with the value", () => {
  const memory = new Memory(100);
  const source = new Source(begin(60, 0));
  const reader = new ValueReader(source, 100, memory);
  assertEquals(reader.next(), undefined);
  assertEquals(memory.left, 40);
  source.arrive(new Uint8Array(60));
  assertEquals(reader.next()?.length, 60);
  assertEquals(memory.left, 100);
});

test("ValueReader: leaves the bytes of a value unread until there is memory for all of it", async () => {
  const memory = new Memory(100);
  const first = new ValueReader(new Source(begin(60, 50)), 100, memory);
  assertEquals(first.next(), undefined);
  const source = new Source(begin(60, 50));
  const second = new ValueReader(source, 100, memory);
  assertEquals(second.next(), undefined);
  let called = 0;
  second.whenReadable(() => called++);
  assertEquals(second.next(), undefined);
  assertEquals([source.length, source.expected], [50, []]);
  assertEquals([memory.left, called], [40, 0]);

  first.release();
  await turn();
  assertEquals([memory.left, called], [40, 1]);
  assertEquals(second.next(), undefined);
  assertEquals([source.length, source.expected.at(-1)], [0, 10]);
  source.arrive(utf8("0123456789"));
  assertEquals(second.next()?.length, 60);
  assertEquals(memory.left, 100);
});

test("ValueReader: a large value that has arrived as a whole waits for memory, too, but takes none", async () => {
  const size = 2_000;
  const memory = new Memory(size);
  memory.tryTake(8);
  const source = new Source(framed(new Uint8Array(size)));
  const reader = new ValueReader(source, size, memory);
  const length = reader.read((bytes) => bytes.length);
  await turn();
  assertEquals(source.length, size);
  memory.give(8);
  assertEquals(await length, size);
  assertEquals(memory.left, size);
  source.arrive(framed(new Uint8Array(size)));
  assertEquals(reader.next()?.length, size);
  assertEquals(memory.left, size);
});

test("ValueReader: a value of up to 1 KiB that has arrived needs no memory", () => {
  const memory = new Memory(-1, 10_000);
  for (const size of [0, 1, 1024]) {
    const source = new Source(framed(new Uint8Array(size)));
    assertEquals(new ValueReader(source, 2_000, memory).next()?.length, size);
  }
  const source = new Source(framed(new Uint8Array(1025)));
  assertEquals(new ValueReader(source, 2_000, memory).next(), undefined);
});

test("ValueReader: a value that could never fit fails", () => {
  const memory = new Memory(100, 50);
  const reader = new ValueReader(new Source(begin(51, 0)), 100, memory);
  const error = assertThrows(
    () => reader.next(),
    CodecError,
    "Cannot read value: its 51 bytes exceed the memory of 50 bytes that a session can have",
  );
  assertEquals(error.code, "too-large");
  assertEquals(memory.left, 100);
});

test("ValueReader.release: gives up waiting for memory, and skips the value", () => {
  const memory = new Memory(10);
  memory.tryTake(10);
  const source = new Source(begin(8, 3));
  const reader = new ValueReader(source, 100, memory);
  assertEquals(reader.next(), undefined);
  reader.whenReadable(() => {
    throw new Error("It has been released");
  });
  reader.release();
  memory.give(10);
  assertEquals(memory.left, 10);
  assertEquals(reader.next(), undefined);
  assertEquals(source.length, 0);
  source.arrive(new Uint8Array([1, 2, 3, 4, 5, ...framed(utf8("next"))]));
  assertEquals(reader.next()?.slice(), utf8("next"));
});

test("ValueReader.cancelWhenReadable: forgets a callback that waits for memory or for bytes", async () => {
  const memory = new Memory(10);
  memory.tryTake(10);
  const source = new Source(begin(8, 0));
  const reader = new ValueReader(source, 100, memory);
  assertEquals(reader.next(), undefined);
  const never = () => {
    throw new Error("It has been cancelled");
  };
  reader.whenReadable(never);
  reader.cancelWhenReadable(never);
  memory.give(10);
  await turn();
  assertEquals(memory.left, 2);
  assertEquals(reader.next(), undefined);
  reader.whenReadable(never);
  reader.cancelWhenReadable(never);
  source.arrive(new Uint8Array(8));
  assertEquals(reader.next()?.length, 8);
});

test("ValueReader: takes the memory of each value from what is set when it begins", () => {
  const [headers, values] = [new Memory(10), new Memory(100)];
  const source = new Source(framed(utf8("header")));
  const reader = new ValueReader(source, 100, headers);
  assertEquals(reader.next()?.length, 6);
  reader.memory = values;
  source.arrive(begin(60, 1));
  assertEquals(reader.next(), undefined);
  reader.memory = headers;
  assertEquals([headers.left, values.left], [10, 40]);
  reader.release();
  assertEquals([headers.left, values.left], [10, 100]);
});

Deno.test("ValueReader: readers that share a spare buffer return what each was sent", () =>
  forSeeds(10, (random) => {
    const spare = new SpareBuffer();
    const readers = Array.from({ length: 3 }, (_, i) => {
      const source = new Source();
      const reader = new ValueReader(source, 3_000_000, UNLIMITED, spare);
      const left = Array.from({ length: 5 }, (_, n) => {
        const size = random.pick([100, 40_000, 70_000, 300_000, 1_200_000]);
        return new Uint8Array(size).fill(i * 5 + n);
      });
      const [...values] = left;
      const bytes = concat(...values.map((value) => framed(value)));
      return { source, reader, bytes, at: 0, left };
    });
    for (;;) {
      const busy = readers.filter(({ left }) => left.length > 0);
      if (busy.length === 0) break;
      const one = random.pick(busy);
      const end = one.at + random.pick([3, 1_000, 50_000, 400_000]);
      // Each piece is lost when the next one arrives, as a socket's is.
      one.source.arrive(one.bytes.slice(one.at, end));
      one.at = end;
      for (;;) {
        const value = one.reader.next();
        if (value === undefined) break;
        const expected = one.left.shift()!;
        assertEquals(value!.length, expected.length);
        assert(value!.every((byte) => byte === expected[0]));
      }
      if (random.pick([true, false, false, false, false, false])) {
        // A reader that gives up leaves its buffer to the others.
        const source = new Source();
        const reader = new ValueReader(source, 3_000_000, UNLIMITED, spare);
        source.arrive(prefix(100_000), new Uint8Array(50_000).fill(255));
        assertEquals(reader.next(), undefined);
        reader.release();
      }
    }
  }));

Deno.test("ValueReader: a large value is read into the buffer of the one before, of another reader", () => {
  const spare = new SpareBuffer();
  const buffers = [1, 2].map((fill) => {
    const source = new Source();
    const reader = new ValueReader(source, undefined, UNLIMITED, spare);
    const value = new Uint8Array(500_000).fill(fill);
    const bytes = framed(value);
    source.arrive(bytes.subarray(0, 10), bytes.subarray(10));
    const read = reader.next()!;
    assertEquals(read, value);
    return read.buffer;
  });
  assertStrictEquals(buffers[1], buffers[0]);
});
