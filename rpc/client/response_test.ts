import {
  memoryPair,
  MuxError,
  type Peer,
  type RpcResponse,
} from "@qtalk/qtalk";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { toBytes, toText } from "@std/streams";
import { CodecError } from "../../codec/errors.ts";
import { CountingController } from "../../tests/support/counting_controller.ts";
import {
  rawAccept,
  type RawChannel,
  scriptedPeer,
} from "../../tests/support/raw_call.ts";
import {
  adjust,
  concat,
  framed,
  utf8,
  values,
} from "../../tests/support/wire.ts";
import { turn, until, watch, within } from "../../tests/support/within.ts";
import { RpcError } from "../errors.ts";

const CONTINUED = { Error: null, Continue: true };

/** A continued response from a scripted peer. */
async function continued(
  reply: Uint8Array = values("first"),
  window?: number,
): Promise<{ peer: Peer; response: RpcResponse; channel: RawChannel }> {
  const { peer, raw } = scriptedPeer();
  const answer = peer.request("x");
  const channel = await rawAccept(raw, 0, window);
  await channel.read(2);
  await channel.data(concat(values(CONTINUED), reply));
  return { peer, response: await answer, channel };
}

Deno.test("RpcResponse: a continued response has one value, and the others are received", async () => {
  const { peer, response, channel } = await continued(values("a", "b", "c"));
  await using _ = peer;
  assertEquals(response.continued, true);
  assertEquals(response.values, ["a"]);
  assertEquals(response.value, "a");
  assertEquals(await response.receive(), "b");
  assertEquals(await response.receive(), "c");
  const next = watch(response.receive());
  await turn();
  assertEquals(next.state, "pending");
  await channel.values(null);
  await channel.eof();
  assertEquals(await response.receive(), undefined);
  assertEquals(next.state, "resolved");
  assertEquals(await response.receive(), undefined);
});

Deno.test("RpcResponse.channel: it has the bytes directly after the first value", async () => {
  const { peer, response, channel } = await continued(
    concat(values("ready"), utf8("raw ")),
  );
  await using _ = peer;
  assertEquals(response.value, "ready");
  await channel.data("bytes");
  await channel.eof();
  assertEquals(await toText(response.channel!.readable), "raw bytes");
});

Deno.test("RpcResponse.channel: it has the bytes after a received value, too", async () => {
  for (const cut of [0, 1, 4, 5, 9]) {
    const { peer, response, channel } = await continued();
    await using _ = peer;
    const bytes = concat(values("x"), utf8("raw"));
    await channel.data(bytes.slice(0, cut));
    await channel.data(bytes.slice(cut));
    await channel.eof();
    assertEquals(await response.receive(), "x");
    assertEquals(await toText(response.channel!.readable), "raw");
  }
});

Deno.test("RpcResponse.channel: a call becomes a stream of bytes in both directions, with half-close", async () => {
  const [client, server] = memoryPair();
  await using _ = client;
  server.handle("echo", async (call, respond) => {
    await call.receive();
    const channel = await respond.continue("ready");
    await channel.readable.pipeTo(channel.writable);
  });
  const response = await client.request("echo");
  const sent = crypto.getRandomValues(new Uint8Array(50_000));
  const { readable, writable } = response.channel!;
  const writing = ReadableStream.from([sent.slice()]).pipeTo(writable);
  assertEquals(await toBytes(readable), sent);
  await writing;
  await within(response.channel!.closed, "the channel to close");
});

Deno.test("RpcResponse: iterating yields all values to the end, and closes the channel", async () => {
  const { peer, response, channel } = await continued(values(0, 1, null));
  await using _ = peer;
  await channel.values({ last: true });
  await channel.eof();
  assertEquals(await Array.fromAsync(response), [1, null, { last: true }]);
  await within(channel.raw.find("close"), "CLOSE");
});

Deno.test("RpcResponse: leaving the loop closes the channel", async () => {
  const { peer, response, channel } = await continued(values(0, 1, 2));
  await using _ = peer;
  for await (const value of response) {
    assertEquals(value, 1);
    break;
  }
  await within(channel.raw.find("close"), "CLOSE");
  await assertRejects(() => response.send(1), MuxError);
});

Deno.test("RpcResponse: an error in the loop closes the channel", async () => {
  const { peer, response, channel } = await continued(values(0, 1, 2));
  await using _ = peer;
  await assertRejects(
    async () => {
      for await (const value of response) throw new Error(`at ${value}`);
    },
    Error,
    "at 1",
  );
  await within(channel.raw.find("close"), "CLOSE");
});

Deno.test("RpcResponse: await using closes the channel", async () => {
  const { peer, response, channel } = await continued();
  await using _ = peer;
  {
    await using held = response;
    assertEquals(held.value, "first");
  }
  await within(channel.raw.find("close"), "CLOSE");
  await response.close();
});

Deno.test("RpcResponse.send: each value is sent in a frame of its own", async () => {
  const { peer, response, channel } = await continued();
  await using _ = peer;
  await response.send([1]);
  await response.send(undefined);
  assertEquals(await channel.read(2), [[1], null]);
  await assertRejects(() => response.send(new Map()), CodecError, "a Map");
  await response.send("still open");
  assertEquals(await channel.read(1), ["still open"]);
});

Deno.test("RpcResponse.send: it waits while the peer grants no credit", async () => {
  const { peer, response, channel } = await continued(values(0), 200);
  await using _ = peer;
  const sent = response.send("x".repeat(500));
  const watched = watch(sent);
  await turn();
  assertEquals(watched.state, "pending");
  await channel.close();
  await assertRejects(() => within(sent, "send() to reject"), MuxError);
});

Deno.test("RpcResponse.receive: a value that cannot be decoded rejects, and the next can be received", async () => {
  const { peer, response, channel } = await continued();
  await using _ = peer;
  await channel.data(concat(framed(utf8("{")), values("next")));
  await assertRejects(() => response.receive(), CodecError, "as JSON");
  assertEquals(await response.receive(), "next");
});

Deno.test("RpcResponse.receive: it rejects when the session is lost, after the values that arrived", async () => {
  const { peer, response, channel } = await continued(values(0, 1));
  await using _ = peer;
  await channel.raw.close();
  assertEquals(await response.receive(), 1);
  const error = await assertRejects(() => response.receive(), MuxError);
  assertEquals(error.code, "connection-lost");
  await assertRejects(() => Array.fromAsync(response), MuxError);
});

Deno.test("RpcResponse.close: it ends a receive() that waits", async () => {
  const { peer, response } = await continued();
  await using _ = peer;
  const next = response.receive();
  await response.close();
  assertEquals(await within(next, "receive() to resolve"), undefined);
});

Deno.test("RpcResponse: a complete response has nothing to receive, send or iterate", async () => {
  const [client, server] = memoryPair();
  await using _ = client;
  server.handle("two", (_call, respond) => respond.return(1, 2));
  await using response = await client.request("two");
  assertEquals(response.values, [1, 2]);
  assertEquals([response.continued, response.channel], [false, undefined]);
  assertEquals(await response.receive(), undefined);
  assertEquals(await Array.fromAsync(response), []);
  const error = await assertRejects(() => response.send(1), RpcError);
  assertEquals(error.code, "invalid-state");
  await response.close();
});

Deno.test("RpcResponse: a response whose channel ends after the header is complete", async () => {
  const { peer, raw } = scriptedPeer();
  await using _ = peer;
  const answer = peer.request("x");
  const channel = await rawAccept(raw);
  await channel.values(CONTINUED);
  await channel.close();
  const response = await answer;
  assertEquals(response.values, []);
  assertEquals(response.value, null);
  assertEquals(response.channel, undefined);
});

Deno.test("RpcResponse: an open response does not delay peer.close()", async () => {
  const { peer, response } = await continued();
  const received = watch(response.receive());
  await within(peer.close(), "close()");
  await turn();
  assertEquals(received.state, "rejected");
  assert(received.reason instanceof MuxError);
  assertEquals(received.reason.code, "session-closed");
});

Deno.test("RpcResponse.receive: an aborted wait rejects with the signal's reason, and leaves the value to the next call", async () => {
  const { peer, response, channel } = await continued();
  await using _ = peer;
  const controller = new CountingController();
  const reason = new Error("enough");
  const aborted = watch(response.receive({ signal: controller.signal }));
  await turn();
  assertEquals([aborted.state, controller.listeners], ["pending", 1]);
  controller.abort(reason);
  const next = response.receive();
  await turn();
  assertStrictEquals(aborted.reason, reason);
  assertEquals(controller.listeners, 0);
  await channel.values("later", "last");
  assertEquals(await next, "later");
  assertEquals(await response.receive(), "last");
});

Deno.test("RpcResponse.receive: an aborted wait in the middle of a value loses no byte of it", async () => {
  const { peer, response, channel } = await continued();
  await using _ = peer;
  const bytes = values("in two pieces");
  const controller = new AbortController();
  const aborted = response.receive({ signal: controller.signal });
  await channel.data(bytes.slice(0, 7));
  controller.abort(new Error("enough"));
  await assertRejects(() => aborted, Error, "enough");
  await channel.data(bytes.slice(7));
  assertEquals(await response.receive(), "in two pieces");
});

Deno.test("RpcResponse.receive: bytes can be read after an aborted wait", async () => {
  const { peer, response, channel } = await continued();
  await using _ = peer;
  const controller = new AbortController();
  const aborted = response.receive({ signal: controller.signal });
  controller.abort(new Error("enough"));
  await assertRejects(() => aborted, Error, "enough");
  const text = toText(response.readable);
  await channel.data("bytes");
  await channel.eof();
  assertEquals(await text, "bytes");
});

Deno.test("RpcResponse.receive: a signal that has aborted already rejects, and takes no value", async () => {
  const { peer, response } = await continued(values("first", "second"));
  await using _ = peer;
  const signal = AbortSignal.abort(new Error("before"));
  await assertRejects(() => response.receive({ signal }), Error, "before");
  assertEquals(await response.receive(), "second");
});

Deno.test("RpcResponse.receive: a wait that ends leaves no listener on the signal", async () => {
  const { peer, response, channel } = await continued();
  await using _ = peer;
  const controller = new CountingController();
  const { signal } = controller;
  const value = response.receive({ signal });
  await channel.values("value");
  assertEquals(await value, "value");
  const broken = response.receive({ signal });
  await channel.data(framed(utf8("{")));
  await assertRejects(() => broken, CodecError);
  const busy = response.receive();
  await assertRejects(() => response.receive({ signal }), MuxError);
  await channel.close();
  assertEquals(await busy, undefined);
  assertEquals(await response.receive({ signal }), undefined);
  assertEquals(controller.listeners, 0);
});

Deno.test("RpcResponse.receive: a signal that has aborted rejects for a complete response, too", async () => {
  const [client, server] = memoryPair();
  await using _ = client;
  server.handle("", (_call, respond) => respond.return(1));
  const response = await client.request("");
  const signal = AbortSignal.abort(new Error("before"));
  await assertRejects(() => response.receive({ signal }), Error, "before");
});

Deno.test("RpcResponse.send: an aborted wait sends nothing, and the channel can still be used", async () => {
  const { peer, response, channel } = await continued(values(0), 100);
  await using _ = peer;
  const controller = new CountingController();
  const { signal } = controller;
  // It takes the rest of the credit, so that nothing of the next one can leave.
  const before = watch(response.send("x".repeat(100)));
  const aborted = watch(response.send("never sent", { signal }));
  await turn();
  assertEquals([aborted.state, controller.listeners], ["pending", 1]);
  const reason = new Error("enough");
  controller.abort(reason);
  await turn();
  assertStrictEquals(aborted.reason, reason);
  assertEquals(controller.listeners, 0);
  const after = response.send("after");
  await channel.raw.send(adjust(channel.remote, 1_000));
  await after;
  assertEquals(before.state, "resolved");
  assertEquals(await channel.read(2), ["x".repeat(100), "after"]);
});

Deno.test("RpcResponse.send: aborting a value that was sent in part closes the channel", async () => {
  const { peer, response, channel } = await continued(values(0), 200);
  await using _ = peer;
  const controller = new AbortController();
  const sent = response.send("x".repeat(500), { signal: controller.signal });
  const first = await within(channel.raw.find("data"), "DATA");
  assert(first.payload.length > 0);
  const reason = new Error("enough");
  controller.abort(reason);
  const error = await sent.catch((error) => error);
  assertStrictEquals(error, reason);
  await within(channel.raw.find("close"), "CLOSE");
});

Deno.test("RpcResponse.send: a signal that has aborted already rejects, and sends nothing", async () => {
  const { peer, response, channel } = await continued();
  await using _ = peer;
  const signal = AbortSignal.abort(new Error("before"));
  await assertRejects(() => response.send(1, { signal }), Error, "before");
  await response.send(2);
  assertEquals(await channel.read(1), [2]);
});

Deno.test("RpcResponse.send: a value that is sent leaves no listener on the signal", async () => {
  const { peer, response, channel } = await continued(values(0), 100);
  await using _ = peer;
  const controller = new CountingController();
  const { signal } = controller;
  await response.send("at once", { signal });
  const waiting = response.send("x".repeat(200), { signal });
  await channel.raw.send(adjust(channel.remote, 1_000));
  await waiting;
  assertEquals(controller.listeners, 0);
});

Deno.test("RpcResponse.receive: a value that never completes gives its memory back when the peer has closed the call", async () => {
  for (const end of ["CLOSE", "EOF", "session"]) {
    const { peer, raw } = scriptedPeer();
    await using _ = peer;
    const calling = peer.request("x");
    const channel = await rawAccept(raw);
    await channel.data(values({ Error: null, Continue: true }, 1));
    await channel.data(new Uint8Array([0, 13, 0, 0, 1, 2, 3]));
    const response = await within(calling, "the response");
    const held = () => peer.session.usage.held.values;
    const abort = new AbortController();
    const receiving = response.receive(abort);
    await until(() => held() > 0);
    abort.abort(new Error("too slow"));
    await assertRejects(() => receiving, Error, "too slow");
    if (end === "EOF") await channel.eof();
    if (end === "session") await raw.close();
    else await channel.close();
    await until(() => held() === 0);
    await assertRejects(() => response.receive(), Error);
  }
});
