import { assert, assertEquals } from "@std/assert";
import { isHello } from "./client_hello.ts";

const HELLO = Uint8Array.of(22, 3, 1, 0, 6, 1, 0, 0, 2, 3, 3);

Deno.test("isHello(): a ClientHello is one, however it is cut", () => {
  for (let at = 0; at <= HELLO.length; at++) {
    assert(isHello(HELLO.subarray(0, at), 0), `its first ${at} bytes`);
    assert(isHello(HELLO.subarray(at), at), `what follows ${at} bytes`);
  }
});

Deno.test("isHello(): another byte in one of three places makes it none, at once", () => {
  const telling = [...HELLO.keys()].filter((place) => {
    const other = Uint8Array.from(HELLO);
    other[place]! ^= 0x80;
    const isTelling = !isHello(other, 0);
    assertEquals(isHello(other.subarray(place), place), !isTelling);
    return isTelling;
  });
  assertEquals(telling, [0, 1, 5]);
});
