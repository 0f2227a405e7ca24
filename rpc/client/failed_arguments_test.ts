import { handlerFrom, memoryPair, withStream } from "@qtalk/qtalk";
import { assertEquals } from "@std/assert";
import { within } from "../../tests/support/within.ts";
import type { RemoteError } from "../errors.ts";

// The only test here: in the others of a file, the module would be loaded already.
Deno.test("streamed arguments: the handler gets the error of a producer that fails before its peer is closed, though what sends it has to be loaded", async () => {
  const ended = Promise.withResolvers<unknown>();
  const handler = handlerFrom(withStream(async function* (values) {
    yield "begun";
    try {
      for await (const _ of values);
    } catch (error) {
      ended.resolve(error);
    }
  }));
  const [client, server] = memoryPair({}, { handler });
  server.handle("hello", (_call, respond) => respond.return());
  await client.call("hello");
  const values = new TransformStream<number>();
  const response = await client.request("", values.readable);
  assertEquals(await response.receive(), "begun");
  await values.writable.abort(new Error("at two"));
  await client.close();
  const error = await within(ended.promise, "the values to end");
  assertEquals((error as RemoteError).text, "at two");
});
