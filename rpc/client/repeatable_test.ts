import { CodecError, memoryPair, MuxError, RemoteError } from "@qtalk/qtalk";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { isRepeatable, isUsedUp } from "./repeatable.ts";

const BUSY = new RemoteError("busy", "busy");

async function* numbers() {
  yield* [1, 2, 3];
}

/** The error of a call for which there is no channel. */
async function unsent(args: unknown): Promise<unknown> {
  const session = { maxChannels: 1 };
  const [client, server] = memoryPair({ session }, { session });
  const begun = Promise.withResolvers<void>();
  server.handle("first", async (call) => {
    begun.resolve();
    await server.closed.finally(() => call.channel.close());
  });
  client.call("first").catch(() => {});
  await begun.promise;
  const waiting = assertRejects(() => client.call("x", args), MuxError);
  await client.close();
  return await waiting;
}

Deno.test("isRepeatable(): a call that was refused or not sent is, others are not", async () => {
  assert(isRepeatable(BUSY, [1]));
  assert(isRepeatable(new RemoteError("closing", "unavailable"), null));
  assert(isRepeatable(await unsent([1]), [1]));
  const lost = new MuxError("connection-lost", "Cannot go on: lost");
  assertEquals(isRepeatable(lost, [1]), false);
  assertEquals(isRepeatable(new RemoteError("oh"), [1]), false);
  assertEquals(isRepeatable(new CodecError("malformed", "x"), [1]), false);
});

Deno.test("isUsedUp(): a stream that is the argument is unread if the call was not sent", async () => {
  const stream = numbers();
  assertEquals(isUsedUp(await unsent(stream), stream), false);
  assertEquals(await Array.fromAsync(stream), [1, 2, 3]);
  assert(isUsedUp(BUSY, stream));
});

Deno.test("isUsedUp(): a stream within the arguments has ended with the call", async () => {
  const cancelled = Promise.withResolvers<void>();
  const ended = new ReadableStream({ cancel: () => cancelled.resolve() });
  const error = await unsent([{ body: ended }]);
  assert(isUsedUp(error, [{ body: ended }]));
  await cancelled.promise;

  const stream = () => new ReadableStream();
  for (
    const args of [
      [stream()],
      { deep: [{ er: stream() }] },
      new Map([["body", stream()]]),
      [new Set([stream()])],
      [numbers()],
    ]
  ) {
    assert(isUsedUp(BUSY, args));
    assertEquals(isRepeatable(BUSY, args), false);
  }
});

Deno.test("isUsedUp(): values that refer to each other are looked at once", () => {
  let args: unknown = [new Uint8Array(8), () => {}, null, "text"];
  for (let i = 0; i < 200; i++) args = { left: args, right: args };
  const circle: unknown[] = [args];
  circle.push(circle);
  assertEquals(isUsedUp(BUSY, circle), false);
});
