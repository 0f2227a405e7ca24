import {
  assert,
  assertEquals,
  assertGreater,
  assertGreaterOrEqual,
  assertLessOrEqual,
  assertNotStrictEquals,
  assertStrictEquals,
} from "@std/assert";
import { movedBy } from "../../tests/support/moved.ts";
import { forSeeds } from "../../tests/support/random.ts";
import { concat, text, utf8 } from "../../tests/support/wire.ts";
import { BlockPool, ReceiveBuffer } from "./receive_buffer.ts";

/** Bytes of the largest block of a pool. */
const BLOCK = 64 * 1024;
/** Bytes of spare room at most. */
const SPARE = 16 * 1024;

/** Takes all chunks. */
function drain(buffer: ReceiveBuffer): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (;;) {
    const chunk = buffer.take();
    if (chunk === undefined) return chunks;
    chunks.push(chunk);
  }
}

Deno.test("ReceiveBuffer: what reads an empty one does not change it, as all channels share one", () => {
  const shared = new ReceiveBuffer();
  assertEquals(shared.consume(5), 0);
  assertEquals(shared.take(), undefined);
  assertEquals(shared.peek(), undefined);
  assertEquals(shared.clear(), 0);
  shared.own();
  const { length, heldBytes, chunk, start, end } = shared;
  assertEquals([length, heldBytes, chunk, start, end], [0, 0, undefined, 0, 0]);
});

/** Bytes of memory that these chunks keep alive: each of their buffers, once. */
function alive(chunks: Uint8Array[]): number {
  const buffers = new Set(chunks.map((chunk) => chunk.buffer));
  return [...buffers].reduce((sum, { byteLength }) => sum + byteLength, 0);
}

Deno.test("ReceiveBuffer: has nothing to peek at or to take when empty", () => {
  const buffer = new ReceiveBuffer();
  assertEquals(buffer.length, 0);
  assertEquals(buffer.peek(), undefined);
  assertEquals(buffer.take(), undefined);
  assertEquals(buffer.clear(), 0);
  buffer.own();
  assertEquals(buffer.length, 0);
});

Deno.test("ReceiveBuffer: returns bytes in order, borrowed or owned", () => {
  const buffer = new ReceiveBuffer();
  buffer.borrow(utf8("one "));
  buffer.own();
  buffer.borrow(utf8("two "));
  buffer.borrow(utf8("three"));
  assertEquals(buffer.length, 13);
  assertEquals(text(concat(...drain(buffer))), "one two three");
  assertEquals(buffer.length, 0);
});

Deno.test("ReceiveBuffer: peek() returns a borrowed piece without a copy", () => {
  const buffer = new ReceiveBuffer();
  const piece = utf8("piece");
  buffer.borrow(piece);
  assertStrictEquals(buffer.peek()!.buffer, piece.buffer);
});

Deno.test("ReceiveBuffer: owned bytes outlive the transport's buffer", () => {
  const buffer = new ReceiveBuffer();
  const transport = utf8("transport");
  buffer.borrow(transport.subarray(0, 5));
  buffer.borrow(transport.subarray(5));
  buffer.own();
  transport.fill(0);
  assertEquals(text(concat(...drain(buffer))), "transport");
});

Deno.test("ReceiveBuffer: take() copies all borrowed pieces into one chunk", () => {
  const buffer = new ReceiveBuffer();
  const transport = utf8("abcdef");
  for (let i = 0; i < 6; i++) buffer.borrow(transport.subarray(i, i + 1));
  const chunk = buffer.take()!;
  transport.fill(0);
  assertEquals(text(chunk), "abcdef");
  assertEquals(buffer.take(), undefined);
});

Deno.test("ReceiveBuffer: consume() drops bytes from the front", () => {
  const buffer = new ReceiveBuffer();
  buffer.borrow(utf8("settled"));
  buffer.own();
  buffer.borrow(utf8("borrowed"));
  buffer.consume(3);
  assertEquals(text(buffer.peek()!), "tled");
  assertEquals(buffer.length, 12);
  buffer.consume(4);
  assertEquals(text(buffer.peek()!), "borrowed");
  buffer.consume(2);
  assertEquals(text(buffer.peek()!), "rrowed");
  buffer.own();
  assertEquals(text(buffer.take()!), "rrowed");
  assertEquals(buffer.length, 0);
});

Deno.test("ReceiveBuffer: consumed bytes count as held until their block is half read", () => {
  const buffer = new ReceiveBuffer();
  buffer.borrow(new Uint8Array(100));
  buffer.own();
  assertEquals(buffer.consume(49), 0);
  assertEquals([buffer.length, buffer.heldBytes], [51, 100]);
  assertEquals(buffer.consume(1), 50);
  assertEquals([buffer.length, buffer.heldBytes], [50, 50]);
  assertEquals(buffer.consume(10), 0);
  buffer.borrow(new Uint8Array(7));
  assertEquals(buffer.consume(40), 50);
  assertEquals([buffer.length, buffer.heldBytes], [7, 7]);
  // What is borrowed is the transport's: read is read.
  assertEquals(buffer.consume(3), 3);
  assertEquals(buffer.clear(), 4);
});

Deno.test("ReceiveBuffer: clear() drops everything and returns how much it was", () => {
  const buffer = new ReceiveBuffer();
  buffer.borrow(utf8("settled"));
  buffer.own();
  buffer.borrow(utf8("borrowed"));
  buffer.consume(1);
  // The byte that was read was held all the same: its block was.
  assertEquals(buffer.clear(), 15);
  assertEquals(buffer.length, 0);
  assertEquals(buffer.peek(), undefined);
  buffer.own();
  assertEquals(buffer.take(), undefined);
  buffer.borrow(utf8("new"));
  assertEquals(text(buffer.take()!), "new");
});

Deno.test("ReceiveBuffer: a chunk from take() has a buffer of its own", () => {
  const buffer = new ReceiveBuffer();
  const taken: Uint8Array[] = [];
  for (let i = 0; i < 200; i++) {
    buffer.borrow(Uint8Array.of(i));
    buffer.own();
    // Some are taken while their block still has spare room.
    if (i % 7 === 0) taken.push(buffer.take()!);
  }
  taken.push(...drain(buffer));
  assertEquals(
    new Set(taken.map((chunk) => chunk.buffer)).size,
    taken.length,
  );
  assertEquals(concat(...taken), Uint8Array.from({ length: 200 }, (_, i) => i));
});

Deno.test("ReceiveBuffer: transferring a chunk from take() does not affect others", () => {
  const buffer = new ReceiveBuffer();
  for (const word of ["a", "b", "c"]) {
    buffer.borrow(utf8(word));
    buffer.own();
  }
  const first = buffer.take()!;
  structuredClone(first, { transfer: [first.buffer] });
  assertEquals(first.length, 0);
  assertEquals(text(concat(...drain(buffer))), "bc");
});

Deno.test("ReceiveBuffer: 1-byte pieces of large reads keep at most 16 KiB more alive", () => {
  const buffer = new ReceiveBuffer();
  const total = 64 * 1024;
  for (let i = 0; i < total; i++) {
    // Each lies alone in a read of 64 KiB: 4 GiB if the reads were kept.
    buffer.borrow(new Uint8Array(64 * 1024).subarray(i, i + 1));
    buffer.own();
  }
  const chunks = drain(buffer);
  assertEquals(concat(...chunks).length, total);
  assertLessOrEqual(alive(chunks), total + SPARE);
  // One allocation for many pieces, or the bookkeeping would outweigh them.
  assertLessOrEqual(chunks.length, 32);
});

Deno.test("ReceiveBuffer: a piece that exceeds the spare room fills it first", () => {
  const buffer = new ReceiveBuffer();
  for (let i = 0; i < 100; i++) {
    buffer.borrow(new Uint8Array(i % 2 === 0 ? SPARE : 1));
    buffer.own();
  }
  const held = buffer.length;
  assertLessOrEqual(alive(drain(buffer)), held + SPARE);
});

Deno.test("ReceiveBuffer: pieces of any sizes keep at most 16 KiB more alive", async () => {
  await forSeeds(40, (random) => {
    const pooled = random.chance(0.5);
    const buffer = new ReceiveBuffer(pooled ? new BlockPool() : undefined);
    const expected: Uint8Array[] = [];
    const out: Uint8Array[] = [];
    const largest = random.pick([1, 10, 1_000, 20_000, 200_000]);
    const copied = (bytes: Uint8Array) => out.push(bytes.slice());
    for (let step = 0; step < 200; step++) {
      switch (random.int(0, 4)) {
        case 0:
        case 1: {
          const piece = random.bytes(random.int(1, largest));
          expected.push(piece.slice());
          buffer.borrow(piece);
          if (random.chance(0.5)) break;
          buffer.own();
          piece.fill(0xee);
          break;
        }
        case 2:
          buffer.own();
          break;
        case 3: {
          const peeked = buffer.peek();
          if (peeked === undefined) break;
          const bytes = random.int(0, peeked.length);
          copied(peeked.subarray(0, bytes));
          buffer.consume(bytes);
          break;
        }
        case 4: {
          // Once chunks are taken, the blocks of the pool are not used any more.
          if (pooled) break;
          const chunk = buffer.take();
          if (chunk !== undefined) copied(chunk);
        }
      }
      const gone = out.reduce((sum, { length }) => sum + length, 0);
      const come = expected.reduce((sum, { length }) => sum + length, 0);
      assertEquals(buffer.length, come - gone);
    }
    buffer.own();
    const held = buffer.length;
    const heldBytes = buffer.heldBytes;
    const partly = buffer.peek()?.byteOffset ?? 0;
    const left = drain(buffer);
    if (held > 0) assertGreater(left.length, 0);
    // Of a block that could be of a pool, take() copies what was used.
    assertGreaterOrEqual(heldBytes, alive(left));
    const read = pooled ? BLOCK : partly;
    assertLessOrEqual(heldBytes, 2 * held + read + SPARE);
    assertEquals(buffer.heldBytes, 0);
    // What was skipped of the first chunk lives until the rest of it goes.
    assertLessOrEqual(alive(left), held + partly + SPARE);
    assert(left.every((chunk) => chunk.length > 0));
    assertEquals(concat(...out, ...left), concat(...expected));
  });
});

const KIB = 1024;
/** A piece that a pool has blocks for. */
const LARGE = 50 * KIB;

Deno.test("ReceiveBuffer: blocks of a pool are used again when they are read", () => {
  const buffer = new ReceiveBuffer(new BlockPool());
  const buffers = new Set<ArrayBufferLike>();
  for (let i = 0; i < 10; i++) {
    buffer.borrow(new Uint8Array(LARGE).fill(i));
    buffer.own();
    const bytes = buffer.peek()!;
    buffers.add(bytes.buffer);
    assert(bytes.every((byte) => byte === i));
    // Nothing is released before all of it is read.
    assertEquals(buffer.consume(LARGE - 1), 0);
    assertEquals(buffer.heldBytes, 64 * KIB);
    assertEquals(buffer.consume(1), LARGE);
    assertEquals(buffer.heldBytes, 0);
  }
  assertEquals(buffers.size, 1);
});

Deno.test("ReceiveBuffer: a large piece is divided into blocks of a pool", () => {
  const buffer = new ReceiveBuffer(new BlockPool());
  const bytes = Uint8Array.from({ length: 150 * KIB }, (_, i) => i);
  buffer.borrow(bytes);
  buffer.own();
  assertEquals(buffer.heldBytes, (64 + 64 + 32) * KIB);
  assertEquals(concat(...drain(buffer)), bytes);
});

Deno.test("ReceiveBuffer: a block of a pool is at most half of the window", () => {
  for (const [coming, expected] of [[0, 16], [31, 16], [32, 32]] as const) {
    const buffer = new ReceiveBuffer(new BlockPool());
    buffer.borrow(new Uint8Array(32 * KIB));
    buffer.own(coming * KIB);
    assertEquals(buffer.peek()!.length, expected * KIB);
    assertEquals(buffer.heldBytes, 32 * KIB);
  }
});

Deno.test("ReceiveBuffer: a block of a pool takes no more than can still arrive", () => {
  for (const [coming, expected] of [[13, 50], [14, 64]] as const) {
    const buffer = new ReceiveBuffer(new BlockPool());
    buffer.borrow(new Uint8Array(128 * KIB));
    buffer.own();
    buffer.borrow(new Uint8Array(LARGE));
    buffer.own(coming * KIB);
    assertEquals(buffer.heldBytes, (128 + expected) * KIB);
  }
});

Deno.test("ReceiveBuffer: a chunk that is taken has no bytes of others after it", () => {
  const pool = new BlockPool();
  const other = new ReceiveBuffer(pool);
  other.borrow(new Uint8Array(64 * KIB).fill(0xee));
  other.own();
  other.consume(64 * KIB);
  const buffer = new ReceiveBuffer(pool);
  buffer.borrow(new Uint8Array(LARGE).fill(1));
  buffer.own();
  buffer.consume(10);
  const chunk = buffer.take()!;
  assertEquals([chunk.byteOffset, chunk.length], [10, LARGE - 10]);
  assert(!new Uint8Array(chunk.buffer).includes(0xee));
});

Deno.test("ReceiveBuffer: moves each piece a few times at most, borrowed or owned", () => {
  const movedFor = (count: number, own: boolean) =>
    movedBy(() => {
      const buffer = new ReceiveBuffer();
      const piece = new Uint8Array(own ? SPARE : 1);
      for (let i = 0; i < count; i++) {
        buffer.borrow(piece);
        if (own) buffer.own();
      }
      for (let next = buffer.peek(); next !== undefined; next = buffer.peek()) {
        buffer.consume(next.length);
      }
    });
  for (const count of [1_000, 10_000]) {
    assertLessOrEqual(movedFor(count, false), 4 * count);
    assertLessOrEqual(movedFor(count, true), 2 * count * SPARE);
  }
});

Deno.test("BlockPool.sizeFor: a block has less than twice the bytes", () => {
  for (const bytes of [4 * KIB + 1, 8 * KIB, 8 * KIB + 1, 50 * KIB]) {
    const size = BlockPool.sizeFor(bytes)!;
    assert(size >= bytes && size < 2 * bytes, `${size} for ${bytes}`);
    assert(BlockPool.has(size));
  }
});

Deno.test("BlockPool.sizeFor: a block has 8 to 64 KiB", () => {
  for (const bytes of [0, 1, 4 * KIB]) {
    assertEquals(BlockPool.sizeFor(bytes), undefined);
  }
  for (const bytes of [64 * KIB, 64 * KIB + 1, 256 * KIB + 1]) {
    assertEquals(BlockPool.sizeFor(bytes), 64 * KIB);
  }
});

Deno.test("BlockPool.sizeFor: a block has no more bytes than it may", () => {
  assertEquals(BlockPool.sizeFor(50 * KIB, 33 * KIB), 32 * KIB);
  assertEquals(BlockPool.sizeFor(50 * KIB, 8 * KIB - 1), undefined);
});

Deno.test("BlockPool.take: blocks that were given are used again, by size", () => {
  const pool = new BlockPool();
  const small = pool.take(8 * KIB);
  const large = pool.take(64 * KIB);
  pool.give(small);
  pool.give(large);
  assertStrictEquals(pool.take(64 * KIB), large);
  assertStrictEquals(pool.take(8 * KIB), small);
  assertNotStrictEquals(pool.take(8 * KIB), small);
});

Deno.test("BlockPool.give: at most 1 MiB is kept, the latest blocks", () => {
  const pool = new BlockPool();
  const taken = (count: number, size: number) =>
    Array.from({ length: count }, () => pool.take(size));
  const small = taken(128, 8 * KIB);
  const large = taken(20, 64 * KIB);
  for (const block of [...small, ...large]) pool.give(block);
  const again = [...taken(20, 64 * KIB), ...taken(128, 8 * KIB)];
  const kept = again.filter((block) =>
    small.includes(block) || large.includes(block)
  );
  assertEquals(new Set(kept), new Set(large.slice(4)));
});
