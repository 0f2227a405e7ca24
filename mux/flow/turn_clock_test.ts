import { assertEquals } from "@std/assert";
import { TurnClock } from "./turn_clock.ts";

Deno.test("TurnClock: shows one time throughout a turn and reads the clock again in the next", () => {
  let time = 5;
  let reads = 0;
  const clock = new TurnClock(() => {
    reads++;
    return time;
  });
  assertEquals(reads, 0);
  assertEquals(clock.now(), 5);
  time = 6;
  assertEquals(clock.now(), 5);
  clock.tick();
  assertEquals(clock.now(), 6);
  assertEquals(reads, 2);
});
