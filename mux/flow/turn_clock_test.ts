import { assertEquals } from "@std/assert";
import { TurnClock } from "./turn_clock.ts";

Deno.test("turn clock: shows one time all turn long, and looks again in the next", () => {
  let time = 5;
  let looks = 0;
  const clock = new TurnClock(() => {
    looks++;
    return time;
  });
  assertEquals(looks, 0);
  assertEquals(clock.now(), 5);
  time = 6;
  assertEquals(clock.now(), 5);
  clock.tick();
  assertEquals(clock.now(), 6);
  assertEquals(looks, 2);
});
