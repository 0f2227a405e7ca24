import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { concat, framed, utf8 } from "../../../tests/support/wire.ts";
import { HeaderCache, sharedHeader } from "./header_cache.ts";
import { CodecError, ValueReader } from "../../../codec/internal.ts";
import { forSeeds } from "../../../tests/support/random.ts";

/** A source that has received all of its bytes. */
function arrived(
  bytes: Uint8Array,
): ConstructorParameters<typeof ValueReader>[0] {
  let start = 0;
  return {
    ended: true,
    failure: undefined,
    get chunk() {
      return start === bytes.length ? undefined : bytes;
    },
    get chunkStart() {
      return start;
    },
    chunkEnd: bytes.length,
    consume: (taken) => start += taken,
    whenReadable: (callback) => callback(),
  };
}

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

Deno.test("HeaderCache.read: the same header is decoded once, wherever it has arrived", () => {
  const { cache, decoded } = counting();
  const bytes = concat(
    ...["a", "a", "b", "a"].map((text) => framed(utf8(text))),
  );
  const reader = new ValueReader(arrived(bytes));
  const read = Array.from({ length: 4 }, () => cache.read(reader, 10));
  assertEquals(read.map((header) => header?.text), ["a", "a", "b", "a"]);
  assertEquals(decoded, ["a", "b"]);
  assertEquals(cache.read(reader, 10), null);
});

Deno.test("HeaderCache.read: the size is that of the header that was read last", () => {
  const { cache } = counting();
  const texts = ["long".repeat(5), "short", "short", "long".repeat(100)];
  const reader = new ValueReader(
    arrived(concat(...texts.map((text) => framed(utf8(text))))),
  );
  for (const text of texts) {
    cache.read(reader, 1_000);
    assertEquals(cache.size, text.length);
  }
});

Deno.test("HeaderCache.read: a header beyond the limit is refused", () => {
  const { cache } = counting();
  const reader = new ValueReader(arrived(framed(utf8("too long"))));
  assertThrows(() => cache.read(reader, 7), CodecError, "exceed the limit");
});

Deno.test("sharedHeader(): it returns a copy, and the same one for the same bytes", () => {
  const bytes = Uint8Array.of(1, 2);
  const kept = sharedHeader(bytes);
  bytes[0] = 3;
  assertEquals([...kept], [1, 2]);
  assertStrictEquals(sharedHeader(Uint8Array.of(1, 2)), kept);
  assertEquals([...sharedHeader(bytes)], [3, 2]);
});
