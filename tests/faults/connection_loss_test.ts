/**
 * A peer that vanishes in the middle of everything: calls of all kinds must
 * come to an end, and the end must say what happened.
 *
 * @module
 */
import {
  assert,
  assertEquals,
  assertIsError,
  assertRejects,
} from "@std/assert";
import {
  type Call,
  dial,
  listen,
  memoryTransports,
  MuxError,
  Peer,
  qmux,
  type Transport,
} from "@qtalk/qtalk";
import { type Harness, test } from "../support/harness.ts";
import { loopbackCertificate } from "../support/quic.ts";
import { within } from "../support/within.ts";

/** A peer, and a way to make the process at its other end vanish. */
interface Pair {
  peer: Peer;
  vanish: () => void | Promise<void>;
}

/**
 * What the far end serves; none of it ever ends by itself. All of it reads its
 * argument, which would be held as long as its handler runs.
 */
function serve(peer: Peer, started: () => void): void {
  const { promise: never } = Promise.withResolvers<void>();
  peer.handle("hang", async (call) => {
    await call.receive();
    started();
    await never;
  });
  peer.handle("stream", async (call, respond) => {
    await call.receive();
    await respond.continue("first");
    await respond.send("second");
    started();
  });
  peer.handle("half", async (call, respond) => {
    await call.receive();
    // A value of which half arrives: its length promises more.
    const channel = await respond.continue();
    const writer = channel.writable.getWriter();
    await writer.write(Uint8Array.of(0, 0, 1, 0, 0x22, 0x78));
    started();
  });
  peer.handle("callback", async (call: Call) => {
    await call.receive();
    started();
    await call.caller.call("hang").catch(() => {});
  });
}

/** A transport that can be cut, as by the death of its process. */
function cuttable(inner: Transport): [Transport, () => void] {
  const cut = Promise.withResolvers<never>();
  cut.promise.catch(() => {});
  return [{
    read: () => Promise.race([inner.read(), cut.promise]),
    write: (bytes) => Promise.race([inner.write(bytes), cut.promise]),
    closeWrite: () => inner.closeWrite(),
    close: () => inner.close(),
  }, () => cut.reject(new Error("gone"))];
}

/** Makes a pair, whose far end serves, over one kind of connection. */
type Connect = (
  t: Harness,
  serving: (peer: Peer) => void,
) => Pair | Promise<Pair>;

const PAIRS: Record<string, Connect> = {
  memory(t, serving) {
    const [left, right] = memoryTransports();
    const peer = new Peer(qmux(left));
    const far = new Peer(qmux(right));
    t.watchBoth(peer, far);
    serving(far);
    return { peer, vanish: () => right.close() };
  },
  "a transport that fails"(t, serving) {
    const [left, right] = memoryTransports();
    const [line, cut] = cuttable(left);
    const peer = new Peer(qmux(line));
    const far = new Peer(qmux(right));
    t.watchBoth(peer, far);
    serving(far);
    return { peer, vanish: cut };
  },
  async TCP(t, serving) {
    const listener = t.watch(await listen("tcp://127.0.0.1:0"));
    const accepted = listener[Symbol.asyncIterator]().next();
    const peer = t.watch(await dial(listener.addr));
    serving((await accepted).value!);
    return { peer, vanish: () => listener.close() };
  },
  async QUIC(t, serving) {
    const { cert, key, authority } = await loopbackCertificate();
    const listener = t.watch(
      await listen("quic://127.0.0.1:0", { tls: { cert, key } }),
    );
    const accepted = listener[Symbol.asyncIterator]().next();
    const tls = { ca: authority.cert };
    const peer = t.watch(await dial(listener.addr, { tls }));
    serving((await accepted).value!);
    return { peer, vanish: () => listener.close() };
  },
};

async function code(promise: Promise<unknown>): Promise<string> {
  const error = await within(
    promise.then(() => undefined, (error) => error),
    "a call to settle",
  );
  assertIsError(error, MuxError);
  return error.code;
}

for (const [over, connect] of Object.entries(PAIRS)) {
  test(`connection loss: all calls reject with connection-lost when the peer vanishes, over ${over}`, async (t) => {
    const calls = 40;
    let waiting = calls + 5;
    const allStarted = Promise.withResolvers<void>();
    const started = () => {
      if (--waiting === 0) allStarted.resolve();
    };
    const { peer, vanish } = await connect(t, (far) => serve(far, started));
    peer.handle("hang", async (call) => {
      await call.receive();
      await Promise.withResolvers<void>().promise;
    });

    const pending: Promise<unknown>[] = Array.from(
      { length: calls },
      () => peer.call("hang"),
    );
    const never = Promise.withResolvers<string>();
    let released = false;
    async function* endless() {
      try {
        yield "one";
        yield await never.promise;
      } finally {
        released = true;
      }
    }
    pending.push(peer.call("hang", endless()));
    pending.push(peer.call("callback"));
    const stream = await peer.request("stream");
    assertEquals(await stream.receive(), "second");
    pending.push(stream.receive());
    const looping = await peer.request("stream");
    pending.push(Array.fromAsync(looping));
    // The first value is null, then half a value comes.
    const half = await peer.request("half");
    assertEquals(half.value, null);
    pending.push(half.receive());
    pending.forEach((promise) => promise.catch(() => {}));
    await within(allStarted.promise, "all handlers to start");

    await vanish();
    const codes = await Promise.all(pending.map(code));
    assertEquals([...new Set(codes)], ["connection-lost"]);
    assertEquals(await code(peer.call("hang")), "connection-lost");
    await within(peer.closed.catch(() => {}), "the session's end");
    assertEquals(peer.session.usage.channels, 0);
    // The producer is stopped when it has the next value.
    never.resolve("two");
    await Promise.resolve();
    await stream.close();
    await half.close();
    assertEquals(peer.session.usage.slots, 0);
    for (let i = 0; i < 10 && !released; i++) await Promise.resolve();
    assert(released, "the producer of the arguments was stopped");
  });
}

test("call.signal: aborts when the caller vanishes, whether the handler has answered or not", async (t) => {
  const [left, right] = memoryTransports();
  const server = new Peer(qmux(left));
  const client = new Peer(qmux(right));
  t.watchBoth(client, server);
  const reasons: unknown[] = [];
  const started = Promise.withResolvers<void>();
  const done = Promise.withResolvers<void>();
  const note = (call: Call) =>
    call.signal.addEventListener("abort", () => {
      reasons.push(call.signal.reason);
      if (reasons.length === 2) done.resolve();
    }, { once: true });
  server.handle("wait", async (call) => {
    note(call);
    await call.receive();
    await Promise.withResolvers<void>().promise;
  });
  server.handle("stream", async (call, respond) => {
    note(call);
    await call.receive();
    await respond.continue("first");
    started.resolve();
  });
  const wait = client.call("wait").catch(() => {});
  const stream = await client.request("stream");
  await started.promise;
  await right.close();
  await within(done.promise, "both signals");
  for (const reason of reasons) {
    assertIsError(reason, MuxError);
    assertEquals(reason.code, "connection-lost");
  }
  await stream.close();
  await wait;
});

test("session.close(): ends in time over a duplex whose sink takes nothing", async (t) => {
  const clock = t.time();
  const stuck = Promise.withResolvers<void>();
  const session = t.watch(qmux({
    readable: new ReadableStream({}),
    writable: new WritableStream({ write: () => stuck.promise }),
  }, { closeTimeout: 10_000 }));
  const opening = session.open().catch((error) => error);
  const closing = session.close();
  clock.tick(10_000);
  await within(closing, "close()");
  assertEquals((await opening).code, "session-closed");
  await session.closed;
  stuck.resolve();
});

test("session.close(): ends in time over streams that are not read", async (t) => {
  const clock = t.time();
  const out = new TransformStream<Uint8Array, Uint8Array>();
  const session = t.watch(qmux({
    readable: new ReadableStream({}),
    writable: out.writable,
  }, { closeTimeout: 10_000 }));
  const opening = session.open().catch((error) => error);
  const closing = session.close();
  clock.tick(10_000);
  await within(closing, "close()");
  assertEquals((await opening).code, "session-closed");
  await out.readable.cancel();
});

test("session.closed: rejects with the error of its duplex as the cause", async (t) => {
  const failure = new TypeError("the wire melted");
  const session = t.watch(qmux({
    readable: new ReadableStream({
      pull(controller) {
        controller.error(failure);
      },
    }),
    writable: new WritableStream(),
  }));
  const error = await assertRejects(() => session.closed, MuxError);
  assertEquals([error.code, error.cause], ["connection-lost", failure]);
});

test("session.closed: rejects with connection-lost if its duplex gives no bytes", async (t) => {
  const session = t.watch(qmux({
    readable: new ReadableStream({
      start(controller) {
        controller.enqueue("text" as unknown as Uint8Array);
      },
    }),
    writable: new WritableStream(),
  }));
  const error = await within(
    assertRejects(() => session.closed, MuxError),
    "the end",
  );
  assertEquals(error.code, "connection-lost");
});
