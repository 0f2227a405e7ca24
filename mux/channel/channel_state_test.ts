import { assert, assertEquals } from "@std/assert";
import {
  type CloseEvent,
  type CloseState,
  isConfirmed,
  maySend,
  nextClose,
  nextReceive,
  nextSend,
  nextSlot,
  type ReceiveEvent,
  receivesNothing,
  type ReceiveState,
  type SendEvent,
  type SendState,
  type SlotEvent,
  type SlotState,
} from "./channel_state.ts";

/** A table as text: events in the first row, states in the first column. */
function parse<S extends string, E extends string>(
  text: string,
): { state: S; event: E; next: S }[] {
  const [events, ...rows] = text.trim().split("\n")
    .map((line) => line.trim().split(/\s+/));
  return rows.flatMap(([state, ...next]) =>
    next.map((to, i) => ({
      state: state as S,
      event: events![i] as E,
      next: to as S,
    }))
  );
}

/** Every state that `table` can be brought to from `first`. */
function reachable<S, E>(
  table: { state: S; event: E; next: S }[],
  first: S,
): Set<S> {
  const seen = new Set([first]);
  for (const from of seen) {
    for (const { state, next } of table) if (state === from) seen.add(next);
  }
  return seen;
}

const SEND = parse<SendState, SendEvent>(`
            end      flushed  fail
  open      ending   open     failed
  ending    ending   ended    failed
  ended     ended    ended    failed
  failed    failed   failed   failed
`);

const RECEIVE = parse<ReceiveState, ReceiveEvent>(`
            cancel     eof   close   peer-close  session-end
  open      cancelled  eof   closed  cut         lost
  cancelled cancelled  eof   closed  closed      lost
  eof       eof        eof   eof     eof         eof
  closed    closed     eof   closed  closed      closed
  cut       closed     cut   closed  cut         cut
  lost      lost       lost  lost    lost        lost
`);

const CLOSE = parse<CloseState, CloseEvent>(`
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

const SLOT = parse<SlotState, SlotEvent>(`
            closed    empty
  occupied  draining  occupied
  draining  draining  freed
  freed     freed     freed
`);

Deno.test("nextSend: every event has an outcome in every state", () => {
  assertEquals(SEND.length, 4 * 3);
  for (const { state, event, next } of SEND) {
    assertEquals(nextSend(state, event), next, `${state}, ${event}`);
  }
});

Deno.test("nextReceive: every event has an outcome in every state", () => {
  assertEquals(RECEIVE.length, 6 * 5);
  for (const { state, event, next } of RECEIVE) {
    assertEquals(nextReceive(state, event), next, `${state}, ${event}`);
  }
});

Deno.test("nextSlot: every event has an outcome in every state", () => {
  assertEquals(SLOT.length, 3 * 2);
  for (const { state, event, next } of SLOT) {
    assertEquals(nextSlot(state, event), next, `${state}, ${event}`);
  }
});

Deno.test("nextClose: every event has an outcome in every state", () => {
  assertEquals(CLOSE.length, 8 * 5);
  for (const { state, event, next } of CLOSE) {
    assertEquals(nextClose(state, event), next, `${state}, ${event}`);
  }
});

Deno.test("channel state: every state of a table can be reached", () => {
  assertEquals(
    reachable(SEND, "open"),
    new Set<SendState>(["open", "ending", "failed", "ended"]),
  );
  assertEquals(
    reachable(RECEIVE, "open"),
    new Set<ReceiveState>([
      "open",
      "cancelled",
      "eof",
      "closed",
      "cut",
      "lost",
    ]),
  );
  assertEquals(
    reachable(SLOT, "occupied"),
    new Set<SlotState>(["occupied", "draining", "freed"]),
  );
  assertEquals(reachable(CLOSE, "opening"), new Set(CLOSE.map((r) => r.state)));
});

Deno.test("nextClose: the end of the session closes the channel in every state", () => {
  for (const { state, event, next } of CLOSE) {
    if (event === "session-end") assertEquals(next, "closed", state);
  }
});

Deno.test("channel state: a repeated event has no effect", () => {
  for (const { event, next } of SEND) {
    assertEquals(nextSend(next, event), next, event);
  }
  for (const { event, next } of RECEIVE) {
    assertEquals(nextReceive(next, event), next, event);
  }
  for (const { event, next } of SLOT) {
    assertEquals(nextSlot(next, event), next, event);
  }
  for (const { event, next } of CLOSE) {
    // A repeated OPEN_CONFIRM is a protocol error before it gets here.
    if (event === "confirm") continue;
    assertEquals(nextClose(next, event), next, event);
  }
});

Deno.test("maySend: once false for a confirmed channel, it stays false", () => {
  for (const { state, next } of CLOSE) {
    if (!isConfirmed(state) || maySend(state)) continue;
    assert(!maySend(next), `${state} to ${next}`);
  }
});

Deno.test("maySend: is false before the peer's channel ID is known", () => {
  for (const { state } of CLOSE) {
    if (maySend(state)) assert(isConfirmed(state), state);
  }
});

Deno.test("receivesNothing: once true, it stays true", () => {
  for (const { state, next } of RECEIVE) {
    if (receivesNothing(state)) assert(receivesNothing(next), next);
  }
  assertEquals(
    [...new Set(RECEIVE.map(({ state }) => state))].filter(receivesNothing),
    ["eof", "closed", "cut", "lost"],
  );
});
