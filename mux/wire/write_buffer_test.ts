import { assertEquals, assertStrictEquals } from "@std/assert";
import { BufferRetention, growBuffer } from "./write_buffer.ts";

Deno.test("growBuffer: doubles until the bytes fit, and keeps those used", () => {
  const first = growBuffer(new Uint8Array(0), 0, 1);
  assertEquals(first.length, 256);
  first.fill(7);
  const grown = growBuffer(first, 3, 1_025);
  assertEquals(grown.length, 2_048);
  assertEquals([...grown.subarray(0, 5)], [7, 7, 7, 0, 0]);
});

Deno.test("BufferRetention: releases a large buffer after 64 small writes in a row", () => {
  const retention = new BufferRetention();
  const large = new Uint8Array(4_096);
  for (let i = 0; i < 63; i++) {
    assertStrictEquals(retention.retain(large, 1_024), large);
  }
  assertEquals(retention.retain(large, 1_024).length, 256);
});

Deno.test("BufferRetention: a large write in between keeps the buffer", () => {
  const retention = new BufferRetention();
  const large = new Uint8Array(4_096);
  for (let i = 0; i < 200; i++) {
    const written = i % 50 === 0 ? 1_025 : 1;
    assertStrictEquals(retention.retain(large, written), large);
  }
});

Deno.test("BufferRetention: keeps a small buffer", () => {
  const retention = new BufferRetention();
  const small = new Uint8Array(256);
  for (let i = 0; i < 100; i++) {
    assertStrictEquals(retention.retain(small, 1), small);
  }
});
