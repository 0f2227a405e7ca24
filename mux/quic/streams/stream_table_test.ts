import { assertEquals, assertStrictEquals } from "@std/assert";
import { ChannelIds } from "../../table/channel_map.ts";
import type { ChannelStream } from "./channel_stream.ts";
import { StreamTable } from "./stream_table.ts";

Deno.test("StreamTable: frames reach their streams after 2^32 of them", async () => {
  const first = 2 ** 32 - 2;
  const table = new StreamTable(() => {}, new ChannelIds(first));
  const streams = Array.from({ length: 4 }, () => {
    const id = table.takeId();
    const own = Promise.resolve();
    const stream = { id, written: () => own } as unknown as ChannelStream;
    table.add(stream);
    return { id, own };
  });
  assertEquals(streams.map(({ id }) => id), [first, first + 1, 0, 1]);
  for (const { id, own } of streams) {
    assertStrictEquals(table.written(id), own);
    await own;
  }
});
