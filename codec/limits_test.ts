import { assertEquals, assertThrows } from "@std/assert";
import {
  codecLimits,
  DEFAULT_MAX_DEPTH,
  DEFAULT_MAX_ITEMS,
  tooDeep,
  tooManyItems,
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
