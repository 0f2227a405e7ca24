import { type Callback, handlerFrom, withStream } from "@qtalk/qtalk";
import { assertEquals } from "@std/assert";
import { test } from "../../tests/support/harness.ts";
import { turn, until, within } from "../../tests/support/within.ts";

// A value of which a part was sent when its call ends: each function in it is
// released once, by the side that knows of it.

/** More than the windows of two ends have room for. */
const LARGE = "x".repeat(4 * 1024 * 1024);
const shared = () => "shared";

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
        handler: handlerFrom({ held: () => shared }),
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
      const response = await client.request("cut");
      await sending.promise;
      for (let i = 0; i < 5; i++) await turn();
      if (way === "the caller leaves") await response.close();
      else controller.abort(new Error("enough"));
      await within(sent.promise, "the end of sending");
      const reading = response.receive().catch(() => {});
      await within(reading, "the end of the response");
      await response.close();
      await until(() => server.callbackCount === 1, "one function to be left");
      for (let i = 0; i < 20; i++) await turn();
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
  const call = client.call("sum", ReadableStream.from([1]), { signal });
  const failed = call.catch(() => {});
  await answering.promise;
  for (let i = 0; i < 5; i++) await turn();
  controller.abort();
  await failed;
  await until(() => server.callbackCount === 1, "one function to be left");
  for (let i = 0; i < 20; i++) await turn();
  assertEquals(await held(), "shared");
  held.release();
  await until(() => server.callbackCount === 0, "no function to be left");
});
