import { assertEquals, assertRejects } from "@std/assert";
import { testTransport } from "../../tests/conformance/transport_suite.ts";
import { utf8 } from "../../tests/support/wire.ts";
import { turn, watch, within } from "../../tests/support/within.ts";
import { duplexTransport } from "./duplex.ts";

testTransport("web-stream transport", () => {
  const there = new TransformStream<Uint8Array, Uint8Array>();
  const back = new TransformStream<Uint8Array, Uint8Array>();
  return Promise.resolve({
    a: duplexTransport({ readable: back.readable, writable: there.writable }),
    b: duplexTransport({ readable: there.readable, writable: back.writable }),
    close() {},
  });
});

/** A transport over these, and of nothing where one is missing. */
function over(
  source: UnderlyingDefaultSource<Uint8Array> = {},
  sink: UnderlyingSink<Uint8Array> = {},
) {
  return duplexTransport({
    readable: new ReadableStream(source),
    writable: new WritableStream(sink),
  });
}

Deno.test("web-stream transport: a stream may keep what it was written", async () => {
  const kept: Uint8Array[] = [];
  const transport = over({}, { write: (chunk) => void kept.push(chunk) });
  const buffer = utf8("one");
  await transport.write(buffer);
  buffer.set(utf8("two"));
  await transport.write(buffer);
  assertEquals(kept, [utf8("one"), utf8("two")]);
  await transport.close();
});

Deno.test("web-stream transport: what breaks the readable comes out of read()", async () => {
  const broken = new Error("broken");
  const transport = over({ start: (controller) => controller.error(broken) });
  assertEquals(await transport.read().catch((error) => error), broken);
  await transport.close();
});

Deno.test("web-stream transport: what breaks the writable comes out of write()", async () => {
  const broken = new Error("broken");
  const transport = over({}, { write: () => Promise.reject(broken) });
  const error = await transport.write(utf8("x")).catch((error) => error);
  assertEquals(error, broken);
  await transport.close();
});

Deno.test("web-stream transport: a chunk that is no Uint8Array is an error, not lost bytes", async () => {
  const chunks: unknown[] = ["text", new ArrayBuffer(8), null, 7];
  for (const chunk of chunks) {
    const transport = over({
      start: (controller) => controller.enqueue(chunk as Uint8Array),
    });
    await assertRejects(
      () => transport.read(),
      TypeError,
      "Cannot read: chunk is not a Uint8Array",
    );
    await transport.close();
  }
});

Deno.test("web-stream transport: close() cancels the readable and closes the writable", async () => {
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

Deno.test("web-stream transport: close() aborts the writable under a write", async () => {
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

Deno.test("web-stream transport: close() waits for both to be done", async () => {
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
  assertEquals(again.state, "pending", "nor does a second call go past it");
  closed.resolve();
  await turn();
  assertEquals([closing.state, again.state], ["resolved", "resolved"]);
});

Deno.test("web-stream transport: close() does not wait for a write that never ends", async () => {
  const transport = over({}, { write: () => new Promise<void>(() => {}) });
  void transport.write(utf8("x")).catch(() => {});
  await turn();
  await within(Promise.resolve(transport.close()), "close()", 2_000);
});
