import { assert, assertEquals } from "@std/assert";
import { ChannelIds } from "./channel_ids.ts";

const NONE = new Set<number>();

Deno.test("channel ids: they go up from 0, though none is live any more", () => {
  const ids = new ChannelIds();
  assertEquals([1, 2, 3].map(() => ids.take(NONE)), [0, 1, 2]);
});

Deno.test("channel ids: a number was given if it was taken, and not before", () => {
  const ids = new ChannelIds();
  assert(!ids.wasGiven(0));
  ids.take(NONE);
  assert(ids.wasGiven(0));
  assert(!ids.wasGiven(1));
});

Deno.test("channel ids: past 2^32 - 1 they begin anew", () => {
  const ids = new ChannelIds(2 ** 32 - 2);
  assertEquals(
    [1, 2, 3, 4].map(() => ids.take(NONE)),
    [2 ** 32 - 2, 2 ** 32 - 1, 0, 1],
  );
});

Deno.test("channel ids: begun anew they pass over those that live", () => {
  const ids = new ChannelIds(2 ** 32 - 1);
  const live = new Set([0, 1, 3, 2 ** 32 - 1]);
  // The highest is live since before: it was taken in the first round.
  assertEquals(ids.take(NONE), 2 ** 32 - 1);
  assertEquals([1, 2].map(() => ids.take(live)), [2, 4]);
});

Deno.test("channel ids: begun anew, every number may have had a channel", () => {
  const ids = new ChannelIds(2 ** 32 - 1);
  assert(!ids.wasGiven(2 ** 32 - 1));
  ids.take(NONE);
  for (const id of [0, 7, 2 ** 32 - 1]) assert(ids.wasGiven(id));
});
