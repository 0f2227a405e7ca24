/**
 * What happens while the module for functions of a peer is being loaded, and when it
 * cannot be.
 */
import { type Callback, CallError, handlerFrom, RpcError } from "@qtalk/qtalk";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { type Gate, gatedLoading } from "../../tests/support/gated_loading.ts";
import { type Harness, test } from "../../tests/support/harness.ts";
import { turn, until, watch, within } from "../../tests/support/within.ts";
import type { Peer } from "../../talk/mod.ts";

type Fn = Callback<(n: number) => number>;

const double = (n: number) => 2 * n;

const gated = (t: Harness) =>
  gatedLoading(t, "loadReceiving", "Cannot receive function: gone");

/** Waits until a peer lends that many functions. */
async function lends(peer: Peer, count: number): Promise<void> {
  await until(
    () => peer.callbackCount === count,
    `${count} functions to be lent`,
  );
}

/** Waits until the module was asked for so many times. */
async function askedBy(gate: Gate, times: number): Promise<void> {
  await until(
    () => gate.asked >= times,
    `the module to be asked for ${times} times`,
  );
}

/** Lets what has been sent arrive. */
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await turn();
}

test("SessionState.loadReceiving: sessions without functions load nothing", async (t) => {
  const gate = gated(t);
  const answer = Promise.withResolvers<unknown>();
  const [client, server] = t.pair({}, {
    handler: handlerFrom({
      echo: (value: unknown) => value,
      async *count() {
        yield* [1, 2, 3];
      },
      late: () => answer.promise,
      fail: () => {
        throw new CallError("no");
      },
    }),
  });
  server.handle("open", async (call, respond) => {
    await call.receive();
    await respond.continue({ deep: [1] });
    await respond.send({ deep: [2] });
  });
  const value = { deep: [{ text: "a".repeat(1_000) }] };
  assertEquals(await client.call("echo", [value]), value);
  assertEquals(
    await Array.fromAsync(await client.request("count")),
    [1, 2, 3],
  );
  for await (const _ of await client.request("count")) break;
  const open = await client.request("open");
  await open.close();
  await assertRejects(() => client.call("fail"));
  // Its response arrives when it is not wanted any more.
  await assertRejects(() => client.call("late", [], { timeout: 1 }));
  answer.resolve(value);
  await settle();
  assertEquals(gate.asked, 0);
});

test("SessionState.loadReceiving: lending functions loads nothing", async (t) => {
  const gate = gated(t);
  const { peer, raw: _ } = t.scriptedPeer();
  const call = peer.call("use", [double], { timeout: 1 });
  assertEquals(peer.callbackCount, 1);
  await assertRejects(() => call);
  assertEquals(peer.callbackCount, 0);
  assertEquals(gate.asked, 0);
});

test("IncomingCall.receive: values come in order, those with functions and those after them", async (t) => {
  const gate = gated(t);
  const received: unknown[] = [];
  const [client, server] = t.pair();
  server.handle("take", async (call, respond) => {
    for await (const value of call) received.push(value);
    await respond.return(received.length);
  });
  const call = client.call(
    "take",
    (async function* () {
      yield 1;
      yield { fn: double };
      yield { fn: 3 };
      yield [[double]];
      yield 5;
    })(),
  );
  await gate.begun;
  await settle();
  assertEquals(received, [1]);
  gate.open();
  assertEquals(await call, 5);
  assert(typeof (received[1] as { fn: unknown }).fn === "function");
  assertEquals(received[2], { fn: 3 });
  assert(typeof (received[3] as unknown[][])[0]![0] === "function");
  assertEquals(received[4], 5);
  await lends(client, 0);
});

test("IncomingCall.receive: a wait that is aborted leaves the value to the next", async (t) => {
  const gate = gated(t);
  const [client, server] = t.pair();
  const outcomes: unknown[] = [];
  server.handle("take", async (call, respond) => {
    const stop = new AbortController();
    const first = call.receive({ signal: stop.signal });
    await gate.begun;
    stop.abort("enough");
    outcomes.push(await first.catch((reason) => reason));
    gate.open();
    const [fn] = await call.receive() as [Fn];
    outcomes.push(await fn(2));
    await respond.return();
  });
  assertEquals(await client.call("take", [double]), null);
  assertEquals(outcomes, ["enough", 4]);
  await lends(client, 0);
});

test("IncomingCall.receive: a call that is answered before its argument is made holds nothing of it", async (t) => {
  const gate = gated(t);
  const [client, server] = t.pair();
  const received = Promise.withResolvers<unknown>();
  server.handle("take", async (call, respond) => {
    received.resolve(call.receive());
    await gate.begun;
    await respond.return("early");
  });
  assertEquals(await client.call("take", [double]), "early");
  gate.open();
  const value = await received.promise;
  // What is made too late belongs to a call that has ended.
  if (value !== undefined) {
    const [fn] = value as [Fn];
    const error = await assertRejects(() => fn(1), RpcError);
    assertEquals(error.code, "released");
  }
  await lends(client, 0);
});

test("IncomingCall.receive: a caller that leaves meanwhile takes its functions along", async (t) => {
  const gate = gated(t);
  const [client, server] = t.pair();
  const outcome = Promise.withResolvers<unknown>();
  server.handle("take", async (call) => {
    const [fn] = await call.receive() as [Fn];
    await settle();
    outcome.resolve(await fn(1).catch((error: Error) => error));
  });
  const giveUp = new AbortController();
  const call = client.call("take", [double], { signal: giveUp.signal });
  await gate.begun;
  giveUp.abort(new Error("enough"));
  await assertRejects(() => call, Error, "enough");
  await lends(client, 0);
  gate.open();
  assert(await outcome.promise instanceof Error);
});

test("Peer.call: functions in a response wait for the module, and so does its end", async (t) => {
  const gate = gated(t);
  const [client, server] = t.pair();
  server.handle("give", (_call, respond) => respond.return({ fn: double }));
  server.handle(
    "several",
    (_call, respond) => respond.return(1, { fn: double }, 3),
  );
  const call = client.call("give");
  const several = client.request("several");
  await gate.begun;
  await settle();
  // Others do not wait for it.
  server.handle("plain", (_call, respond) => respond.return("now"));
  assertEquals(await client.call("plain"), "now");
  gate.open();
  const { fn } = await call as { fn: Fn };
  assertEquals(await fn(21), 42);
  const [one, two, three] = (await several).values;
  assertEquals([one, three], [1, 3]);
  assertEquals((two as { fn: Fn }).fn, fn);
  fn.release();
  fn.release();
  await lends(server, 0);
});

test("Peer.call: functions in a response to a call that is given up meanwhile are released", async (t) => {
  const gate = gated(t);
  const [client, server] = t.pair();
  server.handle("give", (_call, respond) => respond.return({ fn: double }));
  server.handle("stream", async (call, respond) => {
    for await (const _ of call);
    await respond.return({ fn: double });
  });
  const giveUp = new AbortController();
  const options = { signal: giveUp.signal };
  const calls = [
    client.call("give", [], options),
    client.request("give", [], options),
    // After EOF, the responder does not know what the caller has taken.
    client.call(
      "stream",
      (async function* () {
        yield 1;
      })(),
      options,
    ),
  ];
  await lends(server, 1);
  await askedBy(gate, 3);
  giveUp.abort(new Error("enough"));
  for (const call of calls) await assertRejects(() => call, Error, "enough");
  gate.open();
  await lends(server, 0);
});

test("RpcResponse.receive: functions come in order, and are released with what is left unread", async (t) => {
  const gate = gated(t);
  const [client, server] = t.pair();
  server.handle("give", async (_call, respond) => {
    await respond.continue("first");
    for (let i = 0; i < 3; i++) await respond.send([[(n: number) => n + i]]);
    await respond.send("last");
  });
  const response = await client.request("give");
  const giveUp = new AbortController();
  const aborted = response.receive({ signal: giveUp.signal });
  const values = Array.from({ length: 2 }, () => response.receive());
  await gate.begun;
  giveUp.abort("enough");
  assertEquals(await aborted.catch((reason) => reason), "enough");
  gate.open();
  const results: unknown[] = [];
  for (const value of values) {
    const [[fn]] = await value as [[Fn]];
    results.push(await fn!(10));
    fn!.release();
  }
  assertEquals(results, [10, 11]);
  await response.close();
  await lends(server, 0);
});

test("RpcResponse.close: a function that was read, and not made yet, is released", async (t) => {
  for (const end of ["close", "signal"] as const) {
    const gate = gated(t);
    const [client, server] = t.pair();
    server.handle("give", async (_call, respond) => {
      await respond.continue("first");
      await respond.send([[double]]);
      await respond.send([[double, double]]);
    });
    const giveUp = new AbortController();
    const { signal } = giveUp;
    const response = await client.request("give", [], { signal });
    const value = response.receive();
    value.catch(() => {});
    await gate.begun;
    if (end === "close") await response.close();
    else giveUp.abort(new Error("enough"));
    gate.open();
    if (end === "signal") await assertRejects(() => value, Error, "enough");
    else await value;
    await lends(server, 0);
  }
});

test("RpcResponse.close: functions in what was not read are released, wherever the pieces begin", async (t) => {
  const fns = Array.from({ length: 20 }, (_, i) => (n: number) => n + i);
  for (const size of [1, 2, 7, 41, 1_000]) {
    const [client, server] = t.pair({}, {
      session: { maxPacketSize: 64 + size },
    });
    server.handle("give", async (_call, respond) => {
      await respond.continue("first");
      await respond.send("-".repeat(size));
      for (const fn of fns) await respond.send([[fn]]);
    });
    const response = await client.request("give");
    await lends(server, fns.length);
    await settle();
    await response.close();
    await lends(server, 0);
    assertEquals(server.callbackCount, 0);
  }
});

test("Peer.call: a response that has arrived is received though the session ends meanwhile", async (t) => {
  const gate = gated(t);
  const [client, server] = t.pair();
  server.handle("give", (_call, respond) => respond.return({ fn: double }));
  const call = client.call("give");
  await gate.begun;
  await settle();
  await client.close();
  gate.open();
  const outcome = await within(
    call.then((value) => value, (error: unknown) => error),
    "the call to end",
  );
  if (!(outcome instanceof Error)) {
    const { fn } = outcome as { fn: Fn };
    await assertRejects(() => fn(1));
  }
  await lends(server, 0);
});

test("SessionState.loadReceiving: if it fails, the call fails with load-failed, and the next one tries again", async (t) => {
  const gate = gated(t);
  const reported: unknown[] = [];
  const [client, server] = t.pair({}, {
    onError: (error) => reported.push(error),
    handler: handlerFrom({
      give: () => ({ fn: double }),
      take: (fn: Fn) => fn(4),
    }),
  });
  const give = client.call("give");
  const take = client.call("take", [double]);
  await gate.begun;
  await askedBy(gate, 2);
  gate.fail();
  const error = await assertRejects(() => give, RpcError);
  assertEquals(error.code, "load-failed");
  const remote = await assertRejects(() => take, Error, "Cannot receive");
  assertEquals((remote as { code?: string }).code, "load-failed");
  assertEquals(reported.length, 1);
  assertEquals((reported[0] as RpcError).code, "load-failed");
  // It has not got the function that it could not receive.
  await lends(server, 0);
  assertEquals(await client.call("take", [double]), 8);
  const { fn } = await client.call("give") as { fn: Fn };
  assertEquals(await fn(1), 2);
  fn.release();
  await lends(server, 0);
  await lends(client, 0);
});

test("SessionState.loadReceiving: what has waited for ten seconds fails, and the next call waits again", async (t) => {
  const gate = gatedLoading(t, "importReceiving");
  const reported: unknown[] = [];
  const [client, server] = t.pair({}, {
    onError: (error) => reported.push(error),
    handler: handlerFrom({
      give: () => ({ fn: double }),
      take: (fn: Fn) => fn(4),
    }),
  });
  const time = t.time();
  const calls = [client.call("give"), client.call("take", [double])];
  const watched = calls.map((call) => watch(call));
  await askedBy(gate, 2);
  time.tick(9_999);
  await turn();
  assertEquals(watched.map(({ state }) => state), ["pending", "pending"]);
  time.tick(1);
  for (const call of calls) {
    const error = await assertRejects(() => call, Error);
    assertEquals((error as { code?: string }).code, "load-failed");
  }
  assertEquals(reported.length, 1);
  await lends(server, 0);
  await lends(client, 0);
  const next = client.call("take", [double]);
  gate.open();
  assertEquals(await next, 8);
  await lends(client, 0);
});
