import { assert, assertEquals } from "@std/assert";
import { isAnswer, type IsExpected, isHello } from "./first_bytes.ts";

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
  Deno.test(`${name}: what is expected is accepted, however it is cut`, () => {
    for (let at = 0; at <= bytes.length; at++) {
      assert(isExpected(bytes.subarray(0, at), 0), `its first ${at} bytes`);
      assert(isExpected(bytes.subarray(at), at), `what follows ${at} bytes`);
    }
  });

  Deno.test(`${name}: another byte in one of a few places is noticed at once`, () => {
    const noticed = [...bytes.keys()].filter((place) => {
      const other = Uint8Array.from(bytes);
      other[place]! ^= 0x80;
      const isNoticed = !isExpected(other, 0);
      assertEquals(isExpected(other.subarray(place), place), !isNoticed);
      return isNoticed;
    });
    assertEquals(noticed, telling);
  });
}
