import { assertEquals, assertThrows } from "@std/assert";
import { forSeeds } from "../../tests/support/random.ts";
import { utf8 } from "../../tests/support/wire.ts";
import { HeaderCache } from "./header_cache.ts";

function counting() {
  const decoded: string[] = [];
  const cache = new HeaderCache((bytes) => {
    const text = new TextDecoder().decode(bytes);
    decoded.push(text);
    return { text };
  });
  return { cache, decoded };
}

Deno.test("HeaderCache.get: the same bytes are decoded once", () => {
  const { cache, decoded } = counting();
  const first = cache.get(utf8("a"));
  assertEquals(cache.get(utf8("a")) === first, true);
  assertEquals(cache.get(utf8("b")), { text: "b" });
  assertEquals(decoded, ["a", "b"]);
});

Deno.test("HeaderCache.get: the result does not depend on earlier headers", () =>
  forSeeds(20, (random) => {
    const { cache } = counting();
    for (let i = 0; i < 2_000; i++) {
      const text = String(random.int(0, 600)).repeat(random.pick([1, 2, 60]));
      assertEquals(cache.get(utf8(text)), { text });
    }
  }));

Deno.test("HeaderCache.get: the cache keeps a copy of the bytes", () => {
  // So many headers that some of them share a slot of the cache.
  for (let i = 0; i < 5_000; i++) {
    const { cache } = counting();
    const bytes = utf8(`before ${10_000 + i}`);
    cache.get(bytes);
    bytes.set(utf8(`header ${20_000 + i}`));
    assertEquals(cache.get(bytes), { text: `header ${20_000 + i}` });
  }
});

Deno.test("HeaderCache.get: decode() may keep the bytes that it gets", () => {
  const seen: Uint8Array[] = [];
  const cache = new HeaderCache((bytes) => seen.push(bytes));
  for (const text of ["short", "long".repeat(100)]) {
    const bytes = utf8(text);
    cache.get(bytes);
    bytes.fill(0);
    assertEquals(seen.at(-1), utf8(text));
  }
});

Deno.test("HeaderCache.get: long headers are not cached", () => {
  const { cache, decoded } = counting();
  const long = "x".repeat(1_000);
  cache.get(utf8(long));
  cache.get(utf8(long));
  assertEquals(decoded.length, 2);
});

Deno.test("HeaderCache.get: headers that cannot be decoded are not cached", () => {
  let works = false;
  const cache = new HeaderCache(() => {
    if (!works) throw new RangeError("bad");
    return "good";
  });
  assertThrows(() => cache.get(utf8("a")), RangeError);
  works = true;
  assertEquals(cache.get(utf8("a")), "good");
});
