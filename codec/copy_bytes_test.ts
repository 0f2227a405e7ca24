import { assertEquals } from "@std/assert";
import { forSeeds } from "../tests/support/random.ts";
import { copyBytes } from "./copy_bytes.ts";

Deno.test("copyBytes(): the bytes of a range are copied to the offset, whatever its length", () =>
  forSeeds(50, (random) => {
    const from = random.bytes(300);
    const start = random.int(0, 300);
    const end = random.int(start, 300);
    const offset = random.int(0, 50);
    const to = new Uint8Array(400).fill(0xee);
    const expected = to.slice();
    expected.set(from.slice(start, end), offset);
    assertEquals(copyBytes(from, start, end, to, offset), offset + end - start);
    assertEquals(to, expected);
  }));
