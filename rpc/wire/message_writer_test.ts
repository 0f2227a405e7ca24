import { assertEquals, assertStrictEquals } from "@std/assert";
import type { RawChannel } from "../../mux/internal.ts";
import { MessageWriter } from "./message_writer.ts";

const SIZE = 500_000;

/** A channel that waits for credit until the test gives it. */
function waitingChannel() {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const channel = { send: () => promise } as unknown as RawChannel;
  return { channel, resolve, reject };
}

/** Begins a large message. */
function large(messages: MessageWriter) {
  const writer = messages.begin();
  writer.addRaw(new Uint8Array(SIZE));
  return { writer, buffer: writer.message().buffer };
}

Deno.test("MessageWriter.send: the buffer of a large message is used again once it was sent", async () => {
  const messages = new MessageWriter();
  const first = waitingChannel();
  const sent = large(messages);
  const waiting = messages.send(first.channel, sent.writer);
  const during = large(messages);
  assertEquals(during.buffer === sent.buffer, false, "it still waits");
  first.resolve();
  // A pause of more than microtasks would let the collector take the buffer.
  await waiting;
  assertStrictEquals(large(messages).buffer, sent.buffer);
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
