import {
  assert,
  assertEquals,
  assertNotStrictEquals,
  assertStrictEquals,
} from "@std/assert";
import { BlockPool } from "./block_pool.ts";

const KIB = 1024;

Deno.test("BlockPool.sizeFor: a block has less than twice the bytes", () => {
  for (const bytes of [32 * KIB + 1, 64 * KIB, 64 * KIB + 1, 200 * KIB]) {
    const size = BlockPool.sizeFor(bytes)!;
    assert(size >= bytes && size < 2 * bytes, `${size} for ${bytes}`);
    assert(BlockPool.has(size));
  }
});

Deno.test("BlockPool.sizeFor: there are no small blocks, and none over 256 KiB", () => {
  for (const bytes of [0, 1, 32 * KIB, 256 * KIB + 1]) {
    assertEquals(BlockPool.sizeFor(bytes), undefined);
  }
});

Deno.test("BlockPool.take: blocks that were given are used again, by size", () => {
  const pool = new BlockPool();
  const small = pool.take(64 * KIB);
  const large = pool.take(256 * KIB);
  pool.give(small);
  pool.give(large);
  assertStrictEquals(pool.take(256 * KIB), large);
  assertStrictEquals(pool.take(64 * KIB), small);
  assertNotStrictEquals(pool.take(64 * KIB), small);
});

Deno.test("BlockPool.give: at most 1 MiB is kept", () => {
  const pool = new BlockPool();
  const blocks = Array.from({ length: 6 }, () => pool.take(256 * KIB));
  for (const block of blocks) pool.give(block);
  const again = blocks.map(() => pool.take(256 * KIB));
  assertEquals(again.filter((block) => blocks.includes(block)).length, 4);
});
