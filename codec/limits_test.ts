import { assertEquals, assertThrows } from "@std/assert";
import type { Codec, ValueWeight } from "./codec.ts";
import { CodecError } from "./errors.ts";
import { json } from "./json.ts";
import {
  codecLimits,
  decodeWeighed,
  DEFAULT_MAX_DEPTH,
  DEFAULT_MAX_ITEMS,
  tooDeep,
  tooManyItems,
  weightOf,
} from "./limits.ts";

Deno.test("codecLimits(): what is undefined has its default", () => {
  const defaults = {
    maxDepth: DEFAULT_MAX_DEPTH,
    maxItems: DEFAULT_MAX_ITEMS,
  };
  assertEquals(codecLimits({}), defaults);
  assertEquals(
    codecLimits({ maxDepth: undefined, maxItems: undefined }),
    defaults,
  );
  assertEquals(codecLimits({ maxDepth: 1, maxItems: Infinity }), {
    maxDepth: 1,
    maxItems: Infinity,
  });
});

Deno.test("codecLimits(): a limit out of range is refused by its name", () => {
  for (const maxItems of [0, -1, 1.5, NaN, "9" as never]) {
    assertThrows(
      () => codecLimits({ maxItems }),
      RangeError,
      `Cannot use option "maxItems": ${maxItems} is not an integer of at least 1`,
    );
  }
  assertThrows(
    () => codecLimits({ maxDepth: 1_001 }),
    RangeError,
    'Cannot use option "maxDepth": 1001 is not an integer from 1 to 1000',
  );
});

Deno.test("tooManyItems(), tooDeep(): the error names the limit and its option", () => {
  const items = tooManyItems("JSON", 7);
  assertEquals(
    [items.code, items.message],
    [
      "too-many-items",
      'Cannot decode value as JSON: it has more than 7 items, the limit of option "maxItems"',
    ],
  );
  const deep = tooDeep("CBOR", 3);
  assertEquals(
    [deep.code, deep.message],
    [
      "too-deep",
      'Cannot decode value as CBOR: it is nested deeper than 3 levels, the limit of option "maxDepth"',
    ],
  );
});

Deno.test("decodeWeighed(): the weight is that of the codec", () => {
  const codec = json();
  const bytes = codec.encode(Array(2_000).fill(0));
  const weight: ValueWeight = { bytes: 0 };
  assertEquals(
    (decodeWeighed(codec, bytes, weight) as unknown[]).length,
    2_000,
  );
  assertEquals(weight.bytes, weightOf(bytes.length, 2_002));
});

Deno.test("decodeWeighed(): a codec that does not weigh gets an upper bound", () => {
  const codec: Codec = {
    name: "none",
    encode: () => new Uint8Array(10),
    decode: () => "value",
  };
  const weight: ValueWeight = { bytes: 0 };
  assertEquals(decodeWeighed(codec, new Uint8Array(10), weight), "value");
  assertEquals(weight.bytes, weightOf(10, 10));
});

Deno.test("decodeWeighed(): the error is that of the codec", () => {
  const error = assertThrows(
    () => decodeWeighed(json(), new Uint8Array(0), { bytes: 0 }),
    CodecError,
  );
  assertEquals(error.code, "truncated");
});

Deno.test("weightOf(): bytes and items add up", () => {
  assertEquals(weightOf(0, 0), 0);
  assertEquals(weightOf(1_000, 0), 2_000);
  assertEquals(weightOf(0, 1_000), 32_000);
});
