import { type Handler, RpcError } from "@qtalk/qtalk";
import { assertEquals, assertRejects } from "@std/assert";
import { gatedLoading } from "../../tests/support/gated_loading.ts";
import { type Harness, test } from "../../tests/support/harness.ts";
import { parseTable, reachable } from "../../tests/support/state_table.ts";
import { turn, watch, within } from "../../tests/support/within.ts";
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

// While the module is being loaded, and when it cannot be.

const gated = (t: Harness) =>
  gatedLoading(t, "loadContinuing", "Cannot receive response: gone");

/** Continues with the argument, and sends it as many values. */
const count: Handler = async (call, respond) => {
  const n = await call.receive() as number;
  const channel = await respond.continue(n);
  for (let i = 0; i < n; i++) await respond.send(i);
  await channel.close();
};

test("SessionState.loadContinuing: what has arrived meanwhile is received, and other calls do not wait", async (t) => {
  const gate = gated(t);
  const [client, server] = t.pair();
  server.handle("count", count);
  server.handle("echo", async (call, respond) => {
    await respond.return(await call.receive());
  });
  const request = client.request("count", 3);
  await within(gate.begun, "the module to be asked for");
  assertEquals(await client.call("echo", 1), 1);
  gate.open();
  const response = await request;
  assertEquals(response.value, 3);
  assertEquals(await Array.fromAsync(response), [0, 1, 2]);
  const next = await client.request("count", 1);
  assertEquals(await Array.fromAsync(next), [0]);
  assertEquals(gate.asked, 1);
});

test("SessionState.loadContinuing: if it fails, the call fails with load-failed, and the next one tries again", async (t) => {
  const gate = gated(t);
  const [client, server] = t.pair();
  const closed = Promise.withResolvers<void>();
  server.handle("wait", async (_call, respond) => {
    const channel = await respond.continue(1);
    channel.closed.then(closed.resolve, () => closed.resolve());
    await channel.closed.catch(() => {});
  });
  server.handle("count", count);
  const request = client.request("wait");
  await within(gate.begun, "the module to be asked for");
  gate.fail();
  const error = await assertRejects(() => request, RpcError);
  assertEquals(error.code, "load-failed");
  assertEquals(error.message, 'Cannot receive response: gone, in call "wait"');
  await within(closed.promise, "the handler's channel to be closed");
  const response = await client.request("count", 2);
  assertEquals(await Array.fromAsync(response), [0, 1]);
});

test("SessionState.loadContinuing: a call that has waited for ten seconds fails, and the next one waits again", async (t) => {
  const gate = gatedLoading(t, "importContinuing");
  const [client, server] = t.pair();
  server.handle("count", count);
  const time = t.time();
  const request = client.request("count", 1);
  const watched = watch(request);
  await within(gate.begun, "the module to be asked for");
  time.tick(9_999);
  await turn();
  assertEquals(watched.state, "pending");
  time.tick(1);
  const error = await assertRejects(() => request, RpcError);
  assertEquals(error.code, "load-failed");
  assertEquals((error.cause as Error).message, "it takes more than 10000 ms");
  const next = client.request("count", 1);
  gate.open();
  assertEquals(await Array.fromAsync(await next), [0]);
  assertEquals(gate.asked, 2);
});

test("SessionState.loadContinuing: a call that is given up meanwhile does not wait for it", async (t) => {
  const gate = gated(t);
  const [client, server] = t.pair();
  const aborted = Promise.withResolvers<void>();
  server.handle("wait", async (call, respond) => {
    call.signal.addEventListener("abort", () => aborted.resolve());
    await respond.continue(1);
    await aborted.promise;
  });
  const controller = new AbortController();
  const { signal } = controller;
  const request = client.request("wait", null, { signal });
  await within(gate.begun, "the module to be asked for");
  const reason = new Error("enough");
  controller.abort(reason);
  assertEquals(await assertRejects(() => request), reason);
  await within(aborted.promise, "the handler to learn it");
  gate.open();
});

test("SessionState.loadContinuing: call() takes the first value without it", async (t) => {
  const gate = gated(t);
  const [client, server] = t.pair();
  server.handle("count", count);
  assertEquals(await client.call("count", 3), 3);
  assertEquals(gate.asked, 0);
});
