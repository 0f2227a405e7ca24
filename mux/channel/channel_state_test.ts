import { assert, assertEquals } from "@std/assert";
import { parseTable, reachable } from "../../tests/support/state_table.ts";
import {
  CLOSE,
  type CloseEvent,
  type CloseStateName,
  isConfirmed,
  maySend,
  RECEIVE,
  type ReceiveEvent,
  receivesNothing,
  type ReceiveStateName,
  SEND,
  type SendEvent,
  type SendStateName,
} from "./channel_state.ts";

const SEND_TABLE = parseTable<SendStateName, SendEvent>(`
            end      flushed  fail
  open      ending   open     failed
  ending    ending   ended    failed
  ended     ended    ended    failed
  failed    failed   failed   failed
`);

const RECEIVE_TABLE = parseTable<ReceiveStateName, ReceiveEvent>(`
            cancel     eof     close   fail    peer-close  session-end
  open      cancelled  eof     closed  failed  cut         lost
  cancelled cancelled  eof     closed  failed  closed      lost
  eof       eof        eof     eof     failed  eof         eof
  closed    closed     eof     closed  closed  closed      closed
  cut       closed     cut     closed  failed  cut         cut
  lost      lost       lost    lost    lost    lost        lost
  failed    failed     failed  failed  failed  failed      failed
`);

const CLOSE_TABLE = parseTable<CloseStateName, CloseEvent>(`
            confirm    close      sent       peer-close  session-end
  opening   open       abandoned  opening    early       closed
  abandoned closing    abandoned  abandoned  early       closed
  early     received   early      early      early       closed
  open      open       closing    open       received    closed
  closing   closing    closing    sent       received    closed
  sent      sent       sent       sent       closed      closed
  received  received   received   closed     received    closed
  closed    closed     closed     closed     closed      closed
`);

Deno.test("SEND: every event has an outcome in every state", () => {
  assertEquals(SEND_TABLE.length, 4 * 3);
  for (const { state, event, next } of SEND_TABLE) {
    assertEquals(SEND[state][event].name, next, `${state}, ${event}`);
  }
});

Deno.test("RECEIVE: every event has an outcome in every state", () => {
  assertEquals(RECEIVE_TABLE.length, 7 * 6);
  for (const { state, event, next } of RECEIVE_TABLE) {
    assertEquals(RECEIVE[state][event].name, next, `${state}, ${event}`);
  }
});

Deno.test("CLOSE: every event has an outcome in every state", () => {
  assertEquals(CLOSE_TABLE.length, 8 * 5);
  for (const { state, event, next } of CLOSE_TABLE) {
    assertEquals(CLOSE[state][event].name, next, `${state}, ${event}`);
  }
});

Deno.test("channel state: every state of a table can be reached", () => {
  assertEquals(
    reachable(SEND_TABLE, "open"),
    new Set<SendStateName>(["open", "ending", "failed", "ended"]),
  );
  assertEquals(
    reachable(RECEIVE_TABLE, "open"),
    new Set<ReceiveStateName>([
      "open",
      "cancelled",
      "eof",
      "closed",
      "cut",
      "lost",
      "failed",
    ]),
  );
  assertEquals(
    reachable(CLOSE_TABLE, "opening"),
    new Set(CLOSE_TABLE.map((r) => r.state)),
  );
});

Deno.test("CLOSE: the end of the session closes the channel in every state", () => {
  for (const { state, event, next } of CLOSE_TABLE) {
    if (event === "session-end") assertEquals(next, "closed", state);
  }
});

Deno.test("channel state: a repeated event has no effect", () => {
  for (const { event, next } of SEND_TABLE) {
    assertEquals(SEND[next][event].name, next, event);
  }
  for (const { event, next } of RECEIVE_TABLE) {
    assertEquals(RECEIVE[next][event].name, next, event);
  }
  for (const { event, next } of CLOSE_TABLE) {
    // A repeated OPEN_CONFIRM is a protocol error before it gets here.
    if (event === "confirm") continue;
    assertEquals(CLOSE[next][event].name, next, event);
  }
});

Deno.test("maySend: once false for a confirmed channel, it stays false", () => {
  for (const { state, next } of CLOSE_TABLE) {
    if (!isConfirmed(CLOSE[state]) || maySend(CLOSE[state])) continue;
    assert(!maySend(CLOSE[next]), `${state} to ${next}`);
  }
});

Deno.test("maySend: is false before the peer's channel ID is known", () => {
  for (const { state } of CLOSE_TABLE) {
    if (maySend(CLOSE[state])) assert(isConfirmed(CLOSE[state]), state);
  }
});

Deno.test("receivesNothing: once true, it stays true", () => {
  for (const { state, next } of RECEIVE_TABLE) {
    if (receivesNothing(RECEIVE[state])) {
      assert(receivesNothing(RECEIVE[next]), next);
    }
  }
  assertEquals(
    [...new Set(RECEIVE_TABLE.map(({ state }) => state))].filter((state) =>
      receivesNothing(RECEIVE[state])
    ),
    ["eof", "closed", "cut", "lost", "failed"],
  );
});
