import { assertEquals } from "@std/assert";
import { FakeTime } from "./support/fake_time.ts";
import { timeLimit } from "../time_limit.ts";

for (const ms of [1, 100, 101, 30_000, 2 ** 31 - 1]) {
  Deno.test(`time limit: ${ms} ms are over after as many, once`, () => {
    using time = new FakeTime(1);
    let expired = 0;
    timeLimit(ms, () => expired++);
    time.tick(ms - 1);
    assertEquals(expired, 0);
    time.tick(1);
    assertEquals(expired, 1);
    time.tick(100_000);
    assertEquals(expired, 1);
  });

  Deno.test(`time limit: ${ms} ms are never over for what is done in time`, () => {
    using time = new FakeTime(1);
    for (const done of [0, ms - 1]) {
      const inTime = timeLimit(ms, () => {
        throw new Error("it expired");
      });
      time.tick(done);
      inTime();
      time.tick(ms);
    }
  });
}

for (const ms of [2 ** 31, Infinity]) {
  Deno.test(`time limit: ${ms} ms are none`, () => {
    using time = new FakeTime(1);
    timeLimit(ms, () => {});
    assertEquals(time.waiting, 0);
  });
}

Deno.test("time limit: what is done soon has set no timer", () => {
  using _ = new FakeTime(1);
  const { setTimeout } = globalThis;
  let timers = 0;
  globalThis.setTimeout = ((...args: Parameters<typeof setTimeout>) => {
    timers++;
    return setTimeout(...args);
  }) as typeof setTimeout;
  const inTime = timeLimit(30_000, () => {});
  inTime();
  assertEquals(timers, 0);
});
