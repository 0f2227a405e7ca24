import { assertEquals, assertStrictEquals } from "@std/assert";
import type { ChannelStream } from "./channel_stream.ts";
import { StreamTable } from "./stream_table.ts";

Deno.test("StreamTable: frames reach their streams after 2^32 of them", async () => {
  const first = 2 ** 32 - 2;
  const table = new StreamTable(() => {}, first - 1);
  const streams = Array.from({ length: 4 }, () => {
    const id = table.takeId();
    const own = Promise.resolve();
    const stream = { id, written: () => own } as unknown as ChannelStream;
    table.add(stream);
    return { id, own };
  });
  assertEquals(streams.map(({ id }) => id), [first, first + 1, 1, 2]);
  // One that is in use is left out.
  const again = new StreamTable(() => {});
  again.add({ id: 1 } as unknown as ChannelStream);
  assertEquals(again.takeId(), 2);
  for (const { id, own } of streams) {
    assertStrictEquals(table.written(id), own);
    await own;
  }
});
