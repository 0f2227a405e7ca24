import { type Call, forward, handlerFrom } from "@qtalk/qtalk";
import { assertEquals, assertRejects } from "@std/assert";
import { test } from "../../tests/support/harness.ts";
import {
  rawAccept,
  type RawChannel,
  rawOpen,
} from "../../tests/support/raw_call.ts";
import { within } from "../../tests/support/within.ts";

const AGAIN = { Error: null, Continue: false, Q: { v: 1, again: true } };

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

test("kept channels: a request() and streamed arguments say nothing of other calls", async (t) => {
  const { peer, raw } = t.scriptedPeer();
  for (
    const start of [
      () => peer.request("x"),
      () => peer.call("x", ReadableStream.from([1])),
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

test("kept channels: a call that is given up closes its channel", async (t) => {
  const { peer, raw } = t.scriptedPeer();
  const first = peer.call("x");
  const channel = await rawAccept(raw);
  await channel.read(2);
  await channel.values(AGAIN, 1);
  assertEquals(await first, 1);
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
  peer.handle("fails", (_call, respond) => respond.return(new Error("no")));
  peer.handle("unread", (_call, respond) => respond.return(1));
  peer.handle("several", async (call, respond) => {
    await call.receive();
    await respond.return(1, 2);
  });
  for (const Selector of ["fails", "unread", "several"]) {
    const channel = await rawOpen(raw);
    await channel.values({ Selector, Q: { v: 1, again: true } }, null);
    const [header] = await channel.read(2) as [typeof AGAIN, unknown];
    assertEquals(header.Q.again, undefined, Selector);
    await closed(channel);
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

test("kept channels: a caller that says nothing of other calls gets EOF and CLOSE", async (t) => {
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
