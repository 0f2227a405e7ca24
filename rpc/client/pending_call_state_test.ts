import { assert, assertEquals } from "@std/assert";
import { parseTable, reachable } from "../../tests/support/state_table.ts";
import {
  PENDING_CALL,
  type PendingCallEvent,
  type PendingCallStateName,
} from "./pending_call_state.ts";

const TABLE = parseTable<PendingCallStateName, PendingCallEvent>(`
             open       complete   continue   satisfy    hand-over  end        fail
  opening    header     opening    opening    opening    opening    opening    failed
  header     header     values     first      header     header     failed     failed
  values     values     values     values     resolved   values     resolved   failed
  first      first      first      first      resolved   continued  resolved   failed
  resolved   resolved   resolved   resolved   resolved   resolved   resolved   resolved
  continued  continued  continued  continued  continued  continued  continued  continued
  failed     failed     failed     failed     failed     failed     failed     failed
`);

const OUTCOMES: readonly PendingCallStateName[] = [
  "resolved",
  "continued",
  "failed",
];

Deno.test("PENDING_CALL: every event has an outcome in every state", () => {
  assertEquals(TABLE.length, 7 * 7);
  for (const { state, event, next } of TABLE) {
    assertEquals(PENDING_CALL[state][event].name, next, `${state}, ${event}`);
  }
});

Deno.test("PENDING_CALL: every state can be reached from opening", () => {
  assertEquals(
    reachable(TABLE, "opening"),
    new Set(TABLE.map(({ state }) => state)),
  );
});

Deno.test("PENDING_CALL: a call has one outcome, and every call can fail", () => {
  for (const { state, event, next } of TABLE) {
    if (OUTCOMES.includes(state)) assertEquals(next, state, event);
    else if (event === "fail") assertEquals(next, "failed", state);
  }
});

Deno.test("PENDING_CALL: only a response header leads to a resolved call", () => {
  for (const { state, event, next } of TABLE) {
    if (next === "resolved" || next === "continued") {
      assert(
        !["opening", "header", "failed"].includes(state),
        `${state}, ${event}`,
      );
    }
  }
});
