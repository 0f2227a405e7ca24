import { assertEquals } from "@std/assert";
import { forSeeds } from "../tests/support/random.ts";
import { HashSet } from "./hash_set.ts";

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
