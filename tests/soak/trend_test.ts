import { assertEquals, assertLess } from "@std/assert";
import { growthOf, median, slopeOf } from "./trend.ts";

Deno.test("slopeOf: points on a line give its slope", () => {
  const points = [0, 10, 20, 30].map((at) => ({ at, value: 5 + 2 * at }));
  assertEquals(slopeOf(points), 2);
  assertEquals(growthOf(points), 60);
});

Deno.test("slopeOf: a few points far off change little", () => {
  const points = Array.from({ length: 60 }, (_, i) => ({
    at: i,
    value: i % 20 === 7 ? 1e9 : 100 + i,
  }));
  assertLess(Math.abs(slopeOf(points) - 1), 0.1);
});

Deno.test("slopeOf: noise around a level has no slope", () => {
  const points = Array.from({ length: 61 }, (_, i) => ({
    at: i,
    value: 100 + 10 * (i % 2),
  }));
  assertEquals(slopeOf(points), 0);
});

Deno.test("growthOf: fewer than two points have not grown", () => {
  assertEquals(growthOf([]), 0);
  assertEquals(growthOf([{ at: 1, value: 1 }]), 0);
});

Deno.test("median: of an even number of values it is between two", () => {
  assertEquals(median([4, 1, 3, 2]), 2.5);
  assertEquals(median([3, 1, 2]), 2);
});
