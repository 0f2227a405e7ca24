import { assertEquals, assertThrows } from "@std/assert";
import { MuxError } from "../errors.ts";
import { IdleBudget } from "./channel_table.ts";

/** Counts idle frames until there are too many; returns how many there were. */
function spend(budget: IdleBudget): number {
  for (let count = 0;; count++) {
    try {
      budget.countIdle("EOF", 7);
    } catch {
      return count;
    }
  }
}

Deno.test("IdleBudget: one idle frame over the limit is an error that names it", () => {
  const budget = new IdleBudget(2);
  budget.countIdle("EOF", 7);
  budget.countIdle("CLOSE", 8);
  const error = assertThrows(
    () => budget.countIdle("EOF", 9),
    MuxError,
    "Cannot continue session: received more than 2 idle frames, the last of them EOF for channel 9",
  );
  assertEquals(error.code, "limit-exceeded");
});

Deno.test("IdleBudget: a useful frame makes up for eight idle ones", () => {
  const budget = new IdleBudget(100);
  for (let i = 0; i < 50; i++) budget.countIdle("EOF", 7);
  for (let i = 0; i < 5; i++) budget.countUseful();
  assertEquals(spend(budget), 90);
});

Deno.test("IdleBudget: useful frames save nothing up beyond the limit", () => {
  const budget = new IdleBudget(100);
  budget.countIdle("EOF", 7);
  for (let i = 0; i < 1_000; i++) budget.countUseful();
  assertEquals(spend(budget), 100);
});
