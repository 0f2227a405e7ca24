import {
  assert,
  assertEquals,
  assertLess,
  assertStrictEquals,
} from "@std/assert";
import { ChannelIds, ChannelMap } from "./channel_map.ts";
import { forSeeds } from "../../tests/support/random.ts";

const NONE = new Map<number, unknown>();

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
  const inUse = new Map([0, 1, 3, 2 ** 32 - 1].map((id) => [id, id]));
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

Deno.test("ChannelMap: has the same items as a Map after any sequence", async () => {
  await forSeeds(50, (random) => {
    const map = new ChannelMap<{ id: number }>();
    const model = new Map<number, { id: number }>();
    const base = random.pick([0, 2 ** 31 - 50, 2 ** 32 - 300]);
    const spread = random.pick([20, 300]);
    for (let i = 0; i < 2_000; i++) {
      const id = (base + random.int(0, spread - 1)) >>> 0;
      if (!model.has(id) && random.chance(0.6)) {
        const item = { id };
        model.set(id, item);
        map.add(item);
      } else {
        model.delete(id);
        map.delete(id);
      }
      assertStrictEquals(map.get(id), model.get(id));
      assertEquals(map.size, model.size);
    }
    for (let i = 0; i < spread; i++) {
      const id = (base + i) >>> 0;
      assertStrictEquals(map.get(id), model.get(id));
    }
    assertEquals(new Set(map.values()), new Set(model.values()));
  });
});

/** The mean number of items that a map compares to find an ID to be absent. */
function comparisons(present: number[], absent: number[]): number {
  let compared = 0;
  const counting: ProxyHandler<Uint32Array> = {
    // Every comparison reads an ID.
    get(ids, index) {
      compared++;
      return Reflect.get(ids, index);
    },
    set: (ids, index, id) => Reflect.set(ids, index, id),
  };
  const { Uint32Array } = globalThis;
  globalThis.Uint32Array = new Proxy(Uint32Array, {
    construct: (made, [length]) => new Proxy(new made(length), counting),
  });
  try {
    const map = new ChannelMap<{ id: number }>();
    for (const id of present) map.add({ id });
    compared = 0;
    for (const id of absent) map.get(id);
  } finally {
    globalThis.Uint32Array = Uint32Array;
  }
  return compared / absent.length;
}

Deno.test("ChannelMap: finds an ID to be absent after a few comparisons", () => {
  const even = Array.from({ length: 10_000 }, (_, i) => 2 * i);
  assertLess(comparisons(even, even.map((id) => id + 1)), 4);
});

Deno.test("ChannelMap: no choice of IDs makes searches long", () => {
  // The IDs that a peer would keep open if it knew a fixed way to scatter them.
  const near: number[] = [];
  for (let id = 0; near.length < 2_200; id++) {
    if (Math.imul(id, 0x9e3779b1) >>> 20 < 64) near.push(id);
  }
  assertLess(comparisons(near.slice(0, 2_000), near.slice(2_000)), 20);
});
