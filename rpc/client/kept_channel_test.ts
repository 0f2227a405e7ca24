import {
  type Call,
  type Callback,
  CodecError,
  forward,
  handlerFrom,
  RemoteError,
  RpcError,
  withCall,
  withStream,
} from "@qtalk/qtalk";
import { json } from "@qtalk/qtalk/codec";
import { cbor } from "@qtalk/qtalk/codec/cbor";
import { msgpack } from "@qtalk/qtalk/codec/msgpack";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { test } from "../../tests/support/harness.ts";
import { rawSession } from "../../mux/session.ts";
import { Peer } from "../../talk/peer.ts";
import { quicSessions } from "../../tests/support/quic.ts";
import { collectGarbage } from "../../tests/support/memory.ts";
import {
  rawAccept,
  type RawChannel,
  rawOpen,
} from "../../tests/support/raw_call.ts";
import { adjust, close, data, eof, values } from "../../tests/support/wire.ts";
import { turn, until, watch, within } from "../../tests/support/within.ts";

const AGAIN = { Error: null, Continue: false, Q: { v: 1, again: true } };
/** As `AGAIN`, of a peer that gets no spare channels. */
const ONLY_AGAIN = { Continue: false, Q: AGAIN.Q };

/** The field `Q` of a call that a scripted responder has got. */
async function fieldOf(
  channel: RawChannel,
): Promise<Record<string, unknown>> {
  const [header] = await channel.read(1) as [{ Q: Record<string, unknown> }];
  return header.Q;
}

/** Answers as a peer that gets no spare channels. */
async function answer(channel: RawChannel, value: unknown): Promise<void> {
  await channel.values({ Continue: false }, value);
  await channel.eof();
  await channel.close();
}

/** How many channels the other side of a peer has opened. */
function openedToward(peer: Peer): number {
  return rawSession(peer.session).channels.openedByPeer;
}

/** A channel of a peer that has had one call, and waits for another. */
async function keptChannel(
  peer: Peer,
  raw: Parameters<typeof rawAccept>[0],
  header: unknown = ONLY_AGAIN,
): Promise<RawChannel> {
  const first = peer.call("x");
  const channel = await rawAccept(raw);
  await channel.read(2);
  await channel.values(header, 1);
  assertEquals(await first, 1);
  return channel;
}

/** Waits for CLOSE on a channel. */
async function closed({ raw }: RawChannel): Promise<void> {
  await within(raw.find("close"), "CLOSE");
}

test("kept channels: calls one after the other use one channel", async (t) => {
  const [client] = t.pair({}, {
    handler: async (call, respond) => {
      await respond.return(await call.receive());
    },
  });
  for (let i = 0; i < 20; i++) {
    assertEquals(await client.call("echo", [i]), [i]);
  }
  // The first call opens one, and a spare one.
  assertEquals(client.stats.channels.total, 2);
});

test("kept channels: with every handler, each call gets its own answer", async (t) => {
  const [client] = t.pair({}, {
    onError: () => {},
    handler: handlerFrom({
      now: (n: number) => n,
      later: async (n: number) => await Promise.resolve(n),
      fails: (n: number) => {
        throw new Error(`no ${n}`);
      },
      lends: (n: number) => () => n,
    }),
  });
  const one = async (n: number) => {
    assertEquals(await client.call("now", [n]), n);
    assertEquals(await client.call("later", [n]), n);
    await assertRejects(() => client.call("fails", [n]), Error, `no ${n}`);
    const lent = await client.call("lends", [n]) as
      & (() => Promise<number>)
      & Disposable;
    using _ = lent;
    assertEquals(await lent(), n);
  };
  for (let round = 0; round < 3; round++) {
    await Promise.all(Array.from({ length: 50 }, (_, n) => one(n)));
  }
});

test("kept channels: a responder that does not say again closes the channel", async (t) => {
  const { peer, raw } = t.scriptedPeer();
  for (let i = 0; i < 2; i++) {
    const result = peer.call("x");
    const channel = await rawAccept(raw);
    assertEquals((await fieldOf(channel))["again"], true);
    await answer(channel, i);
    assertEquals(await result, i);
    await closed(channel);
  }
});

test("kept channels: arguments that are streams or have functions do not say again", async (t) => {
  const { peer, raw } = t.scriptedPeer();
  for (
    const start of [
      () => peer.request("x", ReadableStream.from([1])),
      () => peer.call("x", ReadableStream.from([1])),
      () => peer.call("x", [() => 1]),
      () => peer.call("x", [ReadableStream.from([1])], { timeout: 60_000 }),
    ]
  ) {
    const result = start();
    const channel = await rawAccept(raw);
    assertEquals((await fieldOf(channel))["again"], undefined);
    await answer(channel, null);
    await result;
    await closed(channel);
  }
});

function whenAborted(signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve) =>
    signal.addEventListener("abort", resolve, { once: true })
  );
}

const { signal } = new AbortController();
const KINDS: Record<string, (client: Peer, n: number) => PromiseLike<unknown>> =
  {
    "calls without an argument": (client, n) =>
      client.call("count").then((count) => (count as number) + n),
    "request()": async (client, n) => {
      const response = await client.request("echo", [n]);
      assertEquals(response.continued, false);
      assertEquals(response.values.length, 1);
      return response.value;
    },
    "typed calls": (client, n) =>
      client.remote<{ echo(n: number): number }>().echo(n),
    "calls with a signal": (client, n) => client.call("echo", [n], { signal }),
    "calls with a time limit": (client, n) =>
      client.call("echo", [n], { timeout: 60_000 }),
    "typed calls with changing time limits": (client, n) =>
      client.remote<{ echo(n: number): number }>({ timeout: 60_000 + n })
        .echo(n),
    "calls with metadata": (client, n) =>
      client.call("echo", [n], { meta: { n } }),
    "calls with a trace context": (client, n) =>
      client.request("echo", [n], { trace: `t${n}` }).then(({ value }) =>
        value
      ),
  };

test("kept channels: plain calls of all kinds use one channel", async (t) => {
  for (const [kind, call] of Object.entries(KINDS)) {
    const [client] = t.pair({}, {
      handler: handlerFrom({ echo: (n: number) => n, count: () => 0 }),
    });
    for (let i = 0; i < 20; i++) assertEquals(await call(client, i), i);
    assertEquals(client.stats.channels.total, 2, kind);
  }
});

test("kept channels: handlers that ask for the signal, or have a deadline, leave the channel to the next call", async (t) => {
  const signals: AbortSignal[] = [];
  const [client] = t.pair({}, {
    handler: async (call, respond) => {
      signals.push(call.signal);
      const value = await call.receive();
      if (value === "stay") await within(whenAborted(call.signal), "the end");
      await respond.return(value);
    },
    onError: () => {},
  });
  const controller = new AbortController();
  for (let i = 0; i < 10; i++) {
    const options = i % 2 ? {} : { timeout: 60_000 };
    assertEquals(await client.call("x", [i], options), [i]);
  }
  assertEquals(client.stats.channels.total, 2);
  // Aborting a later call does not abort those before it.
  const last = client.call("x", "stay", { signal: controller.signal });
  await until(() => signals.length === 11);
  controller.abort();
  await assertRejects(() => last);
  await until(() => signals[10]!.aborted);
  assertEquals(signals.map(({ aborted }) => aborted).lastIndexOf(false), 9);
});

test("kept channels: request() gets a continued response, several values or an error after plain ones", async (t) => {
  const [client] = t.pair({}, {
    onError: () => {},
    handler: async (call, respond) => {
      const kind = await call.receive();
      if (kind === "several") return await respond.return(1, 2);
      if (kind === "error") return await respond.return(new Error("no"));
      if (kind === "plain") return await respond.return(1);
      const channel = await respond.continue(1);
      await channel.close();
    },
  });
  for (let i = 0; i < 5; i++) {
    for (const [kind, values] of [["plain", 1], ["several", 2]] as const) {
      const response = await client.request("x", kind);
      assertEquals([response.continued, response.values.length], [
        false,
        values,
      ]);
    }
    await client.request("x", "plain");
    await assertRejects(() => client.request("x", "error"), Error, "no");
    await client.request("x", "plain");
    const response = await client.request("x", "continued");
    assertEquals([response.continued, response.value], [true, 1]);
    await response.close();
  }
});

test("kept channels: a request() whose responder sends more than one value after again keeps no channel", async (t) => {
  const { peer, raw } = t.scriptedPeer();
  const first = peer.request("x");
  const channel = await rawAccept(raw);
  await channel.read(2);
  await channel.values(ONLY_AGAIN, 1, 2);
  assertEquals((await first).values, [1]);
  await closed(channel);
});

test("kept channels: a call with a time limit that passes closes its channel", async (t) => {
  const time = t.time();
  const { peer, raw } = t.scriptedPeer();
  const channel = await keptChannel(peer, raw, AGAIN);
  const second = peer.call("y", null, { timeout: 5_000 });
  const [header] = await channel.read(2) as [{ Q: { deadline: number } }];
  assertEquals(header.Q.deadline, 5_000);
  time.tick(5_000);
  await assertRejects(() => second, RpcError, "5000 ms");
  await closed(channel);
  await channel.close();
});

test("kept channels: a call that is given up closes its channel", async (t) => {
  const { peer, raw } = t.scriptedPeer();
  const channel = await keptChannel(peer, raw, AGAIN);
  const controller = new AbortController();
  const second = peer.call("y", null, { signal: controller.signal });
  await channel.read(2);
  controller.abort();
  await assertRejects(() => second);
  await closed(channel);
  await channel.close();
});

test("kept channels: an error, an unread argument and several values end the channel", async (t) => {
  const { peer, raw } = t.scriptedPeer();
  peer.handle("fails", async (call, respond) => {
    await call.receive();
    await respond.return(new Error("no"));
  });
  peer.handle("unread", (_call, respond) => respond.return(1));
  peer.handle("lends", async (call, respond) => {
    await call.receive();
    await respond.return(() => 1);
  });
  peer.handle("several", async (call, respond) => {
    await call.receive();
    await respond.return(1, 2);
  });
  for (const Selector of ["fails", "unread", "several", "lends"]) {
    const channel = await rawOpen(raw);
    await channel.values({ Selector, Q: { v: 1, again: true } }, null);
    const [header] = await channel.read(2) as [typeof AGAIN, unknown];
    assertEquals(header.Q.again, undefined, Selector);
    await within(raw.find("eof"), "EOF");
    // The caller closes a channel with functions, when it has them.
    if (Selector !== "lends") await closed(channel);
    await channel.close();
  }
});

test("kept channels: what a handler does after its answer does not touch the next call", async (t) => {
  const calls: Call[] = [];
  const { peer, raw } = t.scriptedPeer({
    handler: async (call, respond) => {
      calls.push(call);
      await respond.return(await call.receive());
    },
  });
  const header = { Selector: "x", Q: { v: 1, again: true } };
  const channel = await rawOpen(raw);
  await channel.values(header, 1);
  assertEquals((await channel.read(2))[1], 1);
  const late = calls[0]!.receive();
  const { signal } = calls[0]!;
  await channel.values(header, 2);
  assertEquals((await channel.read(2))[1], 2);
  assertEquals(await late, undefined);
  await channel.close();
  await closed(channel);
  assertEquals(signal.aborted, false);
  assertEquals(peer.stats.calls.answering, 0);
});

test("kept channels: a caller that does not say again gets EOF and CLOSE", async (t) => {
  const { raw } = t.scriptedPeer({
    handler: async (call, respond) => {
      await respond.return(await call.receive());
    },
  });
  const channel = await rawOpen(raw);
  await channel.values({ Selector: "x", Q: { v: 1, again: true } }, 1);
  await channel.read(2);
  await channel.values({ Selector: "x", Q: { v: 1 } }, 2);
  assertEquals((await channel.read(2))[1], 2);
  await within(raw.find("eof"), "EOF");
  await closed(channel);
  await channel.close();
});

test("forward(): it does not pass on that a channel may have other calls", async (t) => {
  const { peer, raw } = t.scriptedPeer();
  const [client] = t.pair({}, { handler: forward(peer) });
  const result = client.call("x", 1);
  const channel = await rawAccept(raw);
  const field = await fieldOf(channel);
  assertEquals([field["v"], field["again"]], [1, undefined]);
  await answer(channel, 2);
  assertEquals(await result, 2);
  await closed(channel);
});

test("forward(): a call on a channel that other calls have left is closed at once", async (t) => {
  // What waits to leave with other frames would wait for ever.
  t.time(1);
  const { peer, raw } = t.scriptedPeer();
  const [client] = t.pair({}, { handler: forward(peer) });
  const calls = [peer.call("x")];
  const channel = await rawAccept(raw);
  for (const value of [1, 2]) {
    await channel.read(2);
    await channel.values(ONLY_AGAIN, value);
    assertEquals(await calls.at(-1), value);
    if (value === 1) calls.push(peer.call("x"));
  }
  const result = client.request("y", 3);
  await channel.read(2);
  await channel.values({ Continue: true, Q: { v: 1 } }, 4);
  const response = await result;
  assertEquals(response.value, 4);
  await raw.send(eof(channel.remote), close(channel.remote));
  await closed(channel);
  await response.channel!.close();
});

const HEADER = { Selector: "x", Q: { v: 1, again: true } };

test("kept channels: the limit for values does not limit headers", async (t) => {
  const [client] = t.pair({ maxValueSize: 16 }, {
    maxValueSize: 16,
    handler: handlerFrom({
      echo: (text: string) => text,
      long: () => "x".repeat(15),
    }),
  });
  for (let i = 0; i < 3; i++) {
    assertEquals(await client.call("echo", ["x".repeat(12)]), "x".repeat(12));
  }
  await assertRejects(() => client.call("long", []), CodecError, "17 bytes");
  await assertRejects(
    () => client.call("echo", ["x".repeat(13)]),
    RemoteError,
    "17 bytes",
  );
  assertEquals(await client.call("echo", ["y"]), "y");
});

test("kept channels: a large answer and a large argument end the channel", async (t) => {
  const { peer, raw } = t.scriptedPeer({
    handler: async (call, respond) => {
      await call.receive();
      await respond.return(1);
    },
  });
  for (const [length, keeps] of [[8_000, true], [8_200, false]]) {
    const text = "x".repeat(length as number);
    const incoming = await rawOpen(raw);
    await incoming.values(HEADER, text);
    const [header] = await incoming.read(2) as [typeof AGAIN];
    assertEquals(header.Q.again, keeps ? true : undefined);
    await incoming.close();
    await closed(incoming);
    const result = peer.call("x");
    const channel = await rawAccept(raw);
    await channel.read(2);
    await channel.values(ONLY_AGAIN, text);
    assertEquals(await result, text);
    if (keeps) {
      const next = peer.call("y");
      await channel.read(2);
      await answer(channel, 2);
      assertEquals(await next, 2);
    }
    await closed(channel);
    if (!keeps) await channel.close();
  }
});

test("kept channels: a call that has waited and is answered at once counts as running no longer", async (t) => {
  const release = Promise.withResolvers<void>();
  const never = Promise.withResolvers<void>();
  t.defer(() => never.resolve());
  const [client, server] = t.pair({}, {
    maxConcurrentCalls: 1,
    handler: async (call, respond) => {
      void call.receive();
      if (call.selector === "/first") await release.promise;
      void respond.return(call.selector);
      if (call.selector !== "/first") await never.promise;
    },
  });
  const first = client.call("first");
  const second = client.call("second");
  await until(() => server.stats.calls.total === 2);
  release.resolve();
  assertEquals([await first, await second], ["/first", "/second"]);
  assertEquals(server.stats.calls.answering, 0);
  assertEquals(await client.call("third"), "/third");
});

test("kept channels: a later call may continue, stream arguments or lend functions", async (t) => {
  const service = {
    now: (n: number) => n,
    items: async function* (n: number) {
      yield await Promise.resolve(n);
    },
    sum: withStream(async (values: AsyncIterable<number>) => {
      let sum = 0;
      for await (const value of values) sum += value;
      return sum;
    }),
    apply: async (fn: (n: number) => Promise<number>) => await fn(3),
    lends: (n: number) => () => n,
  };
  const [client, server] = t.pair({}, { handler: handlerFrom(service) });
  const api = client.remote<typeof service>();
  const lent = async () => {
    const fn = await client.call("lends", [5]) as Callback<() => number>;
    fn.release();
    return typeof fn;
  };
  for (
    const [call, expected] of [
      [() => Array.fromAsync(api.items(1)), [1]],
      [() => client.call("sum", ReadableStream.from([1, 2])), 3],
      [() => client.call("apply", [(n: number) => n + 1]), 4],
      [lent, "function"],
    ] as const
  ) {
    // The channel of the second call waits for another one.
    for (let i = 0; i < 2; i++) assertEquals(await client.call("now", [i]), i);
    const opened = openedToward(server);
    assertEquals<unknown>(await call(), expected);
    assertEquals(openedToward(server), opened);
  }
});

test("kept channels: calls in two codecs, one of them nested, take turns on one channel", async (t) => {
  const [one, other] = t.pair({
    codecs: [json(), cbor()],
    handler: async (call, respond) => {
      const args = await call.receive();
      await respond.return(await call.caller.call("echo", args));
    },
  }, {
    codecs: [cbor(), json()],
    handler: handlerFrom({ echo: (n: number) => n }),
  });
  for (let i = 0; i < 2; i++) assertEquals(await one.call("echo", [i]), i);
  const opened = openedToward(other);
  for (let i = 0; i < 5; i++) {
    // It comes back in the codec of the other peer.
    assertEquals(await other.call("back", [i]), i);
    assertEquals(await one.call("echo", [i]), i);
  }
  assertEquals(openedToward(other), opened);
});

test("kept channels: draining waits for a call on one, and no longer", async (t) => {
  // No timer closes the channel.
  t.time();
  for (const closer of [0, 1]) {
    const answer = Promise.withResolvers<number>();
    const running = Promise.withResolvers<void>();
    const peers = t.pair({}, {
      handler: handlerFrom({
        now: (n: number) => n,
        later: (_n: number) => {
          running.resolve();
          return answer.promise;
        },
      }),
    });
    const [client] = peers;
    await client.call("now", [1]);
    await client.call("now", [1]);
    const late = client.call("later", [2]);
    await running.promise;
    const closed = peers[closer]!.close({ drainTimeout: 600_000 });
    answer.resolve(2);
    assertEquals(await within(late, "the answer"), 2);
    await within(closed, "the end of draining");
  }
});

test("kept channels: draining waits until a long answer was taken", async (t) => {
  const { peer, raw } = t.scriptedPeer({
    session: { closeTimeout: 1 },
    handler: async (call, respond) => {
      await call.receive();
      await respond.return("x".repeat(1000));
    },
  });
  const channel = await rawOpen(raw, 0, 100);
  await channel.values(HEADER, 1);
  const closing = peer.close({ drainTimeout: 600_000 });
  const watched = watch(closing);
  for (let i = 0; i < 10; i++) await turn();
  assertEquals(watched.state, "pending");
  await raw.send(adjust(channel.remote, 5_000));
  assertEquals((await channel.read(2))[1], "x".repeat(1000));
  await within(closing, "the end of draining");
  await raw.end();
});

test("kept channels: a call that comes while the responder drains is refused, and not lost", async (t) => {
  const never = Promise.withResolvers<void>();
  t.defer(() => never.resolve());
  const { peer, raw } = t.scriptedPeer({
    session: { closeTimeout: 1 },
    handler: async (call, respond) => {
      const size = await call.receive() as number;
      if (size === 0) await never.promise;
      await respond.return("x".repeat(size));
    },
  });
  const running = await rawOpen(raw, 1);
  await running.values({ Selector: "x" }, 0);
  const channel = await rawOpen(raw, 0, 100);
  await channel.values(HEADER, 1_000);
  await until(() => peer.stats.calls.answering === 2);
  // Its answer says again, and waits for the window.
  const closing = watch(peer.close({ drainTimeout: 600_000 }));
  await raw.send(adjust(channel.remote, 5_000));
  const [header] = await channel.read(2) as [typeof AGAIN];
  assertEquals(header.Q.again, true);
  await channel.values(HEADER, 1);
  const [refusal] = await channel.read(1) as [{ Error: string }];
  assert(refusal.Error.startsWith("unavailable:"), refusal.Error);
  await closed(channel);
  assertEquals(closing.state, "pending");
  await raw.end();
});

test("kept channels: draining does not wait for a channel that waits, even if the responder has ended it", async (t) => {
  t.time();
  const { peer, raw } = t.scriptedPeer();
  const channel = await keptChannel(peer, raw);
  await raw.send(eof(channel.remote));
  for (let i = 0; i < 5; i++) await turn();
  const closing = peer.close({ drainTimeout: 600_000 });
  await within(raw.end(), "the end of the script");
  await within(closing, "the end of draining");
});

test("kept channels: a handler that goes on after its answer has no deadline left", async (t) => {
  const clock = t.time();
  const gate = Promise.withResolvers<void>();
  t.defer(() => gate.resolve());
  const signals: AbortSignal[] = [];
  const [client, server] = t.pair({}, {
    handler: async (call, respond) => {
      signals.push(call.signal);
      await respond.return(await call.receive());
      await gate.promise;
    },
  });
  assertEquals(await client.call("x", 1, { timeout: 3_600_000 }), 1);
  assertEquals(await client.call("x", 2, { timeout: 3_600_000 }), 2);
  await client.close();
  await server.closed;
  assertEquals(clock.waiting, 0);
  assertEquals(signals.map(({ aborted }) => aborted), [false, false]);
});

test("kept channels: what becomes of a later call does not hide the error of an earlier handler", async (t) => {
  const gate = Promise.withResolvers<void>();
  const late = new DOMException("late", "AbortError");
  const errors: unknown[] = [];
  const [client] = t.pair({}, {
    handler: async (call, respond) => {
      const name = await call.receive();
      if (name === "second") await within(whenAborted(call.signal), "the end");
      await respond.return(name);
      if (name !== "first") return;
      await gate.promise;
      throw late;
    },
    onError: (error) => errors.push(error),
  });
  await client.call("x", "open");
  assertEquals(await client.call("x", "first"), "first");
  const controller = new AbortController();
  const second = client.call("x", "second", { signal: controller.signal });
  for (let i = 0; i < 5; i++) await turn();
  controller.abort();
  await assertRejects(() => second);
  for (let i = 0; i < 5; i++) await turn();
  gate.resolve();
  await until(() => errors.includes(late));
});

test("kept channels: metadata that was asked for and not set leaves the channel to the next call", async (t) => {
  const [client] = t.pair({}, {
    handler: handlerFrom(withCall((call: Call, n: number) => {
      if (n < 0) call.responseMeta["n"] = n;
      assertEquals(Object.keys(call.responseMeta).length, n < 0 ? 1 : 0);
      return n;
    })),
  });
  for (let i = 0; i < 5; i++) assertEquals(await client.call("x", [i]), i);
  const { total } = client.stats.channels;
  assertEquals(total, 2);
  assertEquals((await client.request("x", [-1])).meta, { n: -1 });
  await client.call("x", [1]);
  await client.call("x", [1]);
  assert(client.stats.channels.total > total);
});

test("kept channels: what the responder sends after an answer is no answer to the next call", async (t) => {
  const { peer, raw } = t.scriptedPeer();
  const channel = await keptChannel(peer, raw);
  await channel.values(ONLY_AGAIN, "stale");
  const second = peer.call("y");
  await closed(channel);
  await channel.close();
  const other = await rawAccept(raw, 1);
  await answer(other, 2);
  assertEquals(await second, 2);
});

test("kept channels: a responder that says again unasked keeps no channel", async (t) => {
  const { peer, raw } = t.scriptedPeer();
  for (
    const [header, start] of [
      [ONLY_AGAIN, () => peer.call("x", ReadableStream.from([1]))],
      [ONLY_AGAIN, () => peer.call("x", [() => 1])],
      [
        { Continue: true, Q: AGAIN.Q },
        () => peer.call("x"),
      ],
      [{ ...ONLY_AGAIN, Q: { ...AGAIN.Q, lends: "a" } }, () => peer.call("x")],
    ] as const
  ) {
    const result = start();
    const channel = await rawAccept(raw);
    await channel.values(header, 1);
    assertEquals(await result, 1);
    await closed(channel);
    await channel.close();
  }
});

test("kept channels: a caller that does not wait for its answer loses the channel", async (t) => {
  const selectors: string[] = [];
  const { peer, raw } = t.scriptedPeer({
    handler: async (call, respond) => {
      selectors.push(call.selector);
      await respond.return(await call.receive());
    },
  });
  const list = Array.from({ length: 10 }, () => [HEADER, 1]).flat();
  const channel = await rawOpen(raw);
  await channel.values(...list);
  const [header] = await channel.read(2) as [typeof AGAIN];
  assertEquals(header.Q.again, undefined);
  await closed(channel);
  await channel.close();
  assertEquals(selectors, ["/x"]);
  assertEquals(peer.stats.calls.answering, 0);
});

test("kept channels: a stream of arguments and an early EOF end the channel", async (t) => {
  const { raw } = t.scriptedPeer({
    handler: async (call, respond) => {
      await respond.return(await call.receive());
    },
  });
  for (const [stream, ends] of [[true, false], [undefined, true]]) {
    const channel = await rawOpen(raw);
    const call = { Selector: "x", Q: { ...HEADER.Q, stream } };
    const bytes = data(channel.remote, values(call, 1));
    if (ends) await raw.send(bytes, eof(channel.remote));
    else await raw.send(bytes);
    const [header] = await channel.read(2) as [typeof AGAIN];
    assertEquals(header.Q.again, undefined);
    if (!ends) await channel.eof();
    await closed(channel);
    await channel.close();
  }
});

test("kept channels: a channel that its handler has taken is not kept, and cannot be taken after the answer", async (t) => {
  const calls: Call[] = [];
  const { raw } = t.scriptedPeer({
    handler: async (call, respond) => {
      calls.push(call);
      if (call.selector === "/early") void call.channel;
      await respond.return(await call.receive());
      await assertRejects(async () => await respond.return(2), RpcError);
    },
  });
  const channel = await rawOpen(raw);
  await channel.values(HEADER, 1);
  await channel.read(2);
  assertThrows(() => calls[0]!.channel, RpcError, "has been answered");
  await channel.values({ ...HEADER, Selector: "early" }, 1);
  const [header] = await channel.read(2) as [typeof AGAIN];
  assertEquals(header.Q.again, undefined);
  await closed(channel);
  await channel.close();
});

test("kept channels: a handler that goes on after its answer fails alone", async (t) => {
  const goOn = Promise.withResolvers<void>();
  const reported = Promise.withResolvers<unknown[]>();
  const { peer, raw } = t.scriptedPeer({
    onError: (error, context) => reported.resolve([error, context?.selector]),
    handler: async (call, respond) => {
      await respond.return(await call.receive());
      if (call.selector !== "/x") return;
      await goOn.promise;
      throw new Error("late");
    },
  });
  const channel = await rawOpen(raw);
  await channel.values(HEADER, 1);
  await channel.read(2);
  goOn.resolve();
  await channel.values({ ...HEADER, Selector: "y" }, 2);
  assertEquals((await channel.read(2))[1], 2);
  const [error, selector] = await within(reported.promise, "the error");
  assertEquals([(error as Error).message, selector], ["late", "/x"]);
  assertEquals(peer.stats.calls.answering, 0);
  await channel.close();
  await closed(channel);
});

test("kept channels: errors name the call that the channel has now", async (t) => {
  const failed = Promise.withResolvers<Error>();
  const { raw } = t.scriptedPeer({
    onError: () => {},
    handler: async (call, respond) => {
      if (call.selector === "/y") {
        await call.receive();
        await call.receive().catch(failed.resolve);
      } else await respond.return(await call.receive());
    },
  });
  const channel = await rawOpen(raw);
  await channel.values(HEADER, 1);
  await channel.read(2);
  await channel.values({ ...HEADER, Selector: "y" }, 1);
  await channel.close();
  const { message } = await within(failed.promise, "the error");
  assert(message.includes('"/y"'), message);
});

test("kept channels: an end between two calls is no error at either side", async (t) => {
  // What either side reports fails the test.
  const [client, server] = t.pair({}, {
    handler: handlerFrom((n: number) => n),
  });
  for (let i = 0; i < 3; i++) assertEquals(await client.call("x", [i]), i);
  await server.close();
  await client.closed;
});

test("kept channels: a caller may close one that waits", async (t) => {
  const { peer, raw } = t.scriptedPeer({
    handler: handlerFrom((n: number) => n),
  });
  const channel = await rawOpen(raw);
  await channel.values(HEADER, [1]);
  await channel.read(2);
  await channel.close();
  await closed(channel);
  assertEquals(peer.stats.channels.open, 0);
});

test("kept channels: after many calls nothing is held", async (t) => {
  const [client, server] = t.pair({}, {
    maxConcurrentCalls: 2,
    maxQueuedCalls: 2,
    handler: handlerFrom({
      now: (n: number) => n,
      later: async (n: number) => await Promise.resolve(n),
    }),
  });
  const held = () => [client, server].map(({ session }) => session.usage.held);
  let before: unknown;
  for (let i = 0; i < 1000; i++) {
    // All headers that they have are remembered.
    if (i === 100) before = held();
    const name = i % 2 ? "now" : "later";
    assertEquals(await client.call(name, [i]), i);
  }
  assertEquals(server.stats.calls, { total: 1000, answering: 0, waiting: 0 });
  const { total } = client.stats.channels;
  // One call in 64 ends its channel.
  assert(total >= 2 + Math.floor(1000 / 64) && total < 100, `${total}`);
  assertEquals(held(), before);
});

test("kept channels: while 193 channels are open, calls end theirs", async (t) => {
  const release = Promise.withResolvers<void>();
  const [client, server] = t.pair({}, {
    handler: handlerFrom({
      now: (n: number) => n,
      later: async (_n: number) => await release.promise,
    }),
  });
  await client.call("now", [0]);
  const later = Array.from({ length: 193 }, () => client.call("later", [0]));
  await until(() => server.stats.calls.answering === 193);
  const { total } = client.stats.channels;
  for (let i = 0; i < 10; i++) assertEquals(await client.call("now", [i]), i);
  // Each call takes a spare channel, and another one opens in its place.
  assert(client.stats.channels.total >= total + 10);
  release.resolve();
  await Promise.all(later);
});

test("kept channels: while memory is scarce, calls end theirs", async (t) => {
  const release = Promise.withResolvers<void>();
  const [client, server] = t.pair({ session: { maxHeldSize: 256 * 1024 } }, {
    handler: handlerFrom({
      now: (n: number) => n,
      later: async (_n: number) => await release.promise,
    }),
  });
  await client.call("now", [0]);
  const { channels } = rawSession(client.session);
  const later: Promise<unknown>[] = [];
  for (let more = 0; more < 4; more += channels.crowded ? 1 : 0) {
    later.push(client.call("later", [0]));
    await until(() => server.stats.calls.answering === later.length);
  }
  const { total } = client.stats.channels;
  for (let i = 0; i < 10; i++) assertEquals(await client.call("now", [i]), i);
  // The first may find a spare one.
  assert(client.stats.channels.total >= total + 9);
  release.resolve();
  await Promise.all(later);
});

for (const codec of [json(), cbor(), msgpack()]) {
  test(`kept channels: ${codec.name} calls use one channel`, async (t) => {
    const [client] = t.pair({ codec }, {
      codec,
      handler: handlerFrom((list: number[]) => list.length),
    });
    for (let i = 0; i < 5; i++) {
      assertEquals(await client.call("x", [new Array(i).fill(0)]), i);
    }
    assertEquals(client.stats.channels.total, 2);
  });
}

test("kept channels: one that waits refers to nothing of its last call", async (t) => {
  const things: WeakRef<Call | AbortSignal>[] = [];
  const [client] = t.pair({}, {
    handler: async (call, respond) => {
      things.push(new WeakRef(call));
      if (call.selector === "/signal") things.push(new WeakRef(call.signal));
      await respond.return(await call.receive());
    },
  });
  for (let i = 0; i < 6; i++) await client.call(i < 3 ? "x" : "signal", [i]);
  const left = () => things.filter((thing) => thing.deref()).length;
  for (let i = 0; i < 20 && left() > 0; i++) {
    await turn();
    collectGarbage();
  }
  assertEquals([things.length, left()], [9, 0]);
});

test("kept channels: bursts of calls use up no idle frames", async (t) => {
  const time = t.time();
  const session = { maxIdleFrames: 64 };
  const [client, server] = t.pair({ session }, {
    session,
    handler: handlerFrom((n: number) => n),
  });
  for (let burst = 0; burst < 300; burst++) {
    const calls = Array.from({ length: 30 }, (_, i) => client.call("x", [i]));
    await Promise.all(calls);
    for (let i = 0; i < 8; i++) time.tick(1_000);
    for (let i = 0; i < 3; i++) await turn();
  }
  assertEquals(await client.call("x", [1]), 1);
  assert(server.stats.channels.open < 8);
  await client.close();
});

test("kept channels: a call given up when its answer has arrived leaves the next one alone", async (t) => {
  const { peer, raw } = t.scriptedPeer();
  const controller = new AbortController();
  const first = peer.call("x", null, { signal: controller.signal });
  const channel = await rawAccept(raw);
  await channel.read(2);
  // The first to see the answer.
  const aborted = first.then(() => controller.abort());
  await channel.values(ONLY_AGAIN, 1);
  assertEquals(await first, 1);
  await aborted;
  const second = peer.call("y");
  await channel.read(2);
  await channel.values(ONLY_AGAIN, 2);
  assertEquals(await second, 2);
});

test("kept channels: a call whose channel the responder closes unread fails", async (t) => {
  const { peer, raw } = t.scriptedPeer();
  const channel = await keptChannel(peer, raw);
  const second = peer.call("y");
  await channel.close();
  const error = await assertRejects(() => second, RpcError, '"y"');
  assertEquals(error.code, "no-response");
});

if ("Deno" in globalThis) {
  test("kept channels: over QUIC, calls one after the other use one channel", async (t) => {
    const { near, far, close } = await quicSessions();
    t.watchBoth(near, far);
    t.defer(close);
    const client = new Peer(near);
    const server = new Peer(far, { handler: handlerFrom((n: number) => n) });
    for (let i = 0; i < 5; i++) assertEquals(await client.call("x", [i]), i);
    assertEquals(client.stats.channels.total, 2);
    await client.close();
    await server.closed;
  });
}
