import { memoryPair, MuxError, type Peer } from "@qtalk/qtalk";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { CodecError } from "../../codec/errors.ts";
import {
  DEFAULT_SESSION_OPTIONS,
  type SessionOptions,
} from "../../mux/options.ts";
import { CountingController } from "../../tests/support/counting_controller.ts";
import { FakeTime } from "../../tests/support/fake_time.ts";
import { timersStarted } from "../../tests/support/timers.ts";
import {
  rawAccept,
  type RawChannel,
  scriptedPeer,
} from "../../tests/support/raw_call.ts";
import {
  close,
  concat,
  confirm,
  data,
  eof,
  failure,
  framed,
  parseValues,
  utf8,
  values,
} from "../../tests/support/wire.ts";
import { turn, until, watch, within } from "../../tests/support/within.ts";
import { isNotBegun, RemoteError, RpcError } from "../errors.ts";

const DONE = { Error: null, Continue: false };
const CONTINUED = { Error: null, Continue: true };

/** A call to a scripted peer. */
async function called<T>(
  start: (peer: Peer) => Promise<T>,
): Promise<{ peer: Peer; answer: Promise<T>; channel: RawChannel }> {
  const { peer, raw } = scriptedPeer();
  const answer = start(peer);
  answer.catch(() => {});
  const channel = await rawAccept(raw);
  return { peer, answer, channel };
}

/** Waits for CLOSE on a channel that the script has not closed. */
async function closed(channel: RawChannel): Promise<void> {
  for (;;) {
    const frame = await within(channel.raw.next(), "CLOSE");
    assert(frame !== null, "the session ended");
    if (frame.type === "close") return;
  }
}

Deno.test("Client.call: an argument of 64 KiB fits into the initial window of a peer with default options", async () => {
  const { peer, raw } = scriptedPeer();
  await using _ = peer;
  const long = "x".repeat(64 * 1024);
  const answer = peer.call("a/selector/of/some/length", long);
  answer.catch(() => {});
  const { sender } = await raw.find("open");
  // What a peer of this package grants by default.
  await raw.send(confirm(sender, 7, DEFAULT_SESSION_OPTIONS.initialWindowSize));
  let bytes = 0;
  while (bytes < long.length) {
    bytes += (await within(raw.find("data"), "DATA")).payload.length;
  }
  // The header, and the argument with its length and its quotes.
  assert(bytes > long.length + 6, `${bytes} bytes were sent`);
});

Deno.test("Client.call: header and argument are sent as one DATA frame", async () => {
  const { peer, channel } = await called((peer) => peer.call("a.b", [1, "x"]));
  await using _ = peer;
  const frame = await channel.raw.find("data");
  assertEquals(frame.recipient, 0);
  const [header, ...args] = parseValues(frame.payload);
  assertEquals((header as { Selector: string }).Selector, "a.b");
  assertEquals(args, [[1, "x"]]);
});

Deno.test("Client.call: the argument is sent as it is, and null if there is none", async () => {
  const cases: [unknown, unknown][] = [
    [undefined, null],
    [null, null],
    ["text", "text"],
    [[], []],
    [{ a: 1 }, { a: 1 }],
  ];
  for (const [args, sent] of cases) {
    const { peer, channel } = await called((peer) => peer.call("x", args));
    await using _ = peer;
    assertEquals((await channel.read(2))[1], sent);
  }
});

Deno.test("Client.call: it resolves to the first value without waiting for the end, and closes the channel", async () => {
  const { peer, answer, channel } = await called((peer) => peer.call("x"));
  await using _ = peer;
  await channel.values(DONE, "first");
  assertEquals(await answer, "first");
  await closed(channel);
});

/** What a response of an extended peer says, without causing spare channels. */
const FROM_EXTENDED = { Continue: false, Q: { v: 1 } };

/** Answers a call in one write: a header, a value, EOF and CLOSE. */
async function answerAtOnce(
  { raw, remote }: RawChannel,
  header: unknown,
): Promise<void> {
  const message = values(header, "answer");
  await raw.send(data(remote, message), eof(remote), close(remote));
}

/** A peer whose second call was answered, and what it has sent since. */
async function answeredTwice(
  header: unknown = FROM_EXTENDED,
  session?: SessionOptions,
) {
  const { peer, raw } = scriptedPeer({}, session);
  for (const id of [0, 1]) {
    const answer = peer.call("x");
    const channel = await rawAccept(raw, id);
    await channel.read(2);
    // What was deferred has come with the OPEN.
    raw.takePending();
    await answerAtOnce(channel, header);
    assertEquals(await within(answer, "the answer"), "answer");
  }
  await turn();
  return { peer, raw, sent: () => raw.takePending().map(({ type }) => type) };
}

Deno.test("Client.call: the last CLOSE to an extended peer leaves with the next call", async () => {
  using _time = new FakeTime(25);
  const { peer, sent } = await answeredTwice();
  await using _ = peer;
  assertEquals(sent(), []);
  peer.call("x").catch(() => {});
  await turn();
  assertEquals(sent(), ["close", "open"]);
});

Deno.test("Client.call: the last CLOSE to an extended peer leaves within 100 ms without another call", async () => {
  using time = new FakeTime(25);
  const { peer, sent } = await answeredTwice();
  await using _ = peer;
  assertEquals(sent(), []);
  time.tick(100);
  await turn();
  assertEquals(sent(), ["close"]);
});

Deno.test("Client.call: the last CLOSE to another peer leaves at once", async () => {
  using _time = new FakeTime(25);
  const { peer, sent } = await answeredTwice({ Continue: false });
  await using _ = peer;
  assertEquals(sent(), ["close"]);
});

Deno.test("Client.request: the answer to the CLOSE of a continued response leaves at once", async () => {
  using _time = new FakeTime(25);
  const header = { ...FROM_EXTENDED, Continue: true };
  for (const inOne of [true, false]) {
    const { peer, raw, sent } = await answeredTwice();
    await using _ = peer;
    const calling = peer.request("x");
    const channel = await rawAccept(raw, 2);
    await channel.read(2);
    raw.takePending();
    if (!inOne) await channel.values(header, "first");
    else await answerAtOnce(channel, header);
    await within(calling, "the response");
    if (!inOne) {
      await channel.eof();
      await channel.close();
    }
    await turn();
    assertEquals(sent(), ["close"]);
  }
});

Deno.test("Peer.close: a CLOSE that waits for other frames is sent before the end", async () => {
  using _time = new FakeTime(25);
  const { peer, raw } = await answeredTwice(FROM_EXTENDED, {});
  const closing = peer.close();
  assertEquals((await raw.rest()).map(({ type }) => type), ["close"]);
  await raw.end();
  await closing;
});

Deno.test("Client.call: a continued response resolves to its first value and is closed", async () => {
  const { peer, answer, channel } = await called((peer) => peer.call("x"));
  await using _ = peer;
  await channel.values(CONTINUED, "first", "second");
  assertEquals(await answer, "first");
  await closed(channel);
});

Deno.test("Client.call: a response without a value resolves to null", async () => {
  for (const header of [DONE, CONTINUED]) {
    const { peer, answer, channel } = await called((peer) => peer.call("x"));
    await using _ = peer;
    await channel.values(header);
    await channel.close();
    assertEquals(await answer, null);
  }
});

Deno.test("Client.request: the response does not depend on how its bytes are split", async () => {
  const bytes = values(DONE, { a: [1] }, "two");
  for (const size of [1, 2, 3, 7, bytes.length - 1]) {
    const { peer, answer, channel } = await called((peer) => peer.request("x"));
    await using _ = peer;
    for (let at = 0; at < bytes.length; at += size) {
      await channel.data(bytes.slice(at, at + size));
    }
    await channel.eof();
    assertEquals((await answer).values, [{ a: [1] }, "two"]);
  }
});

Deno.test("Client.request: a complete response resolves at its end, with all values", async () => {
  for (const end of ["eof", "close"] as const) {
    const { peer, answer, channel } = await called((peer) => peer.request("x"));
    await using _ = peer;
    await channel.values(DONE, 1, 2);
    const watched = watch(answer);
    await turn();
    assertEquals(watched.state, "pending");
    await channel[end]();
    const response = await answer;
    assertEquals(response.values, [1, 2]);
    assertEquals(response.value, 1);
    assertEquals(response.channel, undefined);
    assertEquals(response.continued, false);
  }
});

Deno.test("Client.call: a response that comes before all of the argument was sent is taken, with the CLOSE of the responder", async () => {
  const { peer, raw } = scriptedPeer();
  await using _ = peer;
  const call = peer.call("x", "x".repeat(1_000));
  const { sender } = await raw.find("open");
  await raw.send(confirm(sender, 7, 100));
  await raw.find("data");
  await raw.send(
    data(sender, values({ Error: "too large", Continue: false }, null)),
    eof(sender),
    close(sender),
  );
  const { text } = await assertRejects(() => call, RemoteError);
  assertEquals(text, "too large");
});

Deno.test("Client.call: an error response rejects with a RemoteError, and the channel is closed at once", async () => {
  const headers: [Record<string, unknown>, string][] = [
    [{ Error: "no", Continue: false }, "no"],
    [{ Error: "", Continue: false }, ""],
    [{ Error: "both", Continue: true }, "both"],
    [{ E: "duplex" }, "duplex"],
  ];
  for (const [header, text] of headers) {
    const { peer, answer, channel } = await called((peer) => peer.call("x"));
    await using _ = peer;
    await channel.values(header);
    const error = await assertRejects(() => answer, RemoteError);
    assertEquals([error.text, error.message], [text, `remote: ${text}`]);
    assertEquals(error.name, "RemoteError");
    await closed(channel);
    await channel.values(null);
    await channel.close();
  }
});

Deno.test("Client.call: a channel that ends without a response rejects the call", async () => {
  for (const end of ["eof", "close"] as const) {
    const { peer, answer, channel } = await called((peer) => peer.call("a.b"));
    await using _ = peer;
    await channel[end]();
    const error = await assertRejects(() => answer, RpcError);
    assertEquals(error.code, "no-response");
    assertEquals(
      error.message,
      'Cannot complete call "a.b": the peer closed it without a response; it may use another codec than JSON (option "codec")',
    );
    await closed(channel);
  }
});

Deno.test("Client.call: a malformed response rejects the call, and the channel is closed", async () => {
  const cases: [Uint8Array, string][] = [
    [framed(utf8("{")), "malformed"],
    [framed(utf8("[]")), "malformed-header"],
    [framed(utf8('{"Error":1}')), "malformed-header"],
    [new Uint8Array([0xff, 0, 0, 0]), "too-large"],
    [concat(values(DONE), framed(utf8("}"))), "malformed"],
    [concat(values(DONE), new Uint8Array([0xff, 0, 0, 0])), "too-large"],
  ];
  for (const [bytes, code] of cases) {
    for (const method of ["call", "request"] as const) {
      const { peer, answer, channel } = await called((peer) =>
        peer[method]("x") as Promise<unknown>
      );
      await using _ = peer;
      await channel.data(bytes);
      const error = await assertRejects(() => answer);
      assert(error instanceof CodecError || error instanceof RpcError);
      assertEquals(error.code, code);
      await closed(channel);
    }
  }
});

Deno.test("Client.call: a truncated response rejects the call", async () => {
  for (const bytes of [new Uint8Array([0]), values(DONE, "x").slice(0, -1)]) {
    const { peer, answer, channel } = await called((peer) => peer.call("x"));
    await using _ = peer;
    await channel.data(bytes);
    await channel.eof();
    const error = await assertRejects(() => answer, CodecError);
    assertEquals(error.code, "truncated");
  }
});

Deno.test("Client.call: it rejects when the session is closed or lost", async () => {
  const here = await called((peer) => peer.call("x"));
  await here.peer.close();
  const closing = await assertRejects(() => here.answer, MuxError);
  assertEquals(closing.code, "session-closed");
  const again = await assertRejects(() => here.peer.call("x"), MuxError);
  assertEquals(again.code, "session-closed");

  const there = await called((peer) => peer.call("x"));
  await there.channel.raw.close();
  const lost = await assertRejects(() => there.answer, MuxError);
  assertEquals(lost.code, "connection-lost");
  await there.peer.close();
});

Deno.test("Client.request: it rejects when the session is lost between the values of the response", async () => {
  const { peer, answer, channel } = await called((peer) => peer.request("x"));
  await using _ = peer;
  await channel.values(DONE, 1);
  await channel.raw.close();
  const error = await assertRejects(() => answer, MuxError);
  assertEquals(error.code, "connection-lost");
});

Deno.test("Client.call: it rejects when the peer refuses the channel", async () => {
  const { peer, raw } = scriptedPeer();
  await using _ = peer;
  const answer = peer.call("x");
  const { sender } = await raw.find("open");
  await raw.send(failure(sender));
  const error = await assertRejects(() => answer, MuxError);
  assertEquals(error.code, "open-refused");
});

Deno.test("Client.call: an argument that cannot be encoded rejects the call, and nothing is sent", async () => {
  const { peer, raw } = scriptedPeer();
  const error = await assertRejects(
    () => peer.call("x", [Symbol("s")]),
    CodecError,
    "a symbol is not supported",
  );
  assertEquals(error.code, "unsupported-type");
  await peer.close();
  assertEquals(await raw.rest(), []);
});

Deno.test("Client.call: a header that is longer than 64 KiB rejects the call, and nothing is sent", async () => {
  const selectors: string[] = [];
  const [client, server] = memoryPair({ maxMetaSize: 48 * 1024 }, {
    maxMetaSize: 48 * 1024,
    handler(call, respond) {
      selectors.push(call.selector);
      return respond.return();
    },
  });
  await using _ = client;
  await using __ = server;
  // The header says the selector twice.
  const longest = "/" + "x".repeat(31 * 1024);
  const meta = { x: "x".repeat(47 * 1024) };
  await client.call(longest);
  await client.call("/x", null, { meta });
  for (
    const call of [
      () => client.call(longest + longest),
      () => client.request(longest + longest, () => {}),
      () => client.call(longest, null, { meta }),
      () => client.call(longest + longest, null, { timeout: 60_000 }),
    ]
  ) {
    const error = await assertRejects(call, CodecError);
    assertEquals(error.code, "too-large");
    assert(error.message.startsWith("Cannot send call header: "));
  }
  await client.call("/after");
  assertEquals(selectors, [longest, "/x", "/after"]);
});

Deno.test("Client.call: an argument that cannot be encoded leaves no bytes for the next call", async () => {
  const { peer, answer, channel } = await called(async (peer) => {
    await assertRejects(() => peer.call("bad", ["text", new Map()]));
    return await peer.call("good", ["text"]);
  });
  await using _ = peer;
  const [header, args] = await channel.read(2);
  assertEquals((header as { Selector: string }).Selector, "good");
  assertEquals(args, ["text"]);
  await channel.answer("fine");
  assertEquals(await answer, "fine");
});

Deno.test("Client.call: a call that is made while another is encoded changes neither", async () => {
  const [client, server] = memoryPair();
  await using _ = client;
  server.handle("echo", async (call, respond) => {
    await respond.return(await call.receive());
  });
  await client.call("echo"); // From now on, a spare channel is ready.
  let inner: Promise<unknown> | undefined;
  const outer = client.call("echo", {
    before: "b".repeat(100),
    nested: {
      toJSON() {
        inner = client.call("echo", "inner");
        return "n";
      },
    },
  });
  assertEquals(await outer, { before: "b".repeat(100), nested: "n" });
  assertEquals(await inner, "inner");
});

Deno.test("CallOptions.timeout: it limits the wait for the response", async () => {
  using time = new FakeTime();
  const { peer, answer, channel } = await called((peer) =>
    peer.call("a.b", null, { timeout: 500 })
  );
  await using _ = peer;
  const watched = watch(answer);
  await channel.read(2);
  time.tick(499);
  await turn();
  assertEquals(watched.state, "pending");
  time.tick(1);
  const error = await assertRejects(() => answer, RpcError);
  assertEquals(error.code, "timeout");
  assertEquals(
    error.message,
    'Cannot complete call "a.b": no response within 500 ms (option "timeout")',
  );
  await closed(channel);
});

Deno.test("CallOptions.timeout: it limits the opening of the channel, which is closed if it opens later", async () => {
  using time = new FakeTime();
  const { peer, raw } = scriptedPeer();
  await using _ = peer;
  const answer = watch(peer.call("x", null, { timeout: 500 }));
  const { sender } = await raw.find("open");
  time.tick(500);
  await turn();
  assertEquals((answer.reason as RpcError).code, "timeout");
  await raw.send(confirm(sender, 7));
  const frame = await within(raw.find("close"), "CLOSE");
  assertEquals(frame.recipient, 7);
});

Deno.test("CallOptions.timeout: a call that has its outcome leaves no timer", async () => {
  using time = new FakeTime();
  const [client, server] = memoryPair();
  server.handle("", (_call, respond) => respond.return("pong"));
  assertEquals(await client.call("x", null, { timeout: 60_000 }), "pong");
  await assertRejects(() => client.call("x", [new Map()], { timeout: 60_000 }));
  await client.close();
  await server.closed;
  assertEquals(time.waiting, 0);
});

Deno.test("CallOptions.timeout: a value too long for a timer is no limit", async () => {
  const cases: [timeout: number, timers: number][] = [
    [2 ** 31 - 1, 1],
    [2 ** 31, 0],
    [Number.MAX_SAFE_INTEGER, 0],
    [Infinity, 0],
  ];
  for (const [timeout, timers] of cases) {
    const { peer, raw } = scriptedPeer();
    await using _ = peer;
    let answer: Promise<unknown> | undefined;
    const started = timersStarted(() => {
      answer = peer.call("x", null, { timeout });
    });
    assertEquals(started, timers, `${timeout} ms`);
    const channel = await rawAccept(raw);
    await channel.answer("in time");
    assertEquals(await answer, "in time");
  }
});

Deno.test("CallOptions.timeout: a value out of range rejects, and nothing is sent", async () => {
  const { peer, raw } = scriptedPeer();
  for (const timeout of [-1, -Infinity, NaN]) {
    await assertRejects(
      () => peer.call("x", null, { timeout }),
      RangeError,
      `Cannot use option "timeout": ${timeout} is not a number of at least 0`,
    );
  }
  await peer.close();
  assertEquals(await raw.rest(), []);
});

Deno.test("CallOptions.signal: aborting a call that waits sends CLOSE and rejects with the reason", async () => {
  const giveUp = new CountingController();
  const { peer, answer, channel } = await called((peer) =>
    peer.call("x", null, { signal: giveUp.signal })
  );
  await using _ = peer;
  await channel.read(2);
  const reason = { any: "thing" };
  giveUp.abort(reason);
  assertEquals(await answer.catch((error) => error === reason), true);
  assertEquals(giveUp.listeners, 0);
  await closed(channel);
});

Deno.test("CallOptions.signal: aborting a call whose channel is being opened rejects at once", async () => {
  const giveUp = new CountingController();
  const { peer, raw } = scriptedPeer();
  await using _ = peer;
  const answer = peer.request("x", null, { signal: giveUp.signal });
  const { sender } = await raw.find("open");
  giveUp.abort(new Error("enough"));
  await assertRejects(() => answer, Error, "enough");
  assertEquals(giveUp.listeners, 0);
  await raw.send(confirm(sender, 7));
  assertEquals((await within(raw.find("close"), "CLOSE")).recipient, 7);
});

Deno.test("CallOptions.signal: a call with an aborted signal sends nothing", async () => {
  const { peer, raw } = scriptedPeer();
  const signal = AbortSignal.abort(new Error("before"));
  await assertRejects(() => peer.call("x", null, { signal }), Error, "before");
  await assertRejects(
    () => peer.request("x", null, { signal }),
    Error,
    "before",
  );
  await peer.close();
  assertEquals(await raw.rest(), []);
});

Deno.test("CallOptions.signal: a call that has its outcome leaves no listener", async () => {
  const never = new CountingController();
  const [client, server] = memoryPair();
  await using _ = client;
  server.handle("ok", (_call, respond) => respond.return("ok"));
  server.handle("open", async (_call, respond) => {
    await respond.continue("open");
  });
  const options = { signal: never.signal };
  await client.call("ok", null, options);
  await client.request("ok", null, options);
  await client.call("missing", null, options).catch(() => {});
  assertEquals(never.listeners, 0);
  const response = await client.request("open", null, options);
  assertEquals(never.listeners, 1, "the call lives on");
  await response.close();
  assertEquals(never.listeners, 0);
  never.abort();
});

Deno.test("Client.call: the selector is sent as written", async () => {
  const [client, server] = memoryPair();
  await using _ = client;
  server.handle("a.b", (call, respond) => respond.return(call.selector));
  for (const selector of ["a.b", "/a/b", "a/b"]) {
    assertEquals(await client.call(selector), "/a/b");
  }
});

Deno.test("Client.call: more selectors than the cache holds are sent correctly", async () => {
  const [client] = memoryPair({}, {
    handler: (call, respond) => respond.return(call.selector),
  });
  await using _ = client;
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 300; i++) {
      assertEquals(await client.call(`s${i}`), `/s${i}`);
    }
  }
});

Deno.test("CallOptions.signal: a reason that ends calls which wait and calls which were sent does not say that it ends only the former", async () => {
  const never = Promise.withResolvers<void>();
  const [client, server] = memoryPair({ session: { maxChannels: 8 } }, {
    handler: async () => await never.promise,
    onError: () => {},
  });
  await using _ = client, __ = server;
  const controller = new AbortController();
  const { signal } = controller;
  const calls = Array.from(
    { length: 20 },
    () => client.call("x", null, { signal }),
  );
  await until(() => server.stats.calls.total > 0);
  assert(client.stats.calls.waiting > 0);
  const reason = new Error("enough");
  controller.abort(reason);
  for (const result of await Promise.allSettled(calls)) {
    assertEquals(result, { status: "rejected", reason });
  }
  assertEquals(isNotBegun(reason), false);
  never.resolve();
});
