import { assertEquals, assertThrows } from "@std/assert";
import { movedBy } from "./moved.ts";

Deno.test("movedBy(): counts what each method moves or copies", () => {
  const array = [1, 2, 3, 4];
  const bytes = new Uint8Array(10);
  assertEquals(movedBy(() => void array.shift()), 4);
  assertEquals(movedBy(() => void array.splice(0, 2)), 3);
  assertEquals(movedBy(() => bytes.set(new Uint8Array(3))), 3);
  assertEquals(movedBy(() => void bytes.slice()), 10);
  assertEquals(movedBy(() => void array.push(5)), 0);
  assertEquals(array, [4, 5]);
});

Deno.test("movedBy(): nothing is counted after it, even if the work fails", () => {
  const { shift } = Array.prototype;
  const fail = () => {
    throw new Error("No");
  };
  assertThrows(() => movedBy(fail), Error, "No");
  assertEquals(Array.prototype.shift, shift);
});
