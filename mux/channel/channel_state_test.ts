import { assert, assertEquals } from "@std/assert";
import {
  type CloseEvent,
  type CloseState,
  isConfirmed,
  maySend,
  nextClose,
  nextReceive,
  nextSend,
  type ReceiveEvent,
  type ReceiveState,
  type SendEvent,
  type SendState,
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
            cancel     end     lose
  open      cancelled  ended   lost
  cancelled cancelled  ended   lost
  ended     ended      ended   ended
  lost      lost       lost    lost
`);

const CLOSE = parse<CloseState, CloseEvent>(`
            confirm    close      sent       peer-close  over
  opening   open       abandoned  opening    early       closed
  abandoned closing    abandoned  abandoned  early       closed
  early     received   early      early      early       closed
  open      open       closing    open       received    closed
  closing   closing    closing    sent       received    closed
  sent      sent       sent       sent       closed      closed
  received  received   received   closed     received    closed
  closed    closed     closed     closed     closed      closed
`);

Deno.test("channel state: every event has its outcome in every state of sending", () => {
  assertEquals(SEND.length, 4 * 3);
  for (const { state, event, next } of SEND) {
    assertEquals(nextSend(state, event), next, `${state}, ${event}`);
  }
});

Deno.test("channel state: every event has its outcome in every state of receiving", () => {
  assertEquals(RECEIVE.length, 4 * 3);
  for (const { state, event, next } of RECEIVE) {
    assertEquals(nextReceive(state, event), next, `${state}, ${event}`);
  }
});

Deno.test("channel state: every event has its outcome in every state of closing", () => {
  assertEquals(CLOSE.length, 8 * 5);
  for (const { state, event, next } of CLOSE) {
    assertEquals(nextClose(state, event), next, `${state}, ${event}`);
  }
});

Deno.test("channel state: the tables lead to the states that they name, and to no other", () => {
  assertEquals(
    reachable(SEND, "open"),
    new Set<SendState>(["open", "ending", "failed", "ended"]),
  );
  assertEquals(
    reachable(RECEIVE, "open"),
    new Set<ReceiveState>(["open", "cancelled", "ended", "lost"]),
  );
  assertEquals(reachable(CLOSE, "opening"), new Set(CLOSE.map((r) => r.state)));
});

Deno.test("channel state: from every state the end of the session closes", () => {
  for (const { state, event, next } of CLOSE) {
    if (event === "over") assertEquals(next, "closed", state);
  }
});

Deno.test("channel state: an event that came once changes nothing when it comes again", () => {
  for (const { event, next } of SEND) {
    assertEquals(nextSend(next, event), next, event);
  }
  for (const { event, next } of RECEIVE) {
    assertEquals(nextReceive(next, event), next, event);
  }
  for (const { event, next } of CLOSE) {
    // A CONFIRM that repeats is refused before it comes here.
    if (event === "confirm") continue;
    assertEquals(nextClose(next, event), next, event);
  }
});

Deno.test("channel state: no way leads back to a state in which frames may be sent", () => {
  for (const { state, next } of CLOSE) {
    if (!isConfirmed(state) || maySend(state)) continue;
    assert(!maySend(next), `${state} to ${next}`);
  }
});

Deno.test("channel state: nothing is sent before the number to address is known", () => {
  for (const { state } of CLOSE) {
    if (maySend(state)) assert(isConfirmed(state), state);
  }
});
