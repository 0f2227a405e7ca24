import {
  CallError,
  type CallOptions,
  dial,
  handlerFrom,
  listen,
  MuxError,
  type Peer,
  RemoteError,
  RpcError,
} from "@qtalk/qtalk";
import { intercept, isNotBegun, retry } from "@qtalk/qtalk/middleware";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type Harness, test } from "../../tests/support/harness.ts";
import { turn } from "../../tests/support/within.ts";
import { retryIn, type RetryOptions } from "./retry.ts";

/** A clock that moves when something waits for it. */
function clock() {
  const delays: number[] = [];
  let time = 0;
  return {
    delays,
    environment: {
      wait(ms: number, signal?: AbortSignal) {
        delays.push(ms);
        time += ms;
        return signal?.aborted
          ? Promise.reject(signal.reason)
          : Promise.resolve();
      },
      now: () => time,
      random: () => 0,
    },
  };
}

/** A service that fails with these errors first. */
function failing(t: Harness, errors: unknown[], options: RetryOptions = {}) {
  const begun: unknown[] = [];
  const [client] = t.pair({}, {
    onError: () => {},
    handler: handlerFrom((n: unknown) => {
      begun.push(n);
      const error = errors.shift();
      if (error !== undefined) throw error;
      return n;
    }),
  });
  const { delays, environment } = clock();
  const caller = intercept(client, retryIn(options, environment));
  return { caller, client, delays, begun };
}

const busy = (retryAfter?: number) =>
  new CallError("busy: try later", {
    code: "busy",
    details: retryAfter === undefined ? undefined : { retryAfter },
  });
const unavailable = () => new CallError("closing", { code: "unavailable" });

test("retry(): a call that was not begun is made again, with growing delays", async (t) => {
  const { caller, delays } = failing(t, [busy(), unavailable(), busy()]);
  assertEquals(await caller.call("x", ["a"]), "a");
  assertEquals(delays, [100, 200, 400]);
});

test("retry(): after maxAttempts, the latest error is thrown", async (t) => {
  const { caller, begun } = failing(t, [busy(), busy(), unavailable()], {
    maxAttempts: 2,
  });
  const error = await assertRejects(() => caller.call("x", [1]), RemoteError);
  assertEquals([error.code, begun.length], ["busy", 2]);
  await assertRejects(() => caller.call("x", [1], {}), RemoteError).catch(
    () => {},
  );
});

test("retry(): the peer says when to come back", async (t) => {
  const { caller, delays } = failing(t, [busy(1_500), busy(10), busy(6_000)]);
  await assertRejects(() => caller.call("x", [1]), RemoteError, "busy");
  // The last of them is longer than maxDelay.
  assertEquals(delays, [1_500, 200]);
});

test("retry(): no other call is made again", async (t) => {
  const others = [
    new CallError("x", { code: "not-found" }),
    new CallError("x", { code: "deadline-exceeded" }),
    new CallError("x"),
    new TypeError("x"),
  ];
  const { caller, begun, delays } = failing(t, others);
  for (let i = 1; i <= 4; i++) {
    await assertRejects(() => caller.call("x", [1]), RemoteError);
    assertEquals(begun.length, i);
  }
  assertEquals(delays, []);
});

/** A peer whose connection is lost while calls run. */
function lost(t: Harness, options: RetryOptions) {
  const [client, server] = t.pair({}, {
    handler: async (call) => {
      begun++;
      const gone = Promise.withResolvers<void>();
      call.signal.addEventListener("abort", () => gone.resolve());
      if (begun === 1) void server.close();
      await gone.promise;
    },
  });
  let begun = 0;
  const { delays, environment } = clock();
  const caller = intercept(client, retryIn(options, environment));
  return { caller, delays, begun: () => begun };
}

test("retry(): a call that may have run is not made again", async (t) => {
  const { caller, delays } = lost(t, {});
  const error = await assertRejects(() => caller.call("x"), MuxError);
  assertEquals([error.code, isNotBegun(error)], ["connection-lost", false]);
  assertEquals(delays, []);
});

test("retry(): one that is declared idempotent is", async (t) => {
  const seen: string[] = [];
  const { caller, delays } = lost(t, {
    maxAttempts: 2,
    idempotent: ({ selector }) => (seen.push(selector), selector === "get"),
  });
  await assertRejects(() => caller.call("get"), MuxError);
  assertEquals([seen, delays], [["get"], [100]]);
});

test("retry(): a call whose connection is lost before it is sent is made again", async (t) => {
  const { peer, raw } = t.scriptedPeer();
  const { environment, delays } = clock();
  const caller = intercept(peer, retryIn({ maxAttempts: 3 }, environment));
  const call = caller.call("x");
  await raw.find("open");
  await raw.close();
  const error = await assertRejects(() => call, MuxError);
  assertEquals([error.code, isNotBegun(error)], ["connection-lost", true]);
  assertEquals(delays, [100, 200]);
});

test("retry(): this side has closed the session, so no attempt can succeed", async (t) => {
  const { client, caller, delays } = failing(t, []);
  await client.close();
  await assertRejects(() => caller.call("x"), MuxError);
  assertEquals(delays, []);
});

test("retry(): the budget is for all calls, and calls that succeed fill it up", async (t) => {
  const errors = Array.from({ length: 3 }, () => busy());
  const { caller, begun } = failing(t, errors, { budget: 2, maxAttempts: 9 });
  await assertRejects(() => caller.call("x", [1]), RemoteError);
  assertEquals(begun.length, 3);
  errors.push(busy());
  await assertRejects(() => caller.call("x", [1]), RemoteError);
  assertEquals(begun.length, 4);
  for (let i = 0; i < 11; i++) await caller.call("x", [1]);
  errors.push(busy());
  assertEquals(await caller.call("x", [1]), 1);
});

test("retry(): the timeout of a call is for all attempts together", async (t) => {
  const timeouts: unknown[] = [];
  const { environment, delays } = clock();
  const { client } = failing(t, [busy(), busy(), busy()]);
  const caller = intercept(
    client,
    retryIn({ maxAttempts: 9 }, environment),
    ({ options }, next) => (timeouts.push(options.timeout), next()),
  );
  await assertRejects(
    () => caller.call("x", [1], { timeout: 650 }),
    RemoteError,
  );
  assertEquals(timeouts, [650, 550, 350]);
  assertEquals(delays, [100, 200]);
});

test("retry(): the signal of a call ends the delay", async (t) => {
  const { client } = failing(t, [busy(), busy()]);
  const controller = new AbortController();
  const caller = intercept(
    client,
    retry({ minDelay: 60_000, maxDelay: 60_000 }),
  );
  const options: CallOptions = { signal: controller.signal };
  const call = caller.call("x", [1], options).catch((reason) => reason);
  for (let i = 0; i < 10; i++) await turn();
  controller.abort("enough");
  assertEquals(await call, "enough");
});

test("retry(): a stream among the arguments can be read once only", async (t) => {
  for (const args of [ReadableStream.from([1]), [ReadableStream.from([1])]]) {
    const { caller, delays } = failing(t, [busy()]);
    await assertRejects(() => caller.call("x", args), RemoteError, "busy");
    assertEquals(delays, []);
  }
});

test("retry(): with a reconnecting peer, calls survive a server that restarts", async (t) => {
  const handler = handlerFrom((n: number) => n);
  const first = t.watch(await listen("tcp://127.0.0.1:0", { handler }));
  await using peer = await dial(first.addr, {
    reconnect: { minDelay: 1, maxDelay: 10 },
  });
  const caller = intercept(peer, retry({ minDelay: 1 }));
  assertEquals(await caller.call("x", [1]), 1);
  const { addr } = first;
  await first.close();
  const call = caller.call("x", [2]);
  const second = t.watch(await listen(addr, { handler }));
  assertEquals(await call, 2);
  await second.close();
});

test("isNotBegun(): it tells calls that never reached a handler", async (t) => {
  const [client] = t.pair({}, {
    onError: () => {},
    handler: handlerFrom((code: string) => {
      throw new CallError("No", { code });
    }),
  });
  const of = (peer: Peer, code: string) =>
    peer.call("x", [code]).then(() => true, isNotBegun);
  assertEquals(await of(client, "busy"), true);
  assertEquals(await of(client, "unavailable"), true);
  assertEquals(await of(client, "aborted"), false);
  await client.close();
  assertEquals(await of(client, "x"), true);
  assertEquals(isNotBegun(new RpcError("timeout", "x")), false);
  assertEquals(isNotBegun("busy"), false);
});

test("retry(): options out of range are refused", () => {
  const wrong: RetryOptions[] = [
    { maxAttempts: 0 },
    { maxAttempts: 1.5 },
    { minDelay: -1 },
    { minDelay: 200, maxDelay: 100 },
    { jitter: 2 },
    { budget: -1 },
  ];
  for (const options of wrong) {
    const error = assertThrows(() => retry(options), RangeError);
    assert((error as Error).message.startsWith('Cannot use option "'));
  }
  retry({ minDelay: 60_000 });
});
