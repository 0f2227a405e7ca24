import { assertEquals, assertRejects } from "@std/assert";
import { testTransport } from "../../tests/conformance/transport_suite.ts";
import { utf8 } from "../../tests/support/wire.ts";
import { turn, watch, within } from "../../tests/support/within.ts";
import { duplexTransport } from "./duplex.ts";

testTransport("duplexTransport", () => {
  const there = new TransformStream<Uint8Array, Uint8Array>();
  const back = new TransformStream<Uint8Array, Uint8Array>();
  return Promise.resolve({
    a: duplexTransport({ readable: back.readable, writable: there.writable }),
    b: duplexTransport({ readable: there.readable, writable: back.writable }),
    close() {},
  });
});

/** A transport over streams with this source and sink. */
function over(
  source: UnderlyingDefaultSource<Uint8Array> = {},
  sink: UnderlyingSink<Uint8Array> = {},
) {
  return duplexTransport({
    readable: new ReadableStream(source),
    writable: new WritableStream(sink),
  });
}

Deno.test("duplexTransport: the stream may keep the chunks that are written to it", async () => {
  const kept: Uint8Array[] = [];
  const transport = over({}, { write: (chunk) => void kept.push(chunk) });
  const buffer = utf8("one");
  await transport.write(buffer);
  buffer.set(utf8("two"));
  await transport.write(buffer);
  assertEquals(kept, [utf8("one"), utf8("two")]);
  await transport.close();
});

Deno.test("duplexTransport: read() rejects with the error of the readable", async () => {
  const broken = new Error("broken");
  const transport = over({ start: (controller) => controller.error(broken) });
  assertEquals(await transport.read().catch((error) => error), broken);
  await transport.close();
});

Deno.test("duplexTransport: write() rejects with the error of the writable", async () => {
  const broken = new Error("broken");
  const transport = over({}, { write: () => Promise.reject(broken) });
  const error = await transport.write(utf8("x")).catch((error) => error);
  assertEquals(error, broken);
  await transport.close();
});

Deno.test("duplexTransport: read() rejects for a chunk that is not a Uint8Array", async () => {
  const chunks: unknown[] = ["text", new ArrayBuffer(8), null, 7];
  for (const chunk of chunks) {
    const transport = over({
      start: (controller) => controller.enqueue(chunk as Uint8Array),
    });
    await assertRejects(
      () => transport.read(),
      TypeError,
      "Cannot read: the chunk is not a Uint8Array",
    );
    await transport.close();
  }
});

Deno.test("duplexTransport: close() cancels the readable and closes the writable", async () => {
  const seen: string[] = [];
  const transport = over(
    { cancel: () => void seen.push("cancel") },
    {
      close: () => void seen.push("close"),
      abort: () => void seen.push("abort"),
    },
  );
  await transport.close();
  assertEquals(seen, ["cancel", "close"]);
});

Deno.test("duplexTransport: close() aborts the writable during a write", async () => {
  const write = Promise.withResolvers<void>();
  const aborted = Promise.withResolvers<void>();
  const transport = over({}, {
    write: () => write.promise,
    abort: () => aborted.resolve(),
  });
  const writing = watch(transport.write(utf8("x")));
  await turn();
  await transport.close();
  await turn();
  assertEquals(writing.state, "rejected");
  write.resolve();
  await aborted.promise;
});

Deno.test("duplexTransport: close() waits for both streams", async () => {
  const cancelled = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  const transport = over(
    { cancel: () => cancelled.promise },
    { close: () => closed.promise },
  );
  const closing = watch(Promise.resolve(transport.close()));
  cancelled.resolve();
  await turn();
  assertEquals(closing.state, "pending");
  const again = watch(Promise.resolve(transport.close()));
  await turn();
  assertEquals(again.state, "pending", "a second close() waits too");
  closed.resolve();
  await turn();
  assertEquals([closing.state, again.state], ["resolved", "resolved"]);
});

Deno.test("duplexTransport: close() does not wait for a write that never ends", async () => {
  const transport = over({}, { write: () => new Promise<void>(() => {}) });
  const writing = watch(transport.write(utf8("x")));
  await turn();
  await within(Promise.resolve(transport.close()), "close()");
  assertEquals(writing.state, "rejected");
});
