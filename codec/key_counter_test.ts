import { assertEquals, assertLess } from "@std/assert";
import { forSeeds } from "../tests/support/random.ts";
import { utf8 } from "../tests/support/wire.ts";
import { HashSet, KeyCounter, type KeyItems } from "./key_counter.ts";

const ITEMS: KeyItems = {
  known: 1,
  firstNew: 1_000,
  nextNew: 100,
  ofMany: 10,
  manyKeys: 8,
  index: 20,
  oneByOne: true,
};

/** Counts the keys of one object after another at a depth. */
function itemsOf(
  objects: readonly (readonly (string | number)[])[],
  items: Partial<KeyItems> = {},
): number[][] {
  const counter = new KeyCounter({ ...ITEMS, ...items }, 4);
  counter.begin();
  return objects.map((keys) => {
    counter.open(1);
    return keys.map((key) => {
      if (typeof key === "number") return counter.integer(1, key);
      const bytes = utf8(`<${key}>`);
      return counter.text(1, bytes, 1, bytes.length - 1);
    });
  });
}

Deno.test("KeyCounter: a key is known after the same keys only", () => {
  assertEquals(
    itemsOf([
      ["a", "b", "c"],
      ["a", "b", "c"],
      ["a", "c", "b"],
      ["b"],
      ["a", "c", "d", "e"],
      ["ab", "c"],
      ["a", "bc"],
      ["", ""],
      ["", ""],
    ]),
    [
      [1_000, 100, 100],
      [1, 1, 1],
      [1, 1_000, 100],
      [1_000],
      [1, 1, 1_000, 100],
      [1_000, 100],
      [1, 1_000],
      [1_000, 100],
      [1, 1],
    ],
  );
});

Deno.test("KeyCounter: integers are told apart, too", () => {
  assertEquals(
    itemsOf([[-1, -2], [-1, -2], [-2], [-1, -2 - 2 ** 32], [-(2 ** 40)]]),
    [[1_000, 100], [1, 1], [1_000], [1, 1_000], [1_000]],
  );
});

Deno.test("KeyCounter: large integers whose halves have the same sum are told apart", () => {
  const keys = Array.from({ length: 1_000 }, (_, i) => (i + 1) * 2 ** 32 - i);
  const items = itemsOf(keys.map((key) => [key]), { index: 0 });
  assertEquals(items.filter(([first]) => first !== 1_000), []);
});

Deno.test("KeyCounter: keys with numbers in them are told apart, also with nearly all unlucky seeds", () => {
  const forms = [
    (i: number) => `k${i}`,
    (i: number) => `${10_000 + i}`,
    (i: number) => `item-${i}-id`,
    (i: number) => `key${100_000 + i * 7}`,
  ].map((form) => Array.from({ length: 4_000 }, (_, i) => utf8(form(i))));
  return forSeeds(5, (random) => {
    // Factors that differ by one from a multiple of a large power of 2. One in 500 of
    // these confuses more than a few keys.
    const confusing = Array.from({ length: 10 }, () => {
      const power = 2 ** random.int(8, 14);
      const most = 2 ** 32 / power - 1;
      const near = random.int(Math.ceil(most / 8), Math.floor(most * 7 / 8));
      return (near * power + random.pick([1, -1])) / 2 ** 32;
    }).filter((seed) =>
      forms.some((keys) => {
        const counter = new KeyCounter(ITEMS, 1, seed);
        counter.begin();
        const known = keys.filter((key) => {
          counter.open(1);
          return counter.text(1, key, 0, key.length) === ITEMS.known;
        });
        return known.length >= 10;
      })
    );
    assertLess(confusing.length, 3, `seeds ${confusing}`);
  });
});

Deno.test("KeyCounter: objects at other depths do not disturb one another", () => {
  const counter = new KeyCounter(ITEMS, 4);
  const key = (depth: number, text: string) =>
    counter.text(depth, utf8(text), 0, text.length);
  counter.begin();
  counter.open(1);
  assertEquals(key(1, "a"), 1_000);
  counter.open(2);
  assertEquals(key(2, "a"), 1);
  assertEquals(key(2, "b"), 1_000);
  assertEquals(key(1, "b"), 1, "it is known from the object inside");
  assertEquals(key(1, "c"), 100);
});

Deno.test("KeyCounter: each value begins anew", () => {
  const counter = new KeyCounter(ITEMS, 4);
  for (let i = 0; i < 3; i++) {
    counter.begin();
    let items = 0;
    for (let j = 0; j < 500; j++) {
      counter.open(1);
      const bytes = utf8(`key${j}`);
      items += counter.text(1, bytes, 0, bytes.length);
    }
    assertEquals(items, 500_000);
  }
});

Deno.test("KeyCounter: all keys of an object with many count more", () => {
  const keys = [..."abcdefghij"];
  const [, few, many] = itemsOf([keys, keys.slice(0, 7), keys]);
  assertEquals(few, [1, 1, 1, 1, 1, 1, 1]);
  assertEquals(many, [1, 1, 1, 1, 1, 1, 1, 1 + 8 * 10, 11, 11]);
});

Deno.test("KeyCounter: an index counts what the array for it takes", () => {
  const room = (index: number) => index + 1 + ((index + 1) >> 1) + 16;
  const items = (from: number, to: number) => Math.ceil((to - from) / 4);
  // Each twice, so that the keys are known.
  const cases: [(string | number)[], number[]][] = [
    [["0"], [items(0, room(0))]],
    [[7], [items(0, room(7))]],
    [["1023"], [items(0, room(1_023))]],
    // What is farther away than an array may grow at once is in a table.
    [["1024"], [0]],
    [[4_999, 0], [0, 0]],
    [[1_023, 2_000], [
      items(0, room(1_023)),
      items(room(1_023), room(2_000)),
    ]],
    // Within the array, there is nothing more to pay for.
    [[100, 3, 101], [items(0, room(100)), 0, 0]],
    // An array of that size is not made for a few.
    [[1_023, 2_300, 3_400], [
      items(0, room(1_023)),
      items(room(1_023), room(2_300)),
      0,
    ]],
    [["99999999999"], [0]],
    [["4294967296"], [0]],
  ];
  for (const [keys, more] of cases) {
    const [, again] = itemsOf([keys, keys]);
    assertEquals(again, more.map((items) => 1 + 20 + items), String(keys));
    const [, atOnce] = itemsOf([keys, keys], { oneByOne: false });
    assertEquals(atOnce, more.map(() => 1 + 20), String(keys));
  }
});

Deno.test("KeyCounter: what is no index does not count as one", () => {
  const keys = ["1a", "-1", "1.5", "", "a1"];
  const [, again] = itemsOf([keys, keys]);
  // A key that begins with a digit is in a table if it is no index.
  assertEquals(again, [21, 1, 21, 1, 1]);
  const [, negative] = itemsOf([[-5], [-5]]);
  assertEquals(negative, [1]);
});

Deno.test("HashSet.add: a hash is new once, until the set is cleared", () =>
  forSeeds(20, (random) => {
    const set = new HashSet();
    for (let round = 0; round < 3; round++) {
      const seen = new Set<number>();
      for (let i = 0; i < 2_000; i++) {
        const hash = set.hash(random.int(-700, 700));
        assertEquals(set.add(hash), !seen.has(hash));
        seen.add(hash);
      }
      set.clear();
    }
  }));

Deno.test("HashSet.hash: different numbers have different hashes, which are not 0", () => {
  const set = new HashSet();
  const hashes = new Set<number>();
  for (let i = -50_000; i < 50_000; i++) hashes.add(set.hash(i));
  assertEquals(hashes.size, 100_000);
  assertEquals(hashes.has(0), false);
});

Deno.test("HashSet.hash: sets do not agree on hashes", () => {
  const sets = [new HashSet(), new HashSet(), new HashSet()];
  assertEquals(new Set(sets.map((set) => set.hash(12_345))).size > 1, true);
});
