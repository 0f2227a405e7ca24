import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { test } from "../tests/support/harness.ts";
import { turn, watch, within } from "../tests/support/within.ts";
import { MuxError } from "./errors.ts";
import { qmux } from "./session.ts";
import type { AbortableTransport } from "./transport/types.ts";
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

test("QmuxSession: close() closes the transport at once when closeTimeout has passed", async (t) => {
  const time = t.time();
  const steps: string[] = [];
  const ended = Promise.withResolvers<null>();
  const closed = Promise.withResolvers<void>();
  // A peer that reads nothing, in a transport with a closing handshake.
  const transport: AbortableTransport = {
    read: () => ended.promise,
    write: () => Promise.resolve(),
    closeWrite() {
      steps.push("closeWrite");
      return new Promise<void>(() => {});
    },
    close() {
      steps.push("close");
      return closed.promise;
    },
    abort() {
      steps.push("abort");
      ended.resolve(null);
      closed.resolve();
    },
  };
  const session = qmux(transport, { closeTimeout: 5_000 });
  const closing = session.close();
  await turn();
  time.tick(4_999);
  assertEquals(steps, ["closeWrite"]);
  time.tick(1);
  await within(closing, "close()");
  assertEquals(steps[1], "abort");
});

test("QmuxSession: close() aborts no transport whose peer ends in time", async (t) => {
  using _ = t.time();
  const steps: string[] = [];
  const ended = Promise.withResolvers<null>();
  const transport: AbortableTransport = {
    read: () => ended.promise,
    write: () => Promise.resolve(),
    closeWrite() {
      ended.resolve(null);
      return Promise.resolve();
    },
    close: () => void steps.push("close"),
    abort: () => void steps.push("abort"),
  };
  await qmux(transport, { closeTimeout: 5_000 }).close();
  assertEquals(steps.includes("abort"), false);
});

test("QmuxSession: close() does not wait for a stream of the program that never closes", async (t) => {
  const time = t.time();
  const never = new Promise<void>(() => {});
  const session = qmux({
    readable: new ReadableStream({ cancel: () => never }),
    writable: new WritableStream({ close: () => never }),
  }, { closeTimeout: 5_000 });
  const closing = session.close();
  await turn();
  const watched = watch(closing);
  time.tick(4_999);
  await turn();
  assertEquals(watched.state, "pending");
  time.tick(1);
  await within(closing, "close()");
});

Deno.test("QmuxSession: close() and opens settle while the description of bytes that are no frames is loaded", async () => {
  const closed = Promise.withResolvers<void>();
  let chunks = [new TextEncoder().encode("SSH-2.0-OpenSSH\r\n")];
  const transport: Transport = {
    read: () => Promise.resolve(chunks.shift() ?? null),
    write: () => Promise.resolve(),
    closeWrite: () => Promise.resolve(),
    close: () => closed.resolve(),
  };
  const refused = qmux(transport);
  const opening = watch(refused.open());
  const error = await assertRejects(() => refused.closed, MuxError);
  assertEquals(error.code, "protocol-error");
  assertStringIncludes(error.message, "looks like SSH");
  await closed.promise;
  assertEquals(opening.state, "rejected");

  chunks = [new TextEncoder().encode("SSH-2.0-OpenSSH\r\n")];
  const left = qmux(transport);
  // By now, the bytes were read and are no frames.
  await undefined;
  await undefined;
  await left.close();
  assertEquals(await left.closed, undefined);
});
