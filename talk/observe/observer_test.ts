import {
  dial,
  dialCommand,
  handlerFrom,
  listen,
  listenSession,
  memoryPair,
  memoryTransports,
  Peer,
  qmux,
} from "@qtalk/qtalk";
import { messagePortTransport } from "@qtalk/qtalk/mux";
import { cbor } from "@qtalk/qtalk/codec/cbor";
import {
  observe,
  type ObservedEvent,
  type Observer,
} from "@qtalk/qtalk/observe";
import { dialSession } from "@qtalk/qtalk/talk";
import { serveWebSocket } from "@qtalk/qtalk/websocket";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { within } from "../../tests/support/within.ts";

const handler = handlerFrom({ add: (a: number, b: number) => a + b });

/** An observer, what it heard, and a promise of a kind of event. */
function recorder() {
  const events: ObservedEvent[] = [];
  const waiting: { type: string; state?: string; resolve: () => void }[] = [];
  return {
    events,
    observer: observe((event) => {
      events.push(event);
      for (const { type, state, resolve } of waiting) {
        if (event.type !== type) continue;
        if (state === undefined || "state" in event && event.state === state) {
          resolve();
        }
      }
    }),
    heard(type: ObservedEvent["type"], state?: string) {
      const { promise, resolve } = Promise.withResolvers<void>();
      waiting.push({ type, ...(state !== undefined && { state }), resolve });
      return within(promise, `${type} ${state ?? ""}`);
    },
  };
}

/** Calls and answers in words. */
function said(events: readonly ObservedEvent[]): string[] {
  return events.flatMap((event) => {
    if (event.type === "call") {
      const value = JSON.stringify(event.argument?.value);
      return [`${event.by} calls ${event.call.selector} ${value}`];
    }
    if (event.type !== "answer") return [];
    return [`${event.by} answers ${event.value?.value}`];
  });
}

for (const codec of [undefined, cbor()]) {
  Deno.test(`observer: both ends of a connection hear of its calls, in ${codec?.name ?? "JSON"}`, async () => {
    const near = recorder(), far = recorder();
    const served = { codec, handler, observer: far.observer };
    await using listener = await listen("tcp://127.0.0.1:0", served);
    const ended = [
      near.heard("session", "closed"),
      far.heard("session", "closed"),
    ];
    const peer = await dial(listener.addr, { codec, observer: near.observer });
    assertEquals(await peer.call("add", [1, 2]), 3);
    await peer.close();
    await Promise.all(ended);
    assertEquals(said(near.events), ["near calls add [1,2]", "far answers 3"]);
    assertEquals(said(far.events), ["far calls add [1,2]", "near answers 3"]);
    const [first] = near.events;
    assert(first?.type === "session" && first.state === "opened");
    assertEquals(first.address, listener.addr);
    for (const { events } of [near, far]) {
      const ends = events.filter(({ type }) => type === "call-end");
      assertEquals(ends.length, 1);
    }
  });
}

/** The channel and the number of each call, its selector and how it ended. */
function endsIn(events: readonly ObservedEvent[]): string[] {
  return events.flatMap((event) => {
    if (event.type !== "call-end") return [];
    const { channel, call, outcome, values } = event;
    const sent = call.caller === "near" ? values.near : values.far;
    const got = values.near + values.far - sent;
    return [
      `#${channel.number} ${call.number} ${call.selector} ${outcome} ${sent}:${got}`,
    ];
  });
}

for (const codec of [undefined, cbor()]) {
  Deno.test(`observer: both ends hear of each call of a channel, in ${codec?.name ?? "JSON"}`, async () => {
    const near = recorder(), far = recorder();
    const gates = new Map<number, () => void>();
    const [client, server] = memoryPair({ codec, observer: near.observer }, {
      codec,
      observer: far.observer,
      onError: () => {},
      handler: handlerFrom({
        echo: (value: unknown) => value,
        fail: (text: string) => {
          throw new Error(text);
        },
        async *count(n: number) {
          for (let i = 1; i <= n; i++) yield i;
        },
        wait: (n: number) =>
          new Promise<number>((resolve) => gates.set(n, () => resolve(n))),
      }),
    });
    const callOf = async (n: number) => {
      assertEquals(await client.call("echo", [n]), n);
    };
    // One after the other, on one channel; an error ends it.
    for (let i = 0; i < 5; i++) await callOf(i);
    await assertRejects(() => client.call("fail", ["no"]));
    await callOf(6);
    const stream = await client.request("count", [3]);
    assertEquals(await Array.fromAsync(stream), [1, 2, 3]);
    // At the same time, on channels of their own, and answered in another order.
    const waiting = [0, 1, 2].map((n) => client.call("wait", [n]));
    while (gates.size < 3) await callOf(gates.size);
    for (const n of [2, 0, 1]) {
      gates.get(n)!();
      assertEquals(await waiting[n], n);
    }
    await client.close();
    await server.close();

    for (const { events } of [near, far]) {
      const calls = events.filter((event) => event.type === "call");
      const answers = events.filter((event) => event.type === "answer");
      const ends = events.filter((event) => event.type === "call-end");
      assertEquals([answers.length, ends.length], [calls.length, calls.length]);
      for (const { call, argument } of calls) {
        const answer = answers.find((answer) => answer.call === call)!;
        const end = ends.find((end) => end.call === call)!;
        const failed = call.selector === "fail";
        assertEquals(end.outcome, failed ? "failed" : "answered");
        assertEquals(answer.error, failed ? "no" : undefined);
        if (/echo|wait/.test(call.selector)) {
          assertEquals([answer.value!.value], argument!.value);
        }
        assert(end.time >= answer.time && end.duration >= answer.duration);
        assert(end.sent.near > 20 && end.sent.near < 500, `${end.sent.near}`);
        assert(end.sent.far > 20 && end.sent.far < 500, `${end.sent.far}`);
      }
      const firstFive = calls.slice(0, 5);
      assertEquals(firstFive.map(({ call }) => call.number), [1, 2, 3, 4, 5]);
      assertEquals(new Set(firstFive.map(({ channel }) => channel)).size, 1);
      const waits = calls.filter(({ call }) => call.selector === "wait");
      assertEquals(new Set(waits.map(({ channel }) => channel)).size, 3);
      assertEquals(events.filter(({ type }) => type === "bytes"), []);
    }
    assertEquals(endsIn(near.events).toSorted(), endsIn(far.events).toSorted());
  });
}

Deno.test("observer: sessions of a listener have numbers of their own", async () => {
  const { events, observer, heard } = recorder();
  await using listener = await listen("tcp://127.0.0.1:0", {
    handler,
    observer,
  });
  for (let i = 1; i <= 2; i++) {
    const closed = heard("session", "closed");
    await using peer = await dial(listener.addr);
    await peer.call("add", [i, 0]);
    await peer.close();
    await closed;
  }
  const sessions = events.flatMap((event) =>
    event.type === "call" ? [event.session] : []
  );
  assertEquals(sessions, [1, 2]);
  const numbers = events.flatMap((event) =>
    event.type === "call" ? [event.channel.number] : []
  );
  assert(numbers[0]! < numbers[1]!, `${numbers}`);
});

Deno.test("observer: the connections of a reconnecting peer are numbered", async () => {
  const { events, observer, heard } = recorder();
  await using listener = await listen("tcp://127.0.0.1:0", { handler });
  const peers = listener[Symbol.asyncIterator]();
  const options = { observer, reconnect: { minDelay: 1 } };
  await using peer = await dial(listener.addr, options);
  assertEquals(await peer.call("add", [1, 0]), 1);
  const again = heard("session", "opened");
  await (await within(peers.next(), "a peer")).value!.close();
  await again;
  assertEquals(await peer.call("add", [2, 0]), 2);
  const sessions = events.flatMap((event) =>
    event.type === "call" ? [event.session] : []
  );
  assertEquals(sessions, [1, 2]);
});

Deno.test("observer: serveWebSocket() and dial() of a WebSocket have it, too", async () => {
  const near = recorder(), far = recorder();
  const serve = serveWebSocket({ handler, observer: far.observer });
  const server = Deno.serve({ port: 0, onListen() {} }, serve);
  const address = `ws://127.0.0.1:${server.addr.port}/`;
  const peer = await dial(address, { observer: near.observer });
  assertEquals(await peer.call("add", [1, 2]), 3);
  await peer.close();
  await serve.listener.close();
  await server.shutdown();
  assertEquals(said(near.events), ["near calls add [1,2]", "far answers 3"]);
  assertEquals(said(far.events), ["far calls add [1,2]", "near answers 3"]);
});

Deno.test("observer: sessions without RPC have it, with their channels", async () => {
  const near = recorder();
  await using listener = await listenSession("tcp://127.0.0.1:0");
  const accepted = listener[Symbol.asyncIterator]().next();
  await using session = await dialSession(listener.addr, {
    observer: near.observer,
  });
  const { value: other } = await within(accepted, "a session");
  other!.accept((channel) => {
    channel.readable.pipeTo(channel.writable).catch(() => {});
  });
  const channel = await session.open();
  const writer = channel.writable.getWriter();
  await writer.write(new TextEncoder().encode("no call"));
  await writer.close();
  const closed = near.heard("channel", "closed");
  assertEquals(await new Response(channel.readable).text(), "no call");
  await channel.close();
  await closed;
  const bytes = near.events.filter(({ type }) => type === "bytes");
  assertEquals(bytes.map((event) => event.type === "bytes" && event.by), [
    "near",
    "far",
  ]);
  assertEquals(said(near.events), []);
});

Deno.test("observer: why a connection was lost is said", async () => {
  const { events, observer, heard } = recorder();
  using target = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepted = target.accept();
  const closed = heard("session", "closed");
  const peer = await dial(`tcp://127.0.0.1:${target.addr.port}`, { observer });
  const conn = await accepted;
  await conn.write(new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n"));
  await within(peer.closed.catch(() => {}), "the end");
  await closed;
  conn.close();
  const malformed = events.filter((event) =>
    event.type === "direction" && event.state === "malformed"
  );
  assertEquals(malformed.length, 1);
});

Deno.test("observer: a session survives one that throws, and the error is not hidden", async () => {
  const uncaught: unknown[] = [];
  const onError = (event: ErrorEvent) => {
    event.preventDefault();
    uncaught.push(event.error);
  };
  addEventListener("error", onError);
  const mistake = new Error("a mistake of the observer");
  const [left, right] = memoryTransports();
  const server = new Peer(qmux(left), { handler });
  const observer = observe((event) => {
    if (event.type === "call") throw mistake;
  });
  const observed = observer.observe(right);
  const client = new Peer(qmux(observed));
  assertEquals(await client.call("add", [1, 2]), 3);
  await client.close();
  await server.close();
  removeEventListener("error", onError);
  assertEquals(uncaught, [mistake]);
});

Deno.test("observer: dialCommand(), memoryPair() and ports have it, too", async () => {
  const child = recorder(), left = recorder(), right = recorder();
  const port = recorder();
  const program = `
    import { handlerFrom, listen } from "${
    import.meta.resolve("../../mod.ts")
  }";
    const handler = handlerFrom({ add: (a, b) => a + b });
    const listener = await listen("stdio:", { handler });
    for await (const peer of listener) await peer.closed;
  `;
  await using command = dialCommand(Deno.execPath(), {
    args: ["eval", program],
    observer: child.observer,
  });
  assertEquals(await command.call("add", [1, 2]), 3);
  const [a, b] = memoryPair({ observer: left.observer }, {
    observer: right.observer,
    handler,
  });
  assertEquals(await a.call("add", [1, 2]), 3);
  await a.close();
  await b.close();
  const { port1, port2 } = new MessageChannel();
  await using near = new Peer(
    qmux(port.observer.observe(messagePortTransport(port1))),
  );
  await using far = new Peer(qmux(messagePortTransport(port2)), { handler });
  assertEquals(await near.call("add", [1, 2]), 3);
  const expected = ["near calls add [1,2]", "far answers 3"];
  for (const { events } of [child, left, port]) {
    assertEquals(said(events), expected);
  }
  assertEquals(said(right.events), [
    "far calls add [1,2]",
    "near answers 3",
  ]);
  await near.close();
  await far.close();
  port1.close();
  port2.close();
});

Deno.test("Observer.observe: what the transport can do besides is kept", () => {
  let aborted = 0;
  const keepAlive = { signs: 7 };
  const [end] = memoryTransports();
  const kept = Object.assign(Object.create(end!), {
    advice: "some advice",
    earlyWrite: 9,
    keepAlive,
    abort: () => aborted++,
  });
  const observed = observe(() => {}).observe(kept) as typeof kept;
  assertEquals(observed.advice, "some advice");
  assertEquals(observed.earlyWrite, 9);
  assertEquals(observed.keepAlive, keepAlive);
  observed.abort();
  assertEquals(aborted, 1);
});

Deno.test("observer: what is no observer is refused, before there is a connection", async () => {
  const says = "is not an observer; observe() of";
  const dialed: string[] = [];
  for (const wrong of [() => {}, {}, null, "log"]) {
    const options = { observer: wrong as unknown as Observer };
    const address = () => {
      dialed.push("dialed");
      return "tcp://127.0.0.1:1";
    };
    await assertRejects(() => dial(address, options), TypeError, says);
    await assertRejects(() => dialSession(address, options), TypeError, says);
    await assertRejects(
      async () => await listen("tcp://127.0.0.1:0", options),
      TypeError,
      says,
    );
    assertThrows(() => memoryPair(options), TypeError, says);
  }
  assertEquals(dialed, []);
});
