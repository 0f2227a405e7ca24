/**
 * Codecs: values survive a round trip, and any bytes are a value or a
 * `CodecError`.
 *
 * @module
 */
import { isDeepStrictEqual } from "node:util";
import { assertEquals } from "@std/assert";
import { type Codec, CodecError } from "@qtalk/qtalk";
import type { Random } from "../support/random.ts";
import { CODECS } from "./codec_list.ts";
import type { Target } from "./target.ts";
import { anyValue, damaged } from "./values.ts";

const MAX_DEPTH = 8;

/** As `assertEquals()`, but fast if they are equal. */
function assertSame(actual: unknown, expected: unknown, message: string): void {
  if (!isDeepStrictEqual(actual, expected)) {
    assertEquals(actual, expected, message);
  }
}

function tryBytes(codec: Codec, bytes: Uint8Array): void {
  const copy = bytes.slice();
  let value: unknown;
  try {
    value = codec.decode(bytes);
  } catch (error) {
    if (!(error instanceof CodecError)) throw error;
    return;
  } finally {
    assertSame(bytes, copy, "decoding changed the bytes");
  }
  const before = structuredClone(value);
  bytes.fill(0xc1);
  assertSame(value, before, "the value refers to its bytes");
}

function tryValue(random: Random, codec: Codec, bigints: boolean): void {
  const value = anyValue(random, random.int(0, 4), bigints);
  let bytes: Uint8Array;
  try {
    bytes = codec.encode(value);
  } catch (error) {
    // Not every library can carry the key `__proto__`.
    if (error instanceof CodecError && error.message.includes("__")) return;
    throw error;
  }
  assertSame(codec.decode(bytes.slice()), value, "the value is another");
  for (let i = 0; i < 4; i++) tryBytes(codec, damaged(random, bytes));
  if (bytes.length < 200) {
    const end = random.int(0, bytes.length);
    tryBytes(codec, bytes.slice(0, end));
  }
}

/** A target for each codec over each library. */
export const codecs: readonly Target[] = Object.entries(CODECS).map(
  ([name, { make }]): Target => ({
    name,
    round(random) {
      // A few hundred keys with escapes can count as more items than the default.
      const generous = make({ maxItems: Infinity });
      const strict = make({ maxDepth: MAX_DEPTH });
      for (let i = 0; i < 20; i++) {
        tryValue(random, generous, name !== "JSON");
        tryBytes(strict, random.bytes(random.int(0, 60)));
      }
    },
  }),
);
