import { assertEquals } from "@std/assert";
import { turn } from "../tests/support/within.ts";
import { qmux } from "./session.ts";
import type { Transport } from "./types.ts";

Deno.test("QmuxSession: close() waits for the transport even if the session has ended before", async () => {
  const transportClosed = Promise.withResolvers<void>();
  const transport: Transport = {
    read: () => Promise.resolve(null),
    write: () => Promise.resolve(),
    closeWrite: () => Promise.resolve(),
    close: () => transportClosed.promise,
  };
  const session = qmux(transport);
  await session.closed;

  const order: string[] = [];
  const closing = session.close().then(() => order.push("session"));
  // More turns than a close() that does not wait would need.
  for (let i = 0; i < 3; i++) await turn();
  order.push("transport");
  transportClosed.resolve();
  await closing;
  assertEquals(order, ["transport", "session"]);
});

Deno.test("QmuxSession: close() does not reject if the transport's close() does", async () => {
  const transport: Transport = {
    read: () => Promise.resolve(null),
    write: () => Promise.resolve(),
    closeWrite: () => Promise.resolve(),
    close: () => Promise.reject(new Error("broken")),
  };
  const ended = qmux(transport);
  await ended.closed;
  for (const session of [ended, qmux(transport)]) {
    assertEquals(await session.close(), undefined);
  }
});
