import { assertEquals } from "@std/assert";
import { test } from "./support/harness.ts";
import { timeLimit } from "../time_limit.ts";

for (const ms of [1, 100, 101, 30_000, 2 ** 31 - 1]) {
  test(`timeLimit(): calls back once, after ${ms} ms`, (t) => {
    const time = t.time(1);
    let expired = 0;
    timeLimit(ms, () => expired++);
    time.tick(ms - 1);
    assertEquals(expired, 0);
    time.tick(1);
    assertEquals(expired, 1);
    time.tick(100_000);
    assertEquals(expired, 1);
  });

  test(`timeLimit(): never calls back if it is cancelled within ${ms} ms`, (t) => {
    const time = t.time(1);
    let expired = 0;
    for (const done of [0, ms - 1]) {
      const inTime = timeLimit(ms, () => expired++);
      time.tick(done);
      inTime();
      time.tick(ms);
    }
    assertEquals(expired, 0);
  });
}

for (const ms of [2 ** 31, Infinity]) {
  test(`timeLimit(): sets no timer for ${ms} ms`, (t) => {
    const time = t.time(1);
    timeLimit(ms, () => {});
    assertEquals(time.waiting, 0);
  });
}

test("timeLimit(): sets no timer if it is cancelled soon", (t) => {
  t.time(1);
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
