import { assertEquals, assertRejects } from "@std/assert";
import { toBytes, toText } from "@std/streams";
import { RawPeer } from "../tests/support/raw_peer.ts";
import {
  adjust,
  close,
  confirm,
  data,
  eof,
  failure,
  open,
  text,
} from "../tests/support/wire.ts";
import { watch, within } from "../tests/support/within.ts";
import { MuxError } from "./errors.ts";
import type { SessionOptions } from "./options.ts";
import { splice } from "./channel/channel_pipe.ts";
import { proxy } from "./proxy.ts";
import { qmux } from "./session.ts";
import type { Session } from "./types.ts";
import { memoryTransports } from "./transport/memory.ts";
import type { Channel } from "./types.ts";

/** A proxy that runs, and the ends at its two sides. */
function running<End extends { close(): unknown }>(
  a: End,
  b: End,
  done: Promise<void>,
) {
  return {
    a,
    b,
    done,
    watched: watch(done),
    async [Symbol.asyncDispose]() {
      await a.close();
      await b.close();
      await within(done.catch(() => {}), "the proxy to end");
    },
  };
}

/** Two sessions with a proxy between them. */
function proxied(options?: SessionOptions) {
  const [outerA, innerA] = memoryTransports();
  const [innerB, outerB] = memoryTransports();
  const a = qmux(outerA, options);
  const b = qmux(outerB, options);
  const done = proxy(
    qmux(innerA, options),
    qmux(innerB, options),
  );
  return running(a, b, done);
}

/** Scripts at both ends, with a channel between them whose IDs are all 0. */
async function scripted(window?: number) {
  const [outerA, innerA] = memoryTransports();
  const [innerB, outerB] = memoryTransports();
  const a = new RawPeer(outerA), b = new RawPeer(outerB);
  // What is still to be sent when a session closes is sent, however long it takes.
  const options = { closeTimeout: 60_000 };
  const done = proxy(
    qmux(innerA, options),
    qmux(innerB, options),
  );
  await a.send(open(0));
  await b.expect("open");
  await b.send(confirm(0, 0, window));
  await a.expect("open-confirm");
  return running(a, b, done);
}

async function accept(session: Session): Promise<Channel> {
  const { value } = await session[Symbol.asyncIterator]().next();
  return value!;
}

Deno.test("proxy: joins channels that either end opens, in both directions", async () => {
  await using it = proxied();
  for (const [from, to] of [[it.a, it.b], [it.b, it.a]] as const) {
    const accepted = accept(to);
    const here = await from.open();
    const there = await accepted;
    const bytes = crypto.getRandomValues(new Uint8Array(50_000));
    const writing = ReadableStream.from([bytes.slice()]).pipeTo(here.writable);
    assertEquals(await toBytes(there.readable), bytes);
    await writing;
    // The other direction is open still.
    const answer = there.writable.getWriter();
    await answer.write(new TextEncoder().encode("got it"));
    await answer.close();
    assertEquals(await toText(here.readable), "got it");
    await within(here.closed, "the channel to close");
  }
});

Deno.test("proxy: forwards EOF as EOF, which leaves the other direction open", async () => {
  await using it = await scripted();
  await it.a.send(data(0, "all"), eof(0));
  assertEquals(text((await it.b.expect("data")).payload), "all");
  await it.b.expect("eof");
  await it.b.send(data(0, "reply"), eof(0), close(0));
  assertEquals(text((await it.a.expect("data")).payload), "reply");
  await it.a.expect("eof");
  await it.a.expect("close");
});

Deno.test("proxy: forwards CLOSE without EOF, after the bytes before it", async () => {
  await using it = await scripted();
  await it.a.send(data(0, "last words"), close(0));
  assertEquals(text((await it.b.expect("data")).payload), "last words");
  await it.b.expect("close");
  await it.a.expect("close");
});

Deno.test("proxy: forwards CLOSE after EOF when it arrives", async () => {
  await using it = await scripted();
  await it.a.send(eof(0));
  await it.b.expect("eof");
  await it.a.send(close(0));
  await it.b.expect("close");
});

Deno.test("proxy: closes a channel that the far end closes, even if nothing reads there", async () => {
  await using it = await scripted(10);
  await it.a.send(data(0, "more than ten bytes"));
  assertEquals(text((await it.b.expect("data")).payload), "more than ");
  await it.b.send(close(0));
  await it.a.find("close");
});

Deno.test("proxy: drops what is sent to a closed far end while the last bytes from there wait", async () => {
  const [outerA, innerA] = memoryTransports();
  const [innerB, outerB] = memoryTransports();
  const a = new RawPeer(outerA), b = new RawPeer(outerB);
  const options = {
    closeTimeout: 1,
    initialWindowSize: 1_000,
    maxWindowSize: 1_000,
  };
  const done = proxy(
    qmux(innerA, options),
    qmux(innerB, options),
  );
  await a.send(open(0, 4));
  await b.expect("open");
  await b.send(confirm(0, 0));
  await a.expect("open-confirm");
  await b.send(data(0, "last words"), close(0));
  assertEquals(text((await a.expect("data")).payload), "last");
  for (let i = 0; i < 3; i++) {
    await a.send(data(0, new Uint8Array(1_000)));
    // Otherwise a writer there would wait forever.
    await within(a.find("window-adjust"), "its credit to be returned");
  }
  await a.send(adjust(0, 100));
  assertEquals(text((await a.expect("data")).payload), " words");
  await a.expect("close");
  await a.close();
  await b.close();
  await done;
});

Deno.test("proxy: a slow reader slows down the writer at the far end", async () => {
  const window = 1_000;
  await using it = proxied({
    initialWindowSize: window,
    maxWindowSize: window,
  });
  const accepted = accept(it.b);
  const here = await it.a.open();
  const there = await accepted;
  const writer = here.writable.getWriter();
  const writing = writer.write(new Uint8Array(10 * window));
  const watched = watch(writing);
  const reader = there.readable.getReader();
  let read = 0;
  while (read < 2 * window) read += (await reader.read()).value!.length;
  assertEquals(watched.state, "pending");
  while (read < 10 * window) read += (await reader.read()).value!.length;
  await within(writing, "the write");
});

Deno.test("proxy: closes a channel whose open the far end refuses", async () => {
  const [outerA, innerA] = memoryTransports();
  const [innerB, outerB] = memoryTransports();
  const a = new RawPeer(outerA), b = new RawPeer(outerB);
  const options = { closeTimeout: 1 };
  const done = proxy(
    qmux(innerA, options),
    qmux(innerB, options),
  );
  await a.send(open(0));
  await a.expect("open-confirm");
  await b.expect("open");
  await b.send(failure(0));
  await a.expect("close");
  await a.close();
  await b.close();
  await done;
});

Deno.test("proxy: delivers what arrived on a session that ended, then closes the other", async () => {
  await using it = await scripted(4);
  await it.a.send(data(0, "delivered"), eof(0));
  await it.a.close();
  assertEquals(text((await it.b.expect("data")).payload), "deli");
  assertEquals(it.watched.state, "pending");
  await it.b.send(adjust(0, 100));
  assertEquals(text((await it.b.expect("data")).payload), "vered");
  await it.b.expect("eof");
  await it.b.close();
  await within(it.done, "the proxy to end");
});

Deno.test("proxy: closes a channel of a lost session at the far end, without EOF", async () => {
  await using it = await scripted();
  await it.a.send(data(0, "cut"));
  await it.a.close();
  assertEquals(text((await it.b.expect("data")).payload), "cut");
  await it.b.expect("close");
});

Deno.test("proxy: rejects if a session fails", async () => {
  await using it = await scripted();
  await it.a.send(Uint8Array.of(0xff));
  await it.b.close();
  const error = await assertRejects(() => within(it.done, "its end"), MuxError);
  assertEquals(error.code, "protocol-error");
});

Deno.test("proxy: rejects if a session has a handler already", async () => {
  const [left, right] = memoryTransports();
  await using taken = qmux(left);
  await using other = qmux(right);
  taken.accept(() => {});
  await assertRejects(
    () => proxy(taken, other),
    MuxError,
    "there is a handler already",
  );
});

/** A channel that this package did not make. */
function foreign(): [Channel, Channel] {
  const up = new TransformStream<Uint8Array, Uint8Array<ArrayBuffer>>();
  const down = new TransformStream<Uint8Array, Uint8Array<ArrayBuffer>>();
  const end = (
    { readable }: typeof up,
    { writable }: typeof up,
  ): Channel => ({
    id: 0,
    readable,
    writable,
    close: () => Promise.resolve(),
    closed: Promise.resolve(),
  });
  return [end(up, down), end(down, up)];
}

Deno.test("splice: pipes channels of other packages by their streams", async () => {
  const [a, innerA] = foreign();
  const [innerB, b] = foreign();
  const done = splice(innerA, innerB);
  const text = toText(b.readable);
  await new Blob(["by streams"]).stream().pipeTo(a.writable);
  assertEquals(await text, "by streams");
  await b.writable.close();
  assertEquals(await toText(a.readable), "");
  await within(done, "the splice to end");
});
