import {
  CallError,
  dial,
  handlerFrom,
  listen,
  MuxError,
  Peer,
} from "@qtalk/qtalk";
import {
  observe,
  type ObservedEvent,
  type Observer,
} from "@qtalk/qtalk/observe";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { QuicConnection } from "../../mux/quic/connection.ts";
import { FRAMED_PROTOCOL, PLAIN_PROTOCOL } from "../../mux/quic/protocol.ts";
import { sessionOver } from "../../mux/session.ts";
import { test } from "../../tests/support/harness.ts";
import {
  loopbackCertificate,
  quicConnections,
} from "../../tests/support/quic.ts";
import { concat, confirm, data, open, utf8 } from "../../tests/support/wire.ts";
import { within } from "../../tests/support/within.ts";

const service = {
  add: (a: number, b: number) => a + b,
  fail() {
    throw new CallError("too much");
  },
  async *count(n: number) {
    for (let i = 1; i <= n; i++) yield await Promise.resolve(i);
  },
};

/** An observer, what it heard, and a promise of an event. */
function recorder(): {
  events: ObservedEvent[];
  observer: Observer;
  heard(matches: (event: ObservedEvent) => boolean): Promise<unknown>;
} {
  const events: ObservedEvent[] = [];
  const waiting: { matches(event: ObservedEvent): boolean; end(): void }[] = [];
  return {
    events,
    observer: observe((event) => {
      events.push(event);
      for (const one of waiting) if (one.matches(event)) one.end();
    }),
    heard(matches) {
      const { promise, resolve } = Promise.withResolvers<void>();
      if (events.some(matches)) resolve();
      waiting.push({ matches, end: resolve });
      return within(promise, "an event");
    },
  };
}

const isClosed = (event: ObservedEvent) =>
  event.type === "session" && event.state === "closed";

/** Calls, answers and values in words, and how calls have ended. */
function said(events: readonly ObservedEvent[]): string[] {
  return events.flatMap((event) => {
    switch (event.type) {
      case "call": {
        const value = JSON.stringify(event.argument?.value);
        return [`${event.by} calls ${event.call.selector} ${value}`];
      }
      case "answer":
        return [`${event.by} answers ${event.error ?? event.value?.value}`];
      case "value":
        return [`${event.by} sends ${event.value.value}`];
      case "trailer":
        return [`${event.by} ends`];
      case "bytes":
        return [`${event.by} sends bytes`];
      case "call-end":
        return [event.outcome];
      default:
        return [];
    }
  });
}

function frames(events: readonly ObservedEvent[]): string[] {
  return events.flatMap((event) =>
    event.type === "frame" ? [`${event.by} ${event.name} ${event.id}`] : []
  );
}

function states(events: readonly ObservedEvent[]): string[] {
  return events.flatMap((event) =>
    event.type === "channel" || event.type === "session"
      ? [`${event.type} ${event.state}`]
      : []
  );
}

test("observer: over quic:, both ends hear of sessions, channels, frames and calls", async () => {
  const { cert, key, authority } = await loopbackCertificate();
  const near = recorder(), far = recorder();
  const listener = await listen("quic://127.0.0.1:0", {
    tls: { cert, key },
    handler: handlerFrom(service),
    observer: far.observer,
  });
  const peer = await dial(listener.addr, {
    tls: { ca: authority.cert },
    observer: near.observer,
  });
  assertEquals(await peer.call("add", [1, 2]), 3);
  await assertRejects(() => peer.call("fail"));
  const counted: unknown[] = [];
  for await (const value of await peer.request("count", [2])) {
    counted.push(value);
  }
  assertEquals(counted, [1, 2]);
  await peer.close();
  await listener.close();
  await Promise.all([near.heard(isClosed), far.heard(isClosed)]);
  const expected = [
    "near calls add [1,2]",
    "far answers 3",
    "answered",
    "near calls fail null",
    "far answers too much",
    "failed",
    "near calls count [2]",
    "far answers null",
    "far sends 1",
    "far sends 2",
    "far ends",
    "answered",
  ];
  // A call may end after the next one has begun, on another stream.
  assertEquals(said(near.events).sort(), expected.sort());
  const mirrored = expected.map((line) =>
    line.startsWith("near")
      ? line.replace("near", "far")
      : line.replace("far", "near")
  );
  assertEquals(said(far.events).sort(), mirrored.sort());
  const [first] = near.events;
  assert(first?.type === "session" && first.state === "opened");
  assertEquals(first.address, listener.addr);
  for (const { events } of [near, far]) {
    const channels = new Set(
      events.flatMap((event) =>
        event.type === "call" ? [event.channel.number] : []
      ),
    );
    // The second call uses the channel of the first.
    assertEquals(channels.size, 2);
    const [number] = channels;
    const ofFirst = events.filter((event) =>
      event.type === "frame" && event.channel?.number === number
    );
    const opener = events === near.events ? "near" : "far";
    const other = opener === "near" ? "far" : "near";
    for (
      const frame of [
        `${opener} OPEN 0`,
        `${other} OPEN_CONFIRM 0`,
        `${opener} DATA 0`,
        `${other} DATA 0`,
        `${opener} CLOSE 0`,
        `${other} CLOSE 0`,
      ]
    ) assert(frames(ofFirst).includes(frame), `${frame}: ${frames(ofFirst)}`);
    const last = states(events).at(-1);
    assertEquals(last, "session closed");
  }
});

test("observer: over quic: with qtalk-go's dialect, it hears of channels and calls, without frames", async () => {
  const { near, far, close } = await quicConnections(PLAIN_PROTOCOL);
  const here = recorder(), there = recorder();
  const client = new Peer(
    sessionOver(here.observer.observe(new QuicConnection(near))),
  );
  const server = new Peer(
    sessionOver(there.observer.observe(new QuicConnection(far))),
    { handler: handlerFrom(service) },
  );
  assertEquals(await client.call("add", [1, 2]), 3);
  assertEquals(await client.call("add", [3, 4]), 7);
  // An error ends the channel.
  await assertRejects(() => client.call("fail"));
  const ended = (event: ObservedEvent) =>
    event.type === "channel" && event.state === "closed";
  await Promise.all([here.heard(ended), there.heard(ended)]);
  await client.close();
  await server.close();
  close();
  assertEquals(said(here.events), [
    "near calls add [1,2]",
    "far answers 3",
    "answered",
    "near calls add [3,4]",
    "far answers 7",
    "answered",
    "near calls fail null",
    "far answers too much",
    "failed",
  ]);
  assertEquals(said(there.events), [
    "far calls add [1,2]",
    "near answers 3",
    "answered",
    "far calls add [3,4]",
    "near answers 7",
    "answered",
    "far calls fail null",
    "near answers too much",
    "failed",
  ]);
  for (const { events } of [here, there]) {
    assertEquals(frames(events), []);
    const [session] = states(events);
    assertEquals(session, "session opened");
    assertEquals(states(events).at(-1), "session closed");
    const calls = events.filter((event) => event.type === "call");
    const { channel } = calls[0]!;
    assertEquals(calls.map((call) => call.channel), [
      channel,
      channel,
      channel,
    ]);
    const ofChannel = events.filter((event) =>
      event.type === "channel" && event.channel === channel
    );
    assertEquals(states(ofChannel), ["channel opened", "channel closed"]);
  }
});

test("observer: over quic:, a stream that ends without CLOSE is a lost call, and the session goes on", async () => {
  const { near, far, close } = await quicConnections(FRAMED_PROTOCOL);
  const { events, observer, heard } = recorder();
  const session = sessionOver(observer.observe(new QuicConnection(near)));
  const peer = new Peer(session);
  const streams = far.incomingBidirectionalStreams.getReader();
  const call = peer.call("add", [1, 2]);
  const { value: stream } = await within(streams.read(), "a stream");
  const writer = stream!.writable.getWriter();
  await writer.write(confirm(0, 0));
  await heard((event) => event.type === "call");
  await writer.close();
  await assertRejects(() => call, MuxError);
  const [lost] = events.filter((event) => event.type === "call-end");
  assert(lost?.type === "call-end" && lost.outcome === "lost");
  assert(!events.some(isClosed));
  // A stream that the other end opens is heard of, too.
  const another = await far.createBidirectionalStream();
  const says = another.writable.getWriter();
  await says.write(concat(open(0)));
  await heard((event) =>
    event.type === "frame" && event.by === "near" &&
    event.name === "OPEN_CONFIRM"
  );
  const answer = another.readable.getReader({ mode: "byob" });
  await within(answer.read(new Uint8Array(100)), "the answer to OPEN");
  await says.write(data(0, utf8("no call")));
  await heard((event) => event.type === "bytes" && event.by === "far");
  far.close({ closeCode: 7, reason: "enough" });
  await within(peer.closed.catch(() => {}), "the end");
  const last = events.at(-1);
  assert(last?.type === "session" && last.state === "closed");
  assert(last.error instanceof MuxError, String(last.error));
  await peer.close();
  close();
});

test("observer: over quic:, a connection that the listener refuses is a session that has ended", async () => {
  const { cert, key, authority } = await loopbackCertificate();
  const { events, observer, heard } = recorder();
  const listener = await listen("quic://127.0.0.1:0", {
    tls: { cert, key },
    accept: () => false,
    observer,
  });
  const peer = await dial(listener.addr, { tls: { ca: authority.cert } });
  await heard(isClosed);
  assertEquals(states(events), ["session opened", "session closed"]);
  await within(peer.closed.catch(() => {}), "the end");
  await peer.close();
  await listener.close();
});
