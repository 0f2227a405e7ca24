import { handlerFrom } from "@qtalk/qtalk";
import { assert, assertEquals } from "@std/assert";
import { test } from "../tests/support/harness.ts";
import { until } from "../tests/support/within.ts";

test("Peer.stats: bytes are counted in both directions, and agree at both ends", async (t) => {
  const [client, server] = t.pair({}, {
    handler: handlerFrom((text: string) => text.length),
  });
  const text = "x".repeat(10_000);
  for (let n = 0; n < 5; n++) await client.call("length", [text]);
  await until(() => client.stats.bytes.sent === server.stats.bytes.received);
  await until(() => server.stats.bytes.sent === client.stats.bytes.received);
  const { bytes, channels } = client.stats;
  assert(bytes.sent > 50_000, `${bytes.sent}`);
  assert(bytes.received < 5_000, `${bytes.received}`);
  // The calls share one, and there is a spare one.
  assert(channels.total >= 2, `${channels.total}`);
});

test("Peer.stats: calls that are being answered and channels that are open are counted", async (t) => {
  const answer = Promise.withResolvers<void>();
  const [client, server] = t.pair({}, {
    handler: handlerFrom(() => answer.promise),
  });
  assertEquals(server.stats.calls, { total: 0, answering: 0, waiting: 0 });
  const calls = [client.call("wait"), client.call("wait")];
  await until(() => server.stats.calls.answering >= 2);
  assertEquals(server.stats.calls.total, 2);
  assert(server.stats.channels.open >= 2);
  answer.resolve();
  await Promise.all(calls);
  await until(() => server.stats.calls.answering === 0);
});

test("Peer.stats: callbacks and memory are those of the session", async (t) => {
  const [client] = t.pair({}, {
    handler: handlerFrom(() => new Promise<void>(() => {})),
  });
  const before = client.stats;
  assertEquals(before.callbacks, 0);
  const abort = new AbortController();
  const calling = client.call("wait", [() => {}], { signal: abort.signal });
  await until(() => client.stats.callbacks !== 0);
  assertEquals(client.stats.callbacks, client.callbackCount);
  assertEquals(client.stats.held, client.session.usage.held.total);
  abort.abort();
  await calling.catch(() => {});
});
