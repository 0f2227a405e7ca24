import { assert, assertEquals } from "@std/assert";
import { ChannelIds } from "./channel_ids.ts";

const NONE = new Set<number>();

Deno.test("ChannelIds: count up from 0, even if none is in use", () => {
  const ids = new ChannelIds();
  assertEquals([1, 2, 3].map(() => ids.take(NONE)), [0, 1, 2]);
});

Deno.test("ChannelIds: an ID was assigned once it was taken", () => {
  const ids = new ChannelIds();
  assert(!ids.wasAssigned(0));
  ids.take(NONE);
  assert(ids.wasAssigned(0));
  assert(!ids.wasAssigned(1));
});

Deno.test("ChannelIds: wrap after 2^32 - 1", () => {
  const ids = new ChannelIds(2 ** 32 - 2);
  assertEquals(
    [1, 2, 3, 4].map(() => ids.take(NONE)),
    [2 ** 32 - 2, 2 ** 32 - 1, 0, 1],
  );
});

Deno.test("ChannelIds: skip IDs in use after they have wrapped", () => {
  const ids = new ChannelIds(2 ** 32 - 1);
  const inUse = new Set([0, 1, 3, 2 ** 32 - 1]);
  // The highest one is in use since before.
  assertEquals(ids.take(NONE), 2 ** 32 - 1);
  assertEquals([1, 2].map(() => ids.take(inUse)), [2, 4]);
});

Deno.test("ChannelIds: every ID counts as assigned after they have wrapped", () => {
  const ids = new ChannelIds(2 ** 32 - 1);
  assert(!ids.wasAssigned(2 ** 32 - 1));
  ids.take(NONE);
  for (const id of [0, 7, 2 ** 32 - 1]) assert(ids.wasAssigned(id));
});
