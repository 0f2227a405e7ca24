// A kind of session without a wire: what the suite asks of sessions is asked of
// it too, so that the interfaces say all that there is to know.

import { assertEquals } from "@std/assert";
import { proxy } from "@qtalk/qtalk/mux";
import { test } from "../support/harness.ts";
import { queueSessions } from "../support/queue_session.ts";
import { testSession } from "./session_suite.ts";

testSession("session over queues", ({ a, b }) => {
  const [left, right] = queueSessions(a, b);
  return Promise.resolve({ a: left, b: right, close() {} });
}, {
  "a small message does not wait behind bulk":
    "a queue takes a whole window at once, since no line is shared",
});

test("proxy(): joins a session of one kind with a session of another", async (t) => {
  const [client, near] = queueSessions();
  const [far, server] = t.sessions();
  t.watchBoth(client, near);
  const proxied = proxy(near, far);
  server.accept(({ readable, writable }) => void readable.pipeTo(writable));
  const { readable, writable } = await client.open();
  const writer = writable.getWriter();
  await writer.write(new TextEncoder().encode("there and back"));
  await writer.close();
  assertEquals(await new Response(readable).text(), "there and back");
  await client.close();
  await proxied;
});
