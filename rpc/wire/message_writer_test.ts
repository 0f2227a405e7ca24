import { assertEquals, assertStrictEquals } from "@std/assert";
import type { RawChannel } from "../../mux/internal.ts";
import { MessageWriter } from "./message_writer.ts";

/** A buffer of this size is held weakly; one of the other is kept. */
const SIZE = 500_000, KEPT_SIZE = 100_000;

/** A channel that waits for credit until the test gives it. */
function waitingChannel() {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const channel = { send: () => promise } as unknown as RawChannel;
  return { channel, resolve, reject };
}

/** Begins a large message. */
function large(messages: MessageWriter, size = SIZE) {
  const writer = messages.begin();
  writer.addRaw(new Uint8Array(size));
  return { writer, buffer: writer.message().buffer };
}

Deno.test("MessageWriter.send: the buffer of a large message is used again once it was sent", async () => {
  for (const size of [SIZE, KEPT_SIZE]) {
    const messages = new MessageWriter();
    const first = waitingChannel();
    const sent = large(messages, size);
    const waiting = messages.send(first.channel, sent.writer);
    const during = large(messages, size);
    assertEquals(during.buffer === sent.buffer, false, "it still waits");
    first.resolve();
    // A pause of more than microtasks would let the collector take the buffer.
    await waiting;
    assertStrictEquals(large(messages, size).buffer, sent.buffer);
  }
});

Deno.test("MessageWriter.send: the buffer of a message that was not sent is not used again", async () => {
  const messages = new MessageWriter();
  const first = waitingChannel();
  const sent = large(messages);
  const waiting = messages.send(first.channel, sent.writer);
  first.reject(new Error("closed"));
  await waiting!.catch(() => {});
  assertEquals(large(messages).buffer === sent.buffer, false);
});

Deno.test("MessageWriter.store: the only message has a buffer of its own size, and those beside it share one", () => {
  const messages = new MessageWriter();
  const stored = Array.from({ length: 3 }, () => {
    const writer = messages.begin();
    writer.addRaw(new Uint8Array(100));
    return messages.store(writer).buffer;
  });
  assertEquals(stored[0]!.byteLength, 100);
  assertStrictEquals(stored[1], stored[2]);
  for (const _ of stored) messages.unstore();
});

Deno.test("MessageWriter.begin: sessions encode in the same buffer, unless another one is in the middle of a message", () => {
  const [one, other] = [new MessageWriter(), new MessageWriter()];
  const { channel, resolve } = waitingChannel();
  const sent = { send: () => undefined } as unknown as RawChannel;
  const begin = (messages: MessageWriter, byte: number) => {
    const writer = messages.begin();
    writer.addRaw(Uint8Array.of(byte));
    return writer;
  };
  const outer = begin(one, 1);
  // As a call does that a value's toJSON() makes.
  const inner = begin(other, 2);
  other.send(sent, inner);
  assertEquals([...outer.message()], [1]);
  one.send(sent, outer);
  const next = begin(other, 3);
  assertStrictEquals(next, outer);
  // While it waits for credit, its bytes must not change.
  void other.send(channel, next);
  const during = begin(one, 4);
  assertEquals([...next.message(), ...during.message()], [3, 4]);
  one.send(sent, during);
  resolve();
});
