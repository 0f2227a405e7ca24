import { assertEquals } from "@std/assert";
import { parseTable, reachable } from "../../tests/support/state_table.ts";
import {
  type ContinuedCallEvent,
  type ContinuedCallState,
  nextContinuedCall,
} from "./continued_call.ts";

const TABLE = parseTable<ContinuedCallState, ContinuedCallEvent>(`
            arguments-failed  error-sent  peer-closed  close     give-up
  open      aborting          open        ended        closed    given-up
  aborting  aborting          closed      ended        closed    given-up
  ended     ended             ended       ended        closed    given-up
  closed    closed            closed      closed       closed    closed
  given-up  given-up          given-up    given-up     given-up  given-up
`);

Deno.test("nextContinuedCall: every event has an outcome in every state", () => {
  assertEquals(TABLE.length, 5 * 5);
  for (const { state, event, next } of TABLE) {
    assertEquals(nextContinuedCall(state, event), next, `${state}, ${event}`);
  }
});

Deno.test("nextContinuedCall: every state can be reached from open", () => {
  assertEquals(
    reachable(TABLE, "open"),
    new Set(TABLE.map(({ state }) => state)),
  );
});

Deno.test("nextContinuedCall: no event leads back to open, and close ends every call", () => {
  for (const { state, event, next } of TABLE) {
    if (state !== "open") assertEquals(next === "open", false, event);
    if (event !== "close") continue;
    assertEquals(next, state === "given-up" ? "given-up" : "closed", state);
  }
});
