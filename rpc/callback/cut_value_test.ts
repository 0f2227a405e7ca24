import { type Callback, handlerFrom, withStream } from "@qtalk/qtalk";
import { assertEquals } from "@std/assert";
import type { Peer } from "../../talk/peer.ts";
import { test } from "../../tests/support/harness.ts";
import { rawOpen } from "../../tests/support/raw_call.ts";
import { until, within } from "../../tests/support/within.ts";

// A value of which a part was sent when its call ends: each function in it is
// released once, by the side that knows of it.

/** More than the windows of two ends have room for. */
const LARGE = "x".repeat(4 * 1024 * 1024);
const shared = () => "shared";

/** Returns what waits until some of a large value has arrived since. */
function partTo(peer: Peer): () => Promise<void> {
  const before = peer.stats.bytes.received;
  const hasSome = () => peer.stats.bytes.received > before + 10_000;
  return () => until(hasSome, "a part of the value");
}

/** The functions before and after what is not sent. */
const VALUES: Record<string, () => unknown[]> = {
  "at its beginning": () => [shared, () => 1, LARGE],
  "at its end": () => [LARGE, shared, () => 1],
  "in both": () => [shared, () => 1, LARGE, shared, () => 2],
};

for (const [where, make] of Object.entries(VALUES)) {
  for (const way of ["the caller leaves", "the responder gives up"]) {
    test(`callbacks: functions of a value that is cut when ${way} are released once, ${where}`, async (t) => {
      const controller = new AbortController();
      const sending = Promise.withResolvers<void>();
      const sent = Promise.withResolvers<unknown>();
      const [client, server] = t.pair({}, {
        handler: handlerFrom({ held: () => shared, nothing: () => {} }),
        onError: () => {},
      });
      server.handle("cut", async (_call, respond) => {
        await respond.continue(null);
        const { signal } = controller;
        respond.send(make(), { signal }).then(sent.resolve, sent.resolve);
        sending.resolve();
        await sent.promise;
      });
      // The same function, which the end of the other call must not take away.
      const held = await client.call("held") as Callback<() => string>;
      const part = partTo(client);
      const response = await client.request("cut");
      await sending.promise;
      await part();
      if (way === "the caller leaves") await response.close();
      else controller.abort(new Error("enough"));
      await within(sent.promise, "the end of sending");
      const reading = response.receive().catch(() => {});
      await within(reading, "the end of the response");
      await response.close();
      await until(() => server.callbackCount === 1, "one function to be left");
      // Another release would arrive before this call.
      await client.call("nothing");
      assertEquals(await held(), "shared");
      held.release();
      await until(() => server.callbackCount === 0, "no function to be left");
    });
  }
}

test("callbacks: functions of an answer to streamed arguments that is cut are released once", async (t) => {
  const answering = Promise.withResolvers<void>();
  const [client, server] = t.pair({}, {
    handler: handlerFrom({
      held: () => shared,
      nothing: () => {},
      sum: withStream(async (values: AsyncIterable<number>) => {
        for await (const _ of values);
        answering.resolve();
        return [shared, () => 1, LARGE, shared, () => 2];
      }),
    }),
  });
  const held = await client.call("held") as Callback<() => string>;
  const controller = new AbortController();
  const { signal } = controller;
  const part = partTo(client);
  const call = client.call("sum", ReadableStream.from([1]), { signal });
  const failed = call.catch(() => {});
  await answering.promise;
  await part();
  controller.abort();
  await failed;
  await until(() => server.callbackCount === 1, "one function to be left");
  // As above.
  await client.call("nothing");
  assertEquals(await held(), "shared");
  held.release();
  await until(() => server.callbackCount === 0, "no function to be left");
});

for (const how of ["an answer", "a value of a stream"]) {
  test(`callbacks: if a caller that is not extended cuts ${how}, all functions in it are released`, async (t) => {
    const { peer, raw } = t.scriptedPeer({
      handler: async (call, respond) => {
        await call.receive();
        const value = [shared, () => 1, LARGE, shared];
        if (how === "an answer") return await respond.return(value);
        await respond.continue(null);
        await respond.send(value).catch(() => {});
      },
    });
    const channel = await rawOpen(raw, 0, 1_000);
    await channel.values({ Selector: "x" }, null);
    await until(() => peer.callbackCount === 2, "the functions to be lent");
    // The pointers at the beginning are sent by then.
    await channel.read(1);
    await channel.close();
    await until(() => peer.callbackCount < 2, "functions to be released");
    assertEquals(peer.callbackCount, 0);
  });
}
