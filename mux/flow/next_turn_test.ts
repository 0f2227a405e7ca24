import { assertEquals } from "@std/assert";
import { nextTurn } from "./next_turn.ts";

/** Whether a timer runs before as many turns are over. */
async function timerRuns(): Promise<boolean> {
  let ran = false;
  setTimeout(() => ran = true, 0);
  for (let i = 0; i < 10_000 && !ran; i++) await nextTurn();
  return ran;
}

Deno.test("nextTurn: lets timers run, which microtasks do not", async () => {
  assertEquals(await timerRuns(), true);
});

Deno.test("nextTurn: does without setImmediate(), as in browsers", async () => {
  const { setImmediate } = globalThis;
  Reflect.deleteProperty(globalThis, "setImmediate");
  try {
    assertEquals(await timerRuns(), true);
  } finally {
    Object.assign(globalThis, { setImmediate });
  }
});
