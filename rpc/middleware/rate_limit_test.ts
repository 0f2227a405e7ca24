import { handlerFrom, type Peer, RemoteError } from "@qtalk/qtalk";
import { rateLimit, type RateLimitOptions } from "@qtalk/qtalk/middleware";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type Harness, test } from "../../tests/support/harness.ts";
import { rateLimitAt } from "./rate_limit.ts";

function limited(t: Harness, options: RateLimitOptions) {
  const time = { now: 0 };
  const limit = rateLimitAt(options, () => time.now);
  const begun: unknown[] = [];
  const connect = () => {
    const [client, server] = t.pair({}, {
      handler: handlerFrom((n: unknown) => void begun.push(n)),
    });
    server.use(limit);
    return client;
  };
  return { connect, time, begun };
}

/** When to come back; undefined if the call was answered. */
async function retryAfter(peer: Peer, arg: unknown = 1): Promise<unknown> {
  try {
    await peer.call("x", [arg]);
    return undefined;
  } catch (error) {
    assert(error instanceof RemoteError);
    assertEquals(error.code, "busy");
    return (error.details as { retryAfter: number }).retryAfter;
  }
}

test("rateLimit(): calls beyond it are busy, and learn when to come back", async (t) => {
  const { connect, time, begun } = limited(t, { calls: 2, interval: 1_000 });
  const client = connect();
  assertEquals(await retryAfter(client, "a"), undefined);
  assertEquals(await retryAfter(client, "b"), undefined);
  assertEquals(await retryAfter(client, "c"), 500);
  time.now = 300;
  assertEquals(await retryAfter(client, "d"), 200);
  time.now = 500;
  assertEquals(await retryAfter(client, "e"), undefined);
  assertEquals(await retryAfter(client, "f"), 500);
  time.now = 100_000;
  // No more than one interval is saved up.
  const answers = [];
  for (let i = 0; i < 3; i++) answers.push(await retryAfter(client, i));
  assertEquals(answers, [undefined, undefined, 500]);
  assertEquals(begun, ["a", "b", "e", 0, 1]);
  await assertRejects(
    () => client.call("x"),
    RemoteError,
    'busy: more than 2 calls in 1000 ms; cannot call "/x"',
  );
});

test("rateLimit(): each connection has a limit of its own", async (t) => {
  const { connect } = limited(t, { calls: 1 });
  const [one, other] = [connect(), connect()];
  assertEquals(await retryAfter(one), undefined);
  assertEquals(await retryAfter(other), undefined);
  assertEquals(await retryAfter(one), 1_000);
});

test("RateLimitOptions.by: connections of the same object share a limit", async (t) => {
  const tenant = {};
  const { connect } = limited(t, { calls: 2, by: () => tenant });
  const [one, other] = [connect(), connect()];
  assertEquals(await retryAfter(one), undefined);
  assertEquals(await retryAfter(other), undefined);
  assertEquals(await retryAfter(one), 500);
});

test("RateLimitOptions.bytes: what has arrived from the connection counts", async (t) => {
  const { connect, time } = limited(t, { bytes: 10_000 });
  const client = connect();
  assertEquals(await retryAfter(client), undefined);
  assertEquals(await retryAfter(client, "x".repeat(50_000)), undefined);
  const after = await retryAfter(client) as number;
  assert(after > 3_000 && after < 6_000, String(after));
  time.now = after + 1_000;
  assertEquals(await retryAfter(client), undefined);
});

test("RateLimitOptions.opens: channels that the peer opens count", async (t) => {
  const { connect, time } = limited(t, { opens: 100 });
  const client = connect();
  assertEquals(await retryAfter(client), undefined);
  const channels = await Promise.all(
    Array.from({ length: 200 }, () => client.session.open()),
  );
  await Promise.all(channels.map((channel) => channel.close()));
  const after = await retryAfter(client) as number;
  assert(after >= 900 && after < 3_000, String(after));
  time.now = 60_000;
  assertEquals(await retryAfter(client), undefined);
});

test("rateLimit(): options out of range are refused", () => {
  const wrong: RateLimitOptions[] = [
    { calls: 0 },
    { opens: -1 },
    { bytes: NaN },
    { interval: 0 },
  ];
  for (const options of wrong) {
    assertThrows(() => rateLimit(options), RangeError, "Cannot use option");
  }
});
