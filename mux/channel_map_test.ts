import { assertEquals, assertLess, assertStrictEquals } from "@std/assert";
import { forSeeds } from "../tests/support/random.ts";
import { ChannelMap } from "./channel_map.ts";

Deno.test("channel map: finds what is there, as a Map does, whatever came and went", async () => {
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
      assertEquals(map.has(id), model.has(id));
    }
    assertEquals(new Set(map.values()), new Set(model.values()));
  });
});

Deno.test("channel map: numbers that are not there are not looked for among all that are", () => {
  // Each comparison reads the number of an item.
  let compared = 0;
  class Item {
    readonly #id: number;
    constructor(id: number) {
      this.#id = id;
    }
    get id(): number {
      compared++;
      return this.#id;
    }
  }
  const map = new ChannelMap<Item>();
  const count = 10_000;
  for (let i = 0; i < count; i++) map.add(new Item(2 * i));
  compared = 0;
  for (let i = 0; i < count; i++) map.get(2 * i + 1);
  assertLess(compared, 4 * count);
});
