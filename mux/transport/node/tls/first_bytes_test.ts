import { assert, assertEquals } from "@std/assert";
import {
  expecting,
  isAnswer,
  type IsExpected,
  isHello,
} from "./first_bytes.ts";

const HELLO = Uint8Array.of(22, 3, 1, 0, 6, 1, 0, 0, 2, 3, 3);
const ANSWER = Uint8Array.of(22, 3, 3, 0, 6, 2, 0, 0, 2, 3, 3);
const REFUSAL = Uint8Array.of(21, 3, 1, 0, 2, 2, 40);

for (
  const [name, isExpected, bytes, telling] of [
    ["isHello", isHello, HELLO, [0, 1, 5]],
    ["isAnswer", isAnswer, ANSWER, [0, 1]],
    ["isAnswer: an alert", isAnswer, REFUSAL, [0, 1]],
  ] as [string, IsExpected, Uint8Array, number[]][]
) {
  /** Whether the bytes may go to TLS when they arrive in parts that end there. */
  const passes = (all: Uint8Array, ...ends: number[]) => {
    let rejected = false;
    const take = expecting(isExpected, { reject: () => rejected = true });
    const parts = [0, ...ends].map((at, i) => all.subarray(at, ends[i]));
    const passed = parts.every((part) => take(part));
    assertEquals(passed, !rejected);
    return passed;
  };

  Deno.test(`${name}: what is expected is accepted, however it is cut`, () => {
    for (let at = 0; at <= bytes.length; at++) {
      assert(isExpected(bytes.subarray(0, at)), `its first ${at} bytes`);
      assert(passes(bytes, at), `in two parts, of which one has ${at} bytes`);
    }
    assert(passes(bytes, ...bytes.keys()), "byte by byte");
  });

  Deno.test(`${name}: another byte in one of a few places is noticed at once`, () => {
    const noticed = [...bytes.keys()].filter((place) => {
      const other = Uint8Array.from(bytes);
      other[place]! ^= 0x80;
      const isNoticed = !passes(other);
      assertEquals(passes(other, place), !isNoticed);
      assertEquals(passes(other, ...other.keys()), !isNoticed);
      return isNoticed;
    });
    assertEquals(noticed, telling);
  });

  Deno.test(`${name}: an empty record is refused, however it is cut`, () => {
    const empty = Uint8Array.of(...bytes.subarray(0, 3), 0, 0);
    for (const ends of [[], [3], [4], [1, 2, 3, 4]]) {
      assertEquals(passes(empty, ...ends), false);
    }
    assert(passes(empty.subarray(0, 4)), "half of its length");
    assert(passes(Uint8Array.of(...bytes.subarray(0, 3), 1, 0)), "256 bytes");
  });
}
