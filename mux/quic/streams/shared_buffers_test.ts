import { assertEquals, assertLessOrEqual } from "@std/assert";
import { FrameQueue } from "../../wire/frame_queue.ts";
import { SharedBuffers } from "./shared_buffers.ts";

/** A stream's queue, and the buffers in which it has written. */
function queueWith(buffers: SharedBuffers) {
  const used: ArrayBufferLike[] = [];
  const queue = new FrameQueue({
    write: ({ buffer }) => {
      used.push(buffer);
      return Promise.resolve();
    },
    onError() {},
    maxQueuedReplySize: 1024,
    buffers,
  });
  return { queue, used };
}

Deno.test("SharedBuffers: streams that write in turn use the same large buffer", async () => {
  const buffers = new SharedBuffers();
  const all = new Set<ArrayBufferLike>();
  for (let i = 0; i < 10; i++) {
    const { queue, used } = queueWith(buffers);
    queue.eof(0);
    queue.data(0, new Uint8Array(65 * 1024));
    await queue.idle();
    all.add(used[0]!);
  }
  assertEquals([...all].map(({ byteLength }) => byteLength), [68 * 1024]);
});

Deno.test("SharedBuffers: a stream keeps a small buffer, and no larger one", async () => {
  const { queue, used } = queueWith(new SharedBuffers());
  for (const size of [100, 100, 10_000, 10_000]) {
    queue.data(0, new Uint8Array(size));
    await queue.idle();
  }
  assertEquals(used[0], used[1]);
  assertEquals(new Set(used).size, 3);
});

Deno.test("SharedBuffers: a buffer that grows keeps what is in it, and one of any size is made", () => {
  const buffers = new SharedBuffers();
  let buffer = new Uint8Array(0);
  for (let size = 1; size <= 200_000; size *= 3) {
    buffer = buffers.grow(buffer, buffer.length > 0 ? 1 : 0, size);
    if (size === 1) buffer[0] = 42;
    assertEquals([buffer[0], buffer.length >= size], [42, true]);
  }
});

Deno.test("SharedBuffers: no more than sixteen are kept", () => {
  const buffers = new SharedBuffers();
  const used = Array.from(
    { length: 20 },
    () => buffers.grow(new Uint8Array(0), 0, 20_000),
  );
  for (const buffer of used) buffers.exchange(buffer);
  const again = Array.from(
    { length: 20 },
    () => buffers.grow(new Uint8Array(0), 0, 20_000),
  );
  assertEquals(again.filter((buffer) => used.includes(buffer)).length, 16);
});

Deno.test("SharedBuffers: a small write that stalls keeps no large buffer", () => {
  const buffers = new SharedBuffers();
  const large = buffers.grow(new Uint8Array(0), 0, 20_000);
  buffers.exchange(large);
  const small = buffers.grow(new Uint8Array(0), 0, 2_000);
  assertLessOrEqual(small.length, 4_000);
});
