/**
 * The raw interface of a channel, which RPC uses. Its streams are tested in
 * tests/conformance/.
 */
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { scripted } from "../../tests/conformance/scripted.ts";
import type { Script } from "../../tests/conformance/scripted.ts";
import { assertUsage } from "../../tests/support/usage.ts";
import {
  adjust,
  close,
  concat,
  data,
  eof,
  GO_WINDOW,
  text,
  utf8,
} from "../../tests/support/wire.ts";
import { turn, watch } from "../../tests/support/within.ts";
import { QmuxChannel } from "./channel.ts";
import { MuxError } from "../errors.ts";

/** A channel that the script opened with ID 5, and its ID here. */
async function opened(
  script: Script,
  window = GO_WINDOW,
): Promise<{ channel: QmuxChannel; id: number }> {
  const { channel, id } = await script.accepted({ window });
  assertInstanceOf(channel, QmuxChannel);
  assertEquals(channel.id, id);
  return { channel, id };
}

/** Takes all that has arrived. */
function drain(channel: QmuxChannel): string {
  let all = "";
  for (;;) {
    const bytes = channel.peek();
    if (bytes === undefined) return all;
    all += text(bytes);
    channel.consume(bytes.length);
  }
}

/** The types of the frames that the script received. */
async function types(script: Script): Promise<string[]> {
  return (await script.said()).map(({ type }) => type);
}

// --- Receiving ---------------------------------------------------------------

scripted(
  "QmuxChannel: whenReadable() calls back at once when there are bytes or the end",
  async (script) => {
    const { channel, id } = await opened(script);
    await script.raw.send(data(id, "x"));
    let called = 0;
    channel.whenReadable(() => called++);
    assertEquals(called, 1);
    drain(channel);
    await script.raw.send(eof(id));
    channel.whenReadable(() => called++);
    channel.whenReadable(() => called++);
    assertEquals(called, 3);
  },
);

scripted(
  "QmuxChannel: whenReadable() calls back once, at the end of the turn",
  async (script) => {
    const { channel, id } = await opened(script);
    const seen: string[] = [];
    channel.whenReadable(() => seen.push(drain(channel)));
    await script.raw.send(data(id, "one "), data(id, "two"), eof(id));
    assertEquals(seen, ["one two"]);
    assert(channel.ended);
  },
);

scripted(
  "QmuxChannel: whenReadable() does not call back for an empty frame",
  async (script) => {
    const { channel, id } = await opened(script);
    let called = 0;
    channel.whenReadable(() => called++);
    await script.raw.send(data(id, ""), adjust(id, 1), data(id, ""));
    assertEquals(called, 0);
    await script.raw.send(data(id, "x"));
    assertEquals(called, 1);
  },
);

scripted(
  "QmuxChannel: whenReadable() throws invalid-state while another read is pending",
  async (script) => {
    const { channel, id } = await opened(script);
    let first = 0;
    channel.whenReadable(() => first++);
    const error = assertThrows(() => channel.whenReadable(() => {}), MuxError);
    assertEquals(error.code, "invalid-state");
    await script.raw.send(data(id, "x"));
    assertEquals(first, 1);
  },
);

scripted(
  "QmuxChannel: bytes left unread outlive the transport's buffer",
  async (script) => {
    const { channel, id } = await opened(script);
    channel.whenReadable(() => channel.consume(2));
    // The script overwrites its buffer when the turn has ended.
    await script.raw.send(data(id, "abcdef"), data(id, "ghi"));
    assertEquals(channel.buffered, 7);
    assertEquals(drain(channel), "cdefghi");
  },
);

scripted(
  "QmuxChannel: a chunk from take() outlives the transport's buffer",
  async (script) => {
    const { channel, id } = await opened(script);
    let taken: Uint8Array | undefined;
    channel.whenReadable(() => taken = channel.take());
    await script.raw.send(data(id, "abc"));
    assertEquals(text(taken!), "abc");
  },
);

scripted(
  "QmuxChannel: consume() and take() return the credit of what they took",
  async (script) => {
    const { channel, id } = await opened(script);
    await script.raw.send(data(id, new Uint8Array(100)));
    channel.consume(49);
    assertEquals(await types(script), []);
    channel.consume(1);
    assertEquals(await script.said(), [
      { type: "window-adjust", recipient: 5, bytes: 50 },
    ]);
    channel.take();
    assertEquals(await script.said(), [
      { type: "window-adjust", recipient: 5, bytes: 50 },
    ]);
  },
  { initialWindowSize: 100, maxWindowSize: 100 },
);

scripted(
  "QmuxChannel: cancelRead() ends a pending read",
  async (script) => {
    const { channel, id } = await opened(script);
    let called = 0;
    channel.whenReadable(() => called++);
    channel.cancelRead();
    assertEquals(called, 1);
    assert(channel.ended);
    assertEquals(channel.failure, undefined);
    await script.raw.send(data(id, "dropped"));
    assertEquals(channel.buffered, 0);
    channel.whenReadable(() => called++);
    assertEquals(called, 2);
  },
);

scripted(
  "QmuxChannel: a whenReadable() callback may close its channel and others",
  async (script) => {
    const one = await opened(script);
    const two = await opened(script);
    one.channel.whenReadable(() => {
      one.channel.discard();
      two.channel.discard();
    });
    let ended = "";
    two.channel.whenReadable(() =>
      ended = `ended with "${drain(two.channel)}"`
    );
    await script.raw.send(data(one.id, "x"), data(two.id, "y"));
    assertEquals(ended, 'ended with ""');
    assertEquals(await types(script), ["close", "close"]);
  },
);

scripted(
  "QmuxChannel: expect() lends nothing for the rest of a frame that has begun to arrive",
  async (script) => {
    const { channel, id } = await opened(script);
    const payload = "x".repeat(40_000);
    const frame = data(id, payload);
    await script.raw.send(frame.subarray(0, 10_000));
    await turn();
    channel.expect(payload.length);
    await script.raw.send(frame.subarray(10_000));
    assertEquals(await types(script), []);
    // The window has 66,560 bytes.
    channel.expect(payload.length + 26_560 + 50_000);
    const [credit, ...others] = await script.said();
    assertEquals(credit, {
      type: "window-adjust",
      recipient: 5,
      bytes: 50_000,
    });
    assertEquals(others, []);
  },
);

// --- Sending -----------------------------------------------------------------

scripted(
  "QmuxChannel: a large value that is alone leaves in DATA of up to 520 KiB",
  async (script) => {
    const { channel } = await opened(script);
    await channel.send(new Uint8Array(1024 * 1024 + 100));
    const sizes = (await script.said()).map((frame) =>
      frame.type === "data" ? frame.payload.length : frame.type
    );
    assertEquals(sizes, [532_480, 1024 * 1024 + 100 - 532_480]);
  },
);

scripted(
  "QmuxChannel: large values of two channels leave in turns of 65 KiB",
  async (script) => {
    const { channel } = await opened(script);
    const other = (await script.accepted({ window: GO_WINDOW })).channel;
    assertInstanceOf(other, QmuxChannel);
    const size = 4 * 66_560;
    await Promise.all([
      channel.send(new Uint8Array(size)),
      other.send(new Uint8Array(size)),
    ]);
    const sizes = (await script.said()).map((frame) =>
      frame.type === "data" ? frame.payload.length : frame.type
    );
    assertEquals(sizes, Array(8).fill(66_560));
  },
);

scripted(
  "QmuxChannel: send() returns undefined when it copied the bytes at once",
  async (script) => {
    const { channel } = await opened(script);
    const bytes = utf8("now");
    assertEquals(channel.send(bytes), undefined);
    bytes.fill(0);
    assertEquals((await script.raw.expect("data")).payload, utf8("now"));
  },
);

scripted(
  "QmuxChannel: send() keeps the order, whether it waits for credit or not",
  async (script) => {
    const { channel, id } = await opened(script, 3);
    const first = channel.send(utf8("abcde"))!;
    const second = channel.send(utf8("f"))!;
    const settled = [first, second].map(watch);
    assertEquals(text((await script.raw.expect("data")).payload), "abc");
    await script.raw.send(adjust(id, 2));
    assertEquals(text((await script.raw.expect("data")).payload), "de");
    await first;
    assertEquals(settled[1]!.state, "pending");
    const third = channel.send(utf8("gh"))!;
    await script.raw.send(adjust(id, 100));
    await Promise.all([second, third]);
    const rest = (await script.said())
      .map((frame) => frame.type === "data" ? frame.payload : utf8("?"));
    assertEquals(text(concat(...rest)), "fgh");
  },
);

scripted(
  "QmuxChannel: closeWrite() sends EOF after pending writes, and nothing after it",
  async (script) => {
    const { channel, id } = await opened(script, 3);
    const waiting = channel.send(utf8("abcde"))!;
    channel.closeWrite();
    channel.closeWrite();
    const error = assertThrows(() => channel.send(utf8("f")), MuxError);
    assertEquals(error.code, "channel-closed");
    assertEquals(await types(script), ["data"]);
    await script.raw.send(adjust(id, 2));
    assertEquals(await types(script), ["data", "eof"]);
    await waiting;
  },
);

scripted(
  "QmuxChannel: abort() rejects pending writes with its reason and keeps unread bytes",
  async (script) => {
    const { channel, id } = await opened(script, 0);
    await script.raw.send(data(id, "arrived"));
    const reason = new Error("enough");
    const waiting = channel.send(utf8("x"))!.catch((error) => error);
    channel.abort(reason);
    assertStrictEquals(await waiting, reason);
    assertStrictEquals(assertThrows(() => channel.send(utf8("x"))), reason);
    assertEquals(drain(channel), "arrived");
    assertEquals(await types(script), ["close"]);
  },
);

scripted(
  "QmuxChannel: shutdown() sends EOF and CLOSE after pending writes and drops what arrives",
  async (script) => {
    const { channel, id } = await opened(script, 3);
    await script.raw.send(data(id, "not wanted"));
    const waiting = channel.send(utf8("abcde"))!;
    channel.shutdown();
    assertEquals(channel.buffered, 0);
    assertEquals(await types(script), ["data"]);
    await script.raw.send(data(id, "nor this"), adjust(id, 2));
    await waiting;
    assertEquals(await types(script), ["data", "eof", "close"]);
  },
);

// --- The end -----------------------------------------------------------------

scripted(
  "QmuxChannel: whenClosed() calls back at the peer's CLOSE and not at its EOF",
  async (script) => {
    const { channel, id } = await opened(script);
    let called = 0;
    channel.whenClosed(() => called++);
    await script.raw.send(data(id, "x"), eof(id));
    assertEquals(called, 0);
    await script.raw.send(close(id));
    assertEquals(called, 1);
    channel.whenClosed(() => called++);
    assertEquals(called, 2);
  },
);

scripted(
  "QmuxChannel: whenClosed() calls several callbacks in order",
  async (script) => {
    const { channel, id } = await opened(script);
    const called: number[] = [];
    for (const n of [1, 2, 3]) channel.whenClosed(() => called.push(n));
    await script.raw.send(close(id));
    assertEquals(called, [1, 2, 3]);
  },
);

scripted(
  "QmuxChannel: whenClosed() takes any number of callbacks",
  async (script) => {
    const { channel, id } = await opened(script);
    let called = 0;
    for (let i = 0; i < 200_000; i++) channel.whenClosed(() => called++);
    await script.raw.send(close(id));
    assertEquals(called, 200_000);
  },
);

scripted(
  "QmuxChannel: cancelWhenClosed() forgets one callback",
  async (script) => {
    const { channel, id } = await opened(script);
    const called: string[] = [];
    const a = () => called.push("a");
    const b = () => called.push("b");
    const c = () => called.push("c");
    channel.whenClosed(a);
    channel.cancelWhenClosed(b);
    channel.cancelWhenClosed(a);
    for (const callback of [a, b, c, b]) channel.whenClosed(callback);
    channel.cancelWhenClosed(a);
    await script.raw.send(close(id));
    assertEquals(called, ["b", "c"]);
    channel.cancelWhenClosed(b);
  },
);

scripted(
  "QmuxChannel: eofReceived distinguishes EOF from CLOSE, whatever follows",
  async (script) => {
    const ended = await opened(script);
    assertEquals(ended.channel.eofReceived, false);
    await script.raw.send(data(ended.id, "x"), eof(ended.id));
    assertEquals(ended.channel.eofReceived, true);
    await script.raw.send(close(ended.id));
    assertEquals(ended.channel.eofReceived, true);
    const closed = await opened(script);
    await script.raw.send(data(closed.id, "x"), close(closed.id));
    assertEquals([closed.channel.ended, closed.channel.eofReceived], [
      true,
      false,
    ]);
  },
);

scripted(
  "QmuxChannel: whenClosed() calls back when the session ends",
  async (script) => {
    const { channel } = await opened(script);
    const { promise, resolve } = Promise.withResolvers<void>();
    channel.whenClosed(resolve);
    await script.raw.end();
    await promise;
    assert(channel.peerClosed);
    assertInstanceOf(channel.failure, MuxError);
    assertEquals(channel.failure.code, "connection-lost");
  },
);

scripted(
  "QmuxChannel: occupies a slot until CLOSE is sent and no bytes are unread",
  async (script) => {
    const slots = () => script.session.usage.slots;
    const { channel, id } = await opened(script);
    assertEquals(slots(), 1);
    await script.raw.send(data(id, "unread"), close(id));
    assertUsage(script.session, { channels: 0, slots: 1 });
    channel.consume(3);
    assertEquals(slots(), 1);
    channel.consume(3);
    assertEquals(slots(), 0);

    const dropped = await opened(script);
    await script.raw.send(data(dropped.id, "unread"), close(dropped.id));
    dropped.channel.discard();
    dropped.channel.discard();
    assertEquals(slots(), 0);

    const closedHere = await opened(script);
    closedHere.channel.discard();
    assertUsage(script.session, { channels: 1, slots: 0 });
    await script.raw.send(close(closedHere.id));
    assertUsage(script.session, { channels: 0, slots: 0 });
  },
);

scripted(
  "QmuxChannel: streams continue where the raw interface left off",
  async (script) => {
    const { channel, id } = await opened(script);
    await script.raw.send(data(id, "taken, left"));
    channel.consume(7);
    channel.send(utf8("sent, "));
    const writer = channel.writable.getWriter();
    await writer.write(utf8("written"));
    channel.closeWrite();
    await writer.closed.catch((error) => assertInstanceOf(error, MuxError));
    await script.raw.send(eof(id));
    assertEquals(await new Response(channel.readable).text(), "left");
    const payloads = (await script.said())
      .map((frame) => frame.type === "data" ? text(frame.payload) : frame.type);
    assertEquals(payloads, ["sent, ", "written", "eof", "close"]);
  },
);

scripted(
  "QmuxChannel: closed is always the same promise",
  async (script) => {
    const { channel, id } = await opened(script);
    const early = channel.closed;
    void channel.close();
    await script.raw.send(close(id));
    await early;
    await channel.closed;
    assertStrictEquals(channel.closed, early);
    await turn();
  },
);

scripted(
  "QmuxChannel.cancelWhenReadable: the callback is not called, and another may wait",
  async (script) => {
    const { channel, id } = await opened(script);
    let cancelled = 0, called = 0;
    const callback = () => cancelled++;
    channel.whenReadable(callback);
    channel.cancelWhenReadable(() => {});
    channel.cancelWhenReadable(callback);
    channel.whenReadable(() => called++);
    channel.cancelWhenReadable(callback);
    await script.raw.send(data(id, "x"));
    assertEquals([cancelled, called], [0, 1]);
  },
);

scripted(
  "QmuxChannel.withdraw: bytes that wait are taken back, and the next ones are sent",
  async (script) => {
    const { channel, id } = await opened(script, 0);
    const reason = new Error("withdrawn");
    const bytes = utf8("first");
    const first = watch(channel.send(bytes)!);
    const second = watch(channel.send(utf8("second"))!);
    assertEquals(channel.withdraw(utf8("first"), reason), false);
    assertEquals(channel.withdraw(bytes, reason), true);
    assertEquals(channel.withdraw(bytes, reason), false);
    await turn();
    assertStrictEquals(first.reason, reason);
    assertEquals(second.state, "pending");
    channel.closeWrite();
    await script.raw.send(adjust(id, 100));
    const frames = await script.said();
    const payloads = frames.map((frame) =>
      frame.type === "data" ? text(frame.payload) : frame.type
    );
    assertEquals(payloads, ["second", "eof"]);
  },
);

scripted(
  "QmuxChannel.withdraw: EOF follows at once if nothing else waits before it",
  async (script) => {
    const { channel } = await opened(script, 0);
    const bytes = utf8("bytes");
    const sent = watch(channel.send(bytes)!);
    channel.closeWrite();
    assertEquals(channel.withdraw(bytes, new Error("withdrawn")), true);
    assertEquals(await types(script), ["eof"]);
    assertEquals(sent.state, "rejected");
  },
);

scripted(
  "QmuxChannel.withdraw: bytes that were sent in part stay",
  async (script) => {
    const { channel, id } = await opened(script, 3);
    const bytes = utf8("bytes");
    const sent = watch(channel.send(bytes)!);
    await script.said();
    assertEquals(channel.withdraw(bytes, new Error("withdrawn")), false);
    await script.raw.send(adjust(id, 2));
    await turn();
    assertEquals(sent.state, "resolved");
  },
);

scripted(
  "QmuxChannel: whenWritable() calls back once when credit arrives, for one frame",
  async (script) => {
    const { channel, id } = await opened(script, 4);
    const rest = utf8("xyz");
    assertEquals(channel.trySend(utf8("abcd")), 4);
    assertEquals(channel.trySend(rest), 0);
    const sent: number[] = [];
    channel.whenWritable(() => {
      sent.push(channel.trySend(rest), channel.trySend(rest));
    });
    assertEquals(text((await script.raw.expect("data")).payload), "abcd");
    await turn();
    assertEquals(sent, []);
    await script.raw.send(adjust(id, 2));
    assertEquals(text((await script.raw.expect("data")).payload), "xy");
    await script.raw.send(adjust(id, 9));
    assertEquals(await types(script), []);
    assertEquals(sent, [2, 0]);
  },
);

scripted(
  "QmuxChannel: whenWritable() calls back when this direction closes, and throws afterwards",
  async (script) => {
    for (const how of ["closeWrite", "discard", "the peer"] as const) {
      const { channel, id } = await opened(script, 0);
      let called = 0;
      channel.whenWritable(() => called++);
      if (how === "the peer") await script.raw.send(close(id));
      else channel[how]();
      await turn();
      assertEquals(called, 1, how);
      assertEquals(channel.trySend(utf8("x")), 0);
      assertThrows(() => channel.whenWritable(() => {}), MuxError);
      channel.discard();
      await script.raw.send(close(id));
      await script.said();
    }
  },
);

scripted(
  "QmuxChannel: close() sends no EOF while something waits to write",
  async (script) => {
    const { channel } = await opened(script, 0);
    channel.whenWritable(() => {});
    await channel.close();
    assertEquals(await types(script), ["close"]);
  },
);

scripted(
  "QmuxChannel: whenDropped() gets what is dropped, and what arrives until CLOSE",
  async (script) => {
    for (const how of ["discard", "cancelRead", "fail"] as const) {
      const { channel, id } = await opened(script, 100);
      await script.raw.send(data(id, utf8("taken, left")));
      await turn();
      channel.consume(5);
      let dropped = "";
      channel.whenDropped((bytes) => dropped += text(bytes));
      assertEquals(dropped, "");
      if (how === "fail") channel.fail(new Error("no longer wanted"));
      else channel[how]();
      assertEquals(dropped, ", left", how);
      await script.raw.send(data(id, utf8(", late")), close(id));
      await turn();
      assertEquals(dropped, ", left, late", how);
      channel.discard();
      await script.said();
    }
  },
);
