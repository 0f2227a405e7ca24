import {
  assert,
  assertEquals,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { prefix, Source } from "../../tests/support/byte_source.ts";
import { forSeeds } from "../../tests/support/random.ts";
import { concat, framed, utf8 } from "../../tests/support/wire.ts";
import { turn } from "../../tests/support/within.ts";
import { CodecError } from "../errors.ts";
import { SpareBuffer } from "./value_writer.ts";
import { UNLIMITED, type ValueMemory, ValueReader } from "./value_reader.ts";
import { test } from "../../tests/support/harness.ts";

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
