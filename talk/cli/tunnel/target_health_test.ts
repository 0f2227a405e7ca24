import { assertEquals } from "@std/assert";
import { test } from "../../../tests/support/harness.ts";
import { turn } from "../../../tests/support/turn.ts";
import { TargetHealth } from "./target_health.ts";
import type { Health } from "./tunnel_wire.ts";

test("TargetHealth: it checks now and then, more often while the target is down", async (t) => {
  const time = t.time();
  let up = true;
  let checks = 0;
  const changes: Health[] = [];
  using health = new TargetHealth({
    check() {
      checks++;
      return up ? Promise.resolve() : Promise.reject(new Error("no"));
    },
    interval: 10_000,
    onChange: (health) => changes.push(health),
  });
  await health.start();
  assertEquals([checks, changes], [1, []]);
  up = false;
  time.tick(9_999);
  await turn();
  assertEquals(checks, 1);
  time.tick(1);
  await turn();
  assertEquals(changes, [{ ok: false, reason: "no" }]);
  for (let i = 0; i < 3; i++) {
    time.tick(1_000);
    await turn();
  }
  assertEquals([checks, changes.length], [5, 1]);
  up = true;
  time.tick(1_000);
  await turn();
  assertEquals(changes[1], { ok: true, reason: "" });
  assertEquals(health.current, { ok: true, reason: "" });
});

test("TargetHealth: a connection that is made is as good as a check", async (t) => {
  const time = t.time();
  let checks = 0;
  const changes: boolean[] = [];
  using health = new TargetHealth({
    check: () => Promise.resolve(void checks++),
    interval: 10_000,
    onChange: ({ ok }) => changes.push(ok),
  });
  await health.start();
  for (let i = 0; i < 4; i++) {
    time.tick(5_000);
    health.report({ ok: true, reason: "" });
    await turn();
  }
  assertEquals([checks, changes], [1, []]);
  health.report({ ok: false, reason: "refused" });
  assertEquals(changes, [false]);
});

test("TargetHealth: with an interval of 0 it checks only after a failure", async (t) => {
  const time = t.time();
  let checks = 0;
  const changes: boolean[] = [];
  using health = new TargetHealth({
    check: () => Promise.resolve(void checks++),
    interval: 0,
    onChange: ({ ok }) => changes.push(ok),
  });
  await health.start();
  health.report({ ok: true, reason: "" });
  time.tick(100_000);
  await turn();
  assertEquals(checks, 0);
  health.report({ ok: false, reason: "refused" });
  time.tick(1_000);
  await turn();
  assertEquals([checks, time.waiting, changes], [1, 0, [false, true]]);
});
