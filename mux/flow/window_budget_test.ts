import { assert, assertEquals, assertThrows } from "@std/assert";
import { InvariantError } from "../errors.ts";
import { WindowBudget } from "./window_budget.ts";

Deno.test("WindowBudget: is exhausted from a refusal until bytes are returned", () => {
  const budget = new WindowBudget(10);
  assert(!budget.exhausted);
  assert(budget.take(10));
  assert(!budget.exhausted);
  assert(!budget.take(1));
  assert(budget.exhausted);
  budget.give(0);
  assert(budget.exhausted);
  budget.give(1);
  assert(!budget.exhausted);
});

Deno.test("WindowBudget: lends what is left beyond one half", () => {
  const budget = new WindowBudget(10);
  assertEquals(budget.lend(3), 3);
  assertEquals(budget.lend(3), 2);
  assertEquals(budget.lend(3), 0);
  assertEquals(budget.left, 5);
  assert(budget.take(5));
});

Deno.test("WindowBudget: to return more than was taken breaks an invariant", () => {
  const budget = new WindowBudget(10);
  assert(budget.take(4));
  assertEquals(budget.lend(1), 1);
  assertThrows(
    () => budget.give(6),
    InvariantError,
    "Cannot return 6 bytes to the window budget: 5 are in use",
  );
  budget.give(5);
  assertEquals(budget.left, 10);
});
