import { assertEquals, assertThrows } from "@std/assert";
import type { Codec, ValueWeight } from "./codec.ts";
import { CodecError } from "./errors.ts";
import { json } from "./json.ts";
import { decodeWeighed, weightOf } from "./weight.ts";

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
