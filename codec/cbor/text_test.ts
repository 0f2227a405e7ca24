import { assertEquals, assertThrows } from "@std/assert";
import { forSeeds, type Random } from "../../tests/support/random.ts";
import { utf8 } from "../../tests/support/wire.ts";
import { CodecError } from "../errors.ts";
import { decodeText } from "./text.ts";

const strict = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

/** Decodes bytes as a `TextDecoder` would; undefined if they are not valid. */
function expected(bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes);
  } catch {
    return undefined;
  }
}

/** Decodes bytes in the middle of others. */
function decoded(bytes: Uint8Array): string {
  const padded = new Uint8Array(bytes.length + 7).fill(0xbf);
  padded.set(bytes, 3);
  return decodeText(padded, 3, 3 + bytes.length);
}

function assertAgrees(bytes: Uint8Array): void {
  const text = expected(bytes);
  if (text !== undefined) assertEquals(decoded(bytes), text);
  else {
    const error = assertThrows(
      () => decoded(bytes),
      CodecError,
      "Cannot decode value as CBOR: a text is not valid UTF-8",
    );
    assertEquals(error.code, "malformed");
  }
}

Deno.test("decodeText(): the borders of UTF-8 are those of a TextDecoder", () => {
  const firsts = [0x7f, 0x80, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec];
  const lasts = [0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf8, 0xff];
  const seconds = [0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0];
  for (const first of [...firsts, ...lasts]) {
    for (const second of seconds) {
      for (const rest of [[], [0x80], [0x80, 0xbf], [0x7f, 0x80]]) {
        for (const before of [0, 20]) {
          assertAgrees(
            Uint8Array.from([
              ...Array(before).fill(0x61),
              first,
              second,
              ...rest,
            ]),
          );
        }
      }
    }
    assertAgrees(Uint8Array.of(first));
  }
});

function anyBytes(random: Random): Uint8Array {
  const parts = ["a", "Z", "é", "€", "😀", "\ufffd", "\ufeff", "\u0000"];
  const text = Array.from(
    { length: random.pick([0, 3, 12, 13, 40]) },
    () => random.pick(parts),
  ).join("");
  const bytes = utf8(text);
  if (bytes.length > 0 && random.chance(0.5)) {
    bytes[random.int(0, bytes.length - 1)] = random.int(0, 255);
  }
  return random.chance(0.2)
    ? bytes.subarray(0, random.int(0, bytes.length))
    : bytes;
}

Deno.test("decodeText(): any bytes are text, or are refused, as by a TextDecoder", () =>
  forSeeds(1_000, (random) => assertAgrees(anyBytes(random))));

Deno.test("decodeText(): an encoded U+FFFD is text at any length", () => {
  for (const times of [1, 4, 5, 100]) {
    const text = "\ufffd".repeat(times);
    assertEquals(decoded(utf8(text)), text);
    assertThrows(() => decoded(utf8(text).subarray(0, -1)), CodecError);
  }
});
