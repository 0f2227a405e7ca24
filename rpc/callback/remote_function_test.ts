import { assertEquals } from "@std/assert";
import { parseTable, reachable } from "../../tests/support/state_table.ts";
import {
  nextRemoteFunction,
  type RemoteFunctionEvent,
  type RemoteFunctionState,
} from "./remote_function.ts";

const TABLE = parseTable<RemoteFunctionState, RemoteFunctionEvent>(`
             retain     release    keep       return     continue   idle
  lent       retained   released   returning  released   late       lent
  retained   retained   released   owned      owned      owned      retained
  late       late       released   late       late       late       late
  owned      owned      returning  owned      owned      owned      owned
  returning  returning  returning  returning  returning  returning  released
  released   released   released   returning  released   released   released
`);

Deno.test("nextRemoteFunction: every event has an outcome in every state", () => {
  assertEquals(TABLE.length, 6 * 6);
  for (const { state, event, next } of TABLE) {
    assertEquals(nextRemoteFunction(state, event), next, `${state}, ${event}`);
  }
});

Deno.test("nextRemoteFunction: every state can be reached from those a function starts in", () => {
  assertEquals(
    reachable(TABLE, "lent", "late", "owned"),
    new Set(TABLE.map(({ state }) => state)),
  );
});

Deno.test("nextRemoteFunction: a released function cannot be called again", () => {
  for (const { state, event, next } of TABLE) {
    const ended = ["returning", "released"];
    if (ended.includes(state)) {
      assertEquals(ended.includes(next), true, `${state}, ${event}`);
    } else if (event === "release") {
      assertEquals(ended.includes(next), true, state);
    }
  }
});
