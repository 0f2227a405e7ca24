/**
 * The last row of the closing table of mux/SPEC.md: how a session ends with
 * the transport under it.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { qmux } from "../../mux/session.ts";
import type { Session } from "../../mux/types.ts";
import { connTransport } from "../../mux/transport/deno/conn.ts";
import { type Harness, test } from "../support/harness.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { assertUsage } from "../support/usage.ts";
import { close, concat, data, eof, open, text, utf8 } from "../support/wire.ts";
import { turn, watch } from "../support/within.ts";
import { scripted } from "./scripted.ts";
import { assertCode, assertFails, failure, Pipe } from "./session_pair.ts";

scripted(
  "end of the transport: a transport that ends between frames resolves closed, but not as an end of data",
  async (script) => {
    const open = await script.incoming();
    const ended = await script.outgoing({ number: 6 });
    await script.raw.send(
      data(open.id, "delivered"),
      data(ended.id, "delivered"),
      eof(ended.id),
    );
    await script.raw.end();
    await script.session.closed;
    const lost = await open.pipe.rest();
    assertEquals(lost.text, "delivered");
    assertCode(lost.error, "connection-lost");
    assertEquals(await ended.pipe.rest(), {
      text: "delivered",
      error: undefined,
    });
  },
);

scripted(
  "end of the transport: a transport that ends inside a frame rejects closed",
  async (script) => {
    const { pipe, id } = await script.incoming();
    const opening = failure(script.session.open());
    await script.raw.send(data(id, "whole"), data(id, "cut").subarray(0, 10));
    await script.raw.end();
    await assertFails(script.session.closed, "connection-lost");
    await assertFails(pipe.channel.closed, "connection-lost");
    const lost = await pipe.rest();
    assertEquals(lost.text, "wholec");
    assertCode(lost.error, "connection-lost");
    assertCode(await opening, "connection-lost");
    const { message } = await failure(script.session.closed) as Error;
    assertEquals(
      message,
      "Connection is lost: the byte stream ended inside a frame",
    );
  },
);

scripted(
  "end of the transport: a channel closed here that the peer never closed rejects when the session breaks",
  async (script) => {
    const { pipe } = await script.incoming();
    await pipe.channel.close();
    await script.raw.send(Uint8Array.of(0));
    await assertFails(pipe.channel.closed, "protocol-error");
  },
);

scripted(
  "end of the transport: a channel closed here that the peer never closed resolves when the session ends",
  async (script) => {
    const ended = await script.incoming();
    await ended.pipe.channel.close();
    const closed = watch(ended.pipe.channel.closed);
    assertEquals(closed.state, "pending");
    await script.raw.end();
    await ended.pipe.channel.closed;
    assertUsage(script.session, { channels: 0, slots: 0 });
  },
);

/** A session over a connection whose reads fail with `error` after `bytes`. */
function failing(
  t: Harness,
  error: Error,
  ...bytes: Uint8Array[]
): Session {
  const chunks = [...bytes];
  return t.watch(qmux({
    read: () => {
      const chunk = chunks.shift();
      return chunk === undefined
        ? Promise.reject(error)
        : Promise.resolve(chunk);
    },
    write: () => Promise.resolve(),
    closeWrite: () => Promise.resolve(),
    close: () => {},
  }));
}

test("end of the transport: a transport that fails rejects closed, with its error as the cause", async (t) => {
  const broken = new Error("no route any more");
  const session = failing(t, broken, open(5));
  const error = await failure(session.closed);
  assertCode(error, "connection-lost");
  assertEquals((error as Error).cause, broken);
});

test("end of the transport: a reset between two frames is an end like any other", async (t) => {
  const reset = new Deno.errors.ConnectionReset("reset by peer");
  const code = Object.assign(new Error("read"), { code: "ECONNRESET" });
  for (const error of [reset, code]) {
    const session = failing(t, error, open(5));
    await session.closed;
    // The end was clean, and the channel that waited is gone with it.
    assertUsage(session, { channels: 0, slots: 0 });
    const opening = await failure(session.open());
    assertCode(opening, "connection-lost");
  }
});

test("end of the transport: a reset inside a frame is a loss", async (t) => {
  const reset = new Deno.errors.ConnectionReset("reset by peer");
  const session = failing(t, reset, open(5), open(6).subarray(0, 4));
  await assertFails(session.closed, "connection-lost");
});

test("end of the transport: a socket closed with bytes unread resets the other, which ends cleanly", async (t) => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const [dialled, accepted] = await Promise.all([
    Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }),
    listener.accept(),
  ]);
  const written = Promise.withResolvers<void>();
  const transport = connTransport(dialled);
  const session = t.watch(qmux({
    read: () => transport.read(),
    write: async (bytes) => {
      await transport.write(bytes);
      written.resolve();
    },
    closeWrite: () => transport.closeWrite(),
    close: () => transport.close(),
  }));
  // What the session sends arrives and is never read there.
  const raw = new RawPeer(connTransport(accepted), { reading: false });
  const opening = failure(session.open());
  await written.promise;
  await raw.close();
  await session.closed;
  assertCode(await opening, "connection-lost");
  listener.close();
});

test("end of the transport: what the peer said before a write to it failed is read to its end", async (t) => {
  const chunks = [open(5), data(0, "goodbye"), close(0)];
  const gate = Promise.withResolvers<void>();
  const session = qmux({
    read: async () => {
      const chunk = chunks.shift();
      if (chunk !== undefined) return chunk;
      await gate.promise;
      return null;
    },
    write: () => Promise.reject(new Error("broken pipe")),
    closeWrite: () => Promise.resolve(),
    close: () => {},
  });
  t.watch(session);
  const { value: channel } = await session[Symbol.asyncIterator]().next();
  for (let i = 0; i < 3; i++) await turn();
  gate.resolve();
  assertEquals(await new Response(channel!.readable).text(), "goodbye");
  await session.closed;
});

test("end of the transport: a write that failed ends the session, though the peer never does", async (t) => {
  const clock = t.time();
  const broken = new Error("broken pipe");
  const end = Promise.withResolvers<null>();
  const session = qmux({
    read: () => end.promise,
    write: () => Promise.reject(broken),
    closeWrite: () => Promise.resolve(),
    close: () => end.resolve(null),
  }, { closeTimeout: 5_000 });
  t.watch(session);
  const opening = failure(session.open());
  // The write fails in a microtask, which starts the time that reading has.
  await turn();
  clock.tick(5_000);
  const error = await failure(session.closed);
  assertCode(error, "connection-lost");
  assertEquals((error as Error).cause, broken);
  assertCode(await opening, "connection-lost");
});

test("end of the transport: close() ends in time, though the transport takes nothing", async (t) => {
  const clock = t.time();
  const { session } = t.script({ closeTimeout: 5_000 }, { reading: false });
  const opening = failure(session.open());
  const closing = session.close();
  clock.tick(5_000);
  await closing;
  assertCode(await opening, "session-closed");

  const never = new WritableStream<Uint8Array>({
    write: () => new Promise<void>(() => {}),
  });
  const silent = new ReadableStream<Uint8Array>();
  const stuck = t.watch(qmux(
    { readable: silent, writable: never },
    { closeTimeout: 5_000 },
  ));
  const stuckOpening = failure(stuck.open());
  const stuckClosing = stuck.close();
  clock.tick(5_000);
  await stuckClosing;
  assertCode(await stuckOpening, "session-closed");
});

test("end of the transport: nothing is read nor written after the end", async (t) => {
  const clock = t.time();
  const calls: string[] = [];
  const reads: PromiseWithResolvers<Uint8Array | null>[] = [];
  const session = qmux({
    read: () => {
      calls.push("read");
      const read = Promise.withResolvers<Uint8Array | null>();
      reads.push(read);
      return read.promise;
    },
    write: () => {
      calls.push("write");
      return Promise.resolve();
    },
    closeWrite: () => {
      calls.push("closeWrite");
      return Promise.resolve();
    },
    close: () => void calls.push("close"),
  }, { closeTimeout: 5_000 });
  t.watch(session);
  const accepting = session[Symbol.asyncIterator]().next();
  reads[0]!.resolve(open(5));
  const { value: channel } = await accepting;
  const closing = session.close();
  await turn();
  clock.tick(5_000);
  await closing;
  const before = [...calls];
  assert(before.includes("closeWrite") && before.at(-1) === "close");

  await channel!.close();
  await failure(session.open());
  await failure(channel!.writable.getWriter().write(utf8("x")));
  reads.at(-1)!.resolve(concat(open(6), data(0, "x")));
  for (let i = 0; i < 5; i++) await turn();
  assertEquals(
    calls.filter((call) => call !== "close"),
    before.filter((call) => call !== "close"),
  );
});

test("end of the transport: a write that failed fails all writers at once, and readers go on", async (t) => {
  const chunks = [open(5, 100), data(0, "still on its way")];
  const gate = Promise.withResolvers<void>();
  const broken = new Error("broken pipe");
  const session = qmux({
    read: async () => {
      const chunk = chunks.shift();
      if (chunk !== undefined) return chunk;
      await gate.promise;
      return null;
    },
    write: () => Promise.reject(broken),
    closeWrite: () => Promise.resolve(),
    close: () => gate.resolve(),
  }, { closeTimeout: 60_000 });
  t.watch(session);
  const { value: channel } = await session[Symbol.asyncIterator]().next();
  const pipe = new Pipe(channel!);
  const error = await failure(pipe.write(new Uint8Array(1_000)));
  assertCode(error, "connection-lost");
  assertEquals((error as Error).cause, broken);
  await assertFails(pipe.write("x"), "connection-lost");
  assertEquals(text(await pipe.read(16)), "still on its way");
  gate.resolve();
  await session.closed;
});
