import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  dial,
  dialSession,
  handlerFrom,
  listen,
  type Listener,
  listenSession,
  type ListenSessionOptions,
  MuxError,
  type Session,
  TalkError,
  type TlsDialOptions,
} from "@qtalk/qtalk";
import { DatagramRelay } from "../../tests/resume/datagram_relay.ts";
import { type Harness, test } from "../../tests/support/harness.ts";
import {
  loopbackCertificate,
  quicConnections,
  quicSessions,
} from "../../tests/support/quic.ts";
import {
  close,
  concat,
  confirm,
  data,
  eof,
  open,
  text,
  utf8,
} from "../../tests/support/wire.ts";
import { until, within } from "../../tests/support/within.ts";
import { TlsError } from "../errors.ts";
import type { SessionOptions } from "../options.ts";
import { quicRuntime } from "./endpoint.ts";
import { handshakeError } from "./errors.ts";
import { type QuicError, quicSession } from "./quic.ts";
import { FRAMED_PROTOCOL, PLAIN_PROTOCOL } from "./protocol.ts";
import type { QuicConnLike, QuicStreamLike } from "./types.ts";

/** A session, and the bare connection of its peer. */
async function scripted(
  t: { watch(session: Session): Session; defer(close: () => void): void },
  protocol: string,
  options: SessionOptions = {},
): Promise<{ session: Session; peer: QuicConnLike }> {
  const { near, far, close } = await quicConnections(protocol, options);
  const session = t.watch(quicSession(near, options));
  t.defer(() => {
    far.close();
    close();
  });
  return { session, peer: far };
}

/** Opens a stream and sends bytes on it. */
async function say(
  peer: QuicConnLike,
  ...bytes: Uint8Array[]
): Promise<QuicStreamLike & { writer: WritableStreamDefaultWriter }> {
  const stream = await peer.createBidirectionalStream();
  const writer = stream.writable.getWriter();
  await writer.write(concat(...bytes));
  return { ...stream, readable: stream.readable, writer };
}

async function failureOf(promise: Promise<unknown>): Promise<MuxError> {
  const error = await within(promise.then(() => {}, (e) => e), "a failure");
  assert(error instanceof MuxError, String(error));
  return error;
}

async function acceptOne(session: Session) {
  const { value } = await within(
    session[Symbol.asyncIterator]().next(),
    "a channel",
  );
  return value!;
}

// --- The dialect of this package ------------------------------------------------

test("quicSession(): the frames of a channel are on a stream of its own, with 0 for the IDs", async (t) => {
  const { session, peer } = await scripted(t, FRAMED_PROTOCOL);
  const accepting = acceptOne(session);
  const { readable, writer } = await say(peer, open(0));
  const channel = await accepting;
  const reader = readable.getReader({ mode: "byob" });
  const { value: answer } = await reader.read(new Uint8Array(100));
  assertEquals([...answer!.subarray(0, 9)], [101, 0, 0, 0, 0, 0, 0, 0, 0]);
  await writer.write(concat(data(0, utf8("whole")), eof(0)));
  assertEquals(await new Response(channel.readable).text(), "whole");
  await reader.cancel();
  await session.close();
});

test("quicSession(): the end of a stream without CLOSE is no end of data", async (t) => {
  const { session, peer } = await scripted(t, FRAMED_PROTOCOL);
  const accepting = acceptOne(session);
  const { writer } = await say(peer, open(0));
  const channel = await accepting;
  await writer.write(data(0, utf8("a part")));
  // What Deno sends for abort() is the same.
  await writer.close();
  const reader = channel.readable.getReader();
  assertEquals(text((await reader.read()).value!), "a part");
  const error = await failureOf(reader.read());
  assertEquals([error.code, error.message], [
    "connection-lost",
    "Connection is lost: the stream of the channel ended without CLOSE",
  ]);
  // The session goes on.
  const another = acceptOne(session);
  await say(peer, open(0));
  await another;
  await session.close();
});

test("quicSession(): an open whose stream ends without an answer is lost", async (t) => {
  const { session, peer } = await scripted(t, FRAMED_PROTOCOL);
  const opening = failureOf(session.open());
  const streams = peer.incomingBidirectionalStreams.getReader();
  const { value } = await streams.read();
  await value!.writable.close();
  assertEquals((await opening).code, "connection-lost");
});

for (
  const [what, frames, message] of [
    [
      "frames before OPEN",
      [data(0, utf8("x"))],
      "received DATA on a stream without OPEN",
    ],
    [
      "a second OPEN",
      [open(0), open(0)],
      "received OPEN on a stream whose OPEN was not answered",
    ],
    [
      "an answer that nothing asked for",
      [confirm(0, 0)],
      "received OPEN_CONFIRM on a stream without OPEN",
    ],
    [
      "what is no frame",
      [utf8("GET / HTTP/1.1\r\n")],
      "received 0x47, which is not a frame type",
    ],
  ] as [string, Uint8Array[], string][]
) {
  test(`quicSession(): ${what} ends the session, and the peer learns why`, async (t) => {
    const { session, peer } = await scripted(t, FRAMED_PROTOCOL);
    const closed = peer.closed;
    await say(peer, ...frames);
    const error = await failureOf(session.closed);
    assertEquals(error.code, "protocol-error");
    assert(error.message.includes(message), error.message);
    const info = await within(closed, "the end of the connection");
    assertEquals([info.closeCode, info.reason], [43, error.message]);
  });
}

test("quicSession(): a peer with more bytes than credit ends the session", async (t) => {
  const options = { initialWindowSize: 100, maxWindowSize: 100 };
  const { session, peer } = await scripted(t, FRAMED_PROTOCOL, options);
  const accepting = acceptOne(session);
  const { writer } = await say(peer, open(0));
  await accepting;
  await writer.write(data(0, new Uint8Array(101)));
  assertEquals((await failureOf(session.closed)).code, "protocol-error");
});

test("quicSession(): streams without OPEN take no channel, and leave nothing", async (t) => {
  const options = { maxChannels: 4 };
  const { session, peer } = await scripted(t, FRAMED_PROTOCOL, options);
  const streams = await Promise.all(
    Array.from({ length: 10 }, () => say(peer, open(0).subarray(0, 5))),
  );
  assertEquals(session.usage.channels, 0);
  // Memory is counted for each.
  await until(() => session.usage.held.channels === 10 * 8 * 1024);
  for (const { writer } of streams) await writer.close();
  // Their places are free again.
  const accepting = acceptOne(session);
  await say(peer, open(0));
  await accepting;
  await until(() => session.usage.held.channels === 1024);
  await session.close();
});

test("quicSession(): streams that the peer does not end after CLOSE are counted", async (t) => {
  const { session, peer } = await scripted(t, FRAMED_PROTOCOL);
  const accepting = acceptOne(session);
  const { writer } = await say(peer, open(0));
  await (await accepting).close();
  const streams = peer.incomingBidirectionalStreams.getReader();
  const opening = session.open();
  const writers = [writer, (await streams.read()).value!.writable.getWriter()];
  await writers[1]!.write(confirm(0, 0));
  await (await opening).close();
  for (const each of writers) await each.write(close(0));
  await until(() => session.usage.channels === 0);
  assertEquals(session.usage.held.total, 2 * 8 * 1024);
  for (const each of writers) await each.close();
  await until(() => session.usage.held.total === 0);
  await session.close();
});

test("quicSession(): a flood of streams is refused beyond maxChannels and the backlog", async (t) => {
  const options = { maxChannels: 4, backlog: 2 };
  const { session, peer } = await scripted(t, FRAMED_PROTOCOL, options);
  const refused = Promise.withResolvers<void>();
  const answers: number[] = [];
  for (let i = 0; i < 12; i++) {
    const { readable } = await say(peer, open(0));
    const reader = readable.getReader();
    void reader.read().then(({ value }) => {
      answers.push(value?.[0] ?? -1);
      if (answers.length === 10) refused.resolve();
    }, () => {});
  }
  await within(refused.promise, "all but the backlog to be refused");
  assertEquals(answers, Array(10).fill(102));
  assertEquals(session.usage.slots, 2);
  await session.close();
});

test("quicSession(): what was written before close() arrives, on every channel", async (t) => {
  const { near, far, close } = await quicSessions();
  t.watchBoth(near, far);
  t.defer(close);
  const size = 200_000;
  const received: Promise<number>[] = [];
  far.accept((channel) => {
    received.push(
      new Response(channel.readable).bytes().then(({ length }) => length),
    );
  });
  for (let i = 0; i < 20; i++) {
    const writer = (await near.open()).writable.getWriter();
    await writer.write(new Uint8Array(size));
    await writer.close();
  }
  await near.close();
  await far.closed;
  assertEquals(await Promise.all(received), Array(20).fill(size));
});

// --- The dialect of qtalk-go ------------------------------------------------------

test("quicSession(): to qtalk-go, a channel is '!' and its bytes, and its end that of the stream", async (t) => {
  const { session, peer } = await scripted(t, PLAIN_PROTOCOL);
  const { writable } = await session.open();
  const writer = writable.getWriter();
  await writer.write(utf8("hello"));
  await writer.close();
  const { value } = await peer.incomingBidirectionalStreams.getReader().read();
  assertEquals(await new Response(value!.readable).text(), "!hello");
  await value!.writable.close();
});

test("quicSession(): from qtalk-go, the first byte is dropped", async (t) => {
  const { session, peer } = await scripted(t, PLAIN_PROTOCOL);
  const accepting = acceptOne(session);
  const { writer } = await say(peer, utf8("!hel"));
  const channel = await accepting;
  await writer.write(utf8("lo"));
  await writer.close();
  assertEquals(await new Response(channel.readable).text(), "hello");
  await session.close();
});

test("quicSession(): to qtalk-go, channels are limited by the bytes that may be unread", async (t) => {
  const { session, peer } = await scripted(t, PLAIN_PROTOCOL, {
    maxHeldSize: 2_600_000,
  });
  const streams = [];
  for (let i = 0; i < 3; i++) streams.push(await say(peer, utf8("!")));
  const reader = streams[2]!.readable.getReader();
  assertEquals((await within(reader.read(), "a refusal")).done, true);
  assertEquals(session.usage.slots, 2);
  // Its own are as many.
  await session.open();
  await session.open();
  const error = await failureOf(session.open());
  assertEquals(error.code, "limit-exceeded");
  await session.close();
});

test("quicSession(): a stream that begins otherwise ends the session", async (t) => {
  const { session, peer } = await scripted(t, PLAIN_PROTOCOL);
  await say(peer, utf8("?"));
  const error = await failureOf(session.closed);
  assertEquals(error.code, "protocol-error");
  assert(error.message.includes('does not begin with "!"'), error.message);
});

test("quicSession(): the code of qtalk-go's close is a clean end", async (t) => {
  const { session, peer } = await scripted(t, PLAIN_PROTOCOL);
  peer.close({ closeCode: 42, reason: "close connection" });
  assertEquals(await within(session.closed, "the end"), undefined);
});

test("quicSession(): another code is none, and the error has its reason", async (t) => {
  const { session, peer } = await scripted(t, PLAIN_PROTOCOL);
  peer.close({ closeCode: 7, reason: "out of\x1b[2J paper" });
  const error = await failureOf(session.closed);
  assertEquals(
    [error.code, error.message],
    [
      "connection-lost",
      "Connection is lost: the peer closed it with code 7: out of\\u001b[2J paper",
    ],
  );
});

// --- dial() and listen() ------------------------------------------------------------

/** The error that dialing a server of this file rejects with. */
async function dialError(
  tls: TlsDialOptions,
  certificate?: { cert: string; key: string },
): Promise<TalkError> {
  const { cert, key } = certificate ?? await loopbackCertificate();
  await using listener = await listen("quic://127.0.0.1:0", {
    tls: { cert, key },
    onError() {},
  });
  return await assertRejects(() => dial(listener.addr, { tls }), TalkError);
}

test("quic: a server is trusted by its authority, or by its fingerprint", async (t) => {
  const { cert, key, authority, fingerprint } = await loopbackCertificate();
  const listener = t.watch(
    await listen("quic://127.0.0.1:0", {
      tls: { cert, key },
      handler: handlerFrom({ add: (a: number, b: number) => a + b }),
    }),
  );
  for (const tls of [{ ca: authority.cert }, { pin: fingerprint }]) {
    const peer = t.watch(await dial(listener.addr, { tls }));
    assertEquals(await peer.call("add", [1, 2]), 3);
  }
});

test("quic: a server that is not trusted is refused, and the error says why", async () => {
  const { authority } = await loopbackCertificate();
  const expired = await authority.issue("CN=localhost", {
    names: ["127.0.0.1"],
    from: -3,
    until: -1,
  });
  const ca = authority.cert;
  const cases: [string, Promise<TalkError>][] = [
    ["unknown-issuer", dialError({})],
    ["wrong-fingerprint", dialError({ pin: "0".repeat(64) })],
    ["wrong-name", dialError({ ca, serverName: "example.com" })],
    ["expired", dialError({ ca }, expired)],
    ["bad-certificate", dialError({ ca }, authority)],
  ];
  for (const [code, rejected] of cases) {
    const error = await rejected;
    const cause = error.cause as TlsError;
    assert(cause instanceof TlsError, String(error));
    assertEquals([error.code, error.permanent], ["dial-failed", true]);
    assertEquals(cause.code, code);
  }
});

test("quic: a server of another protocol is refused", async () => {
  const { cert, key, authority } = await loopbackCertificate();
  const endpoint = new Deno.QuicEndpoint({ hostname: "127.0.0.1", port: 0 });
  const h3 = endpoint.listen({ cert, key, alpnProtocols: ["h3"] });
  const accepting = h3.incoming()
    .then((incoming) => incoming.accept()).catch(() => {});
  const error = await assertRejects(
    () =>
      dial(`quic://127.0.0.1:${endpoint.addr.port}`, {
        tls: { ca: authority.cert },
      }),
    TalkError,
  );
  assertEquals((error.cause as TlsError).code, "wrong-protocol");
  await accepting;
  endpoint.close();
});

/** A listener on loopback, and how to connect to it in a dialect. */
async function listening(
  t: { watch<T extends Listener<Session>>(listener: T): T },
  options: ListenSessionOptions,
) {
  const { cert, key, authority } = await loopbackCertificate();
  const listener = t.watch(
    await listenSession("quic://127.0.0.1:0", {
      tls: { cert, key },
      onError() {},
      ...options,
    }),
  );
  const connect = (protocol: string) =>
    quicRuntime().connectQuic({
      hostname: "127.0.0.1",
      port: Number(new URL(listener.addr.replace("quic:", "http:")).port),
      alpnProtocols: [protocol],
      caCerts: [authority.cert],
    });
  return { listener, connect };
}

test("listen(): quic: takes clients of qtalk-go with plainStreams only", async (t) => {
  const framed = await listening(t, {});
  const error = await assertRejects(() => framed.connect(PLAIN_PROTOCOL));
  const cause = handshakeError(error, false) as TlsError;
  assertEquals(cause.code, "wrong-protocol");
  const both = await listening(t, { plainStreams: true });
  for (const protocol of [PLAIN_PROTOCOL, FRAMED_PROTOCOL]) {
    const conn = await both.connect(protocol);
    assertEquals(conn.protocol, protocol);
    conn.close();
  }
});

test("listen(): plainStreams is refused if it is not a boolean", async (t) => {
  for (const given of ["no", 0, null]) {
    const plainStreams = given as unknown as boolean;
    const error = await assertRejects(
      () => listening(t, { plainStreams }),
      TalkError,
      'Cannot use option "plainStreams": ',
    );
    assertEquals([error.code, error.permanent], ["listen-failed", true]);
  }
});

test("listen(): with plainStreams, a client waits for more streams than may be unread", async (t) => {
  const { connect } = await listening(t, {
    plainStreams: true,
    session: { maxHeldSize: 3_900_000 },
  });
  for (const protocol of [PLAIN_PROTOCOL, FRAMED_PROTOCOL]) {
    const conn = await connect(protocol);
    const open = () => conn.createBidirectionalStream();
    for (let i = 0; i < 3; i++) await open();
    await assertRejects(open, Error, "stream");
    conn.close();
  }
});

test("listen(): with plainStreams, more calls than there may be streams are all answered", async (t) => {
  const { cert, key, authority } = await loopbackCertificate();
  const listener = t.watch(
    await listen("quic://127.0.0.1:0", {
      tls: { cert, key },
      plainStreams: true,
      session: { maxHeldSize: 3_900_000 },
      handler: handlerFrom((n: number) => n),
    }),
  );
  const tls = { ca: authority.cert };
  const peer = t.watch(await dial(listener.addr, { tls }));
  // No timer closes a channel that calls have left.
  t.time(1_000);
  const numbers = Array.from({ length: 10 }, (_, i) => i);
  for (let burst = 0; burst < 3; burst++) {
    const answers = Promise.all(numbers.map((n) => peer.call("x", [n])));
    assertEquals(await within(answers, "the answers"), numbers);
  }
});

test("quic: where nothing answers, dial() ends with its time limit or its signal", async () => {
  const hole = Deno.listenDatagram({
    transport: "udp",
    hostname: "127.0.0.1",
    port: 0,
  });
  const address = `quic://127.0.0.1:${(hole.addr as Deno.NetAddr).port}`;
  const late = await assertRejects(
    () => dial(address, { timeout: 50 }),
    TalkError,
  );
  assertEquals(late.code, "timeout");
  const signal = AbortSignal.timeout(50);
  const dialing = dial(address, { signal }).catch((error) => error);
  assertEquals(await dialing, signal.reason);
  // The idle time of QUIC ends it, too.
  const silent = await assertRejects(
    () =>
      dial(address, { session: { keepAlive: { interval: 50, timeout: 50 } } }),
    TalkError,
  );
  assertEquals((silent.cause as QuicError).code, "no-answer");
  assertEquals(silent.permanent, false);
  hole.close();
});

test("quic: options that QUIC in Deno does not have are refused", async () => {
  const { cert, key } = await loopbackCertificate();
  const address = "quic://127.0.0.1:0";
  const attempts = [
    () => listen(address),
    () => listen(address, { tls: { cert, key, clientCert: "required" } }),
    () => dial("quic://127.0.0.1:1", { tls: { cert, key } }),
  ];
  for (const attempt of attempts) {
    const error = await assertRejects(attempt, TalkError);
    assertEquals(error.permanent, true);
  }
});

test("quic: one endpoint listens and dials", async (t) => {
  const { cert, key, authority } = await loopbackCertificate();
  const shared = new Deno.QuicEndpoint({ hostname: "127.0.0.1", port: 0 });
  t.defer(() => shared.close());
  const tls = { cert, key };
  const here = t.watch(await listen("quic:", { endpoint: shared, tls }));
  assertEquals(here.addr, `quic://127.0.0.1:${shared.addr.port}`);
  const accepted: string[] = [];
  const there = t.watch(
    await listen("quic://127.0.0.1:0", {
      tls,
      onPeer: (_peer, { remoteAddr }) => void accepted.push(remoteAddr),
    }),
  );
  const ca = { ca: authority.cert };
  const out = t.watch(await dial(there.addr, { endpoint: shared, tls: ca }));
  t.watch(await dial(here.addr, { tls: ca }));
  await out.call("nothing").catch(() => {});
  assertEquals(accepted, [here.addr]);
});

/** Two sessions of a listener and a dialer, with a relay between them. */
async function relayed(
  t: Harness,
  keepAlive: { interval: number; timeout: number },
): Promise<{ near: Session; far: Session; relay: DatagramRelay }> {
  const { cert, key, authority } = await loopbackCertificate();
  const session = { keepAlive };
  const sessions = t.watch(
    await listenSession("quic://127.0.0.1:0", { session, tls: { cert, key } }),
  );
  const relay = new DatagramRelay(
    Number(new URL(sessions.addr.replace("quic:", "http:")).port),
  );
  t.defer(() => relay[Symbol.dispose]());
  const accepted = sessions[Symbol.asyncIterator]().next();
  const near = t.watch(
    await dialSession(`quic://127.0.0.1:${relay.port}`, {
      session,
      tls: { ca: authority.cert },
    }),
  );
  return { near, far: t.watch((await accepted).value!), relay };
}

test("quic: with keepAlive, an idle session sends packets", async (t) => {
  // No pause of this process is long enough to lose the connection.
  const keepAlive = { interval: 20, timeout: 60_000 };
  const { near, far, relay } = await relayed(t, keepAlive);
  // More than the handshake and QUIC's search for the size of packets take.
  const many = Promise.withResolvers<void>();
  relay.onPassed = () => {
    if (relay.passed > 100) many.resolve();
  };
  await within(many.promise, "packets of keepAlive");
  const channel = far[Symbol.asyncIterator]().next();
  await near.open();
  const { done } = await within(channel, "a channel");
  assertEquals(done, false);
  await t.closeChannels();
});

test("quic: with keepAlive, a session ends at both ends when the network falls silent", async (t) => {
  const keepAlive = { interval: 500, timeout: 2_000 };
  const { near, far, relay } = await relayed(t, keepAlive);
  const lost = Promise.all([near, far].map((end) => failureOf(end.closed)));
  relay.cut();
  for (const { code, message } of await lost) {
    assertEquals([code, /no packet arrived/.test(message)], [
      "connection-lost",
      true,
    ]);
  }
});

test("quic: without --unstable-net, the error says so and the program goes on", async () => {
  const root = new URL("../../mod.ts", import.meta.url).href;
  const script = `
    import { dial, listen } from ${JSON.stringify(root)};
    for (const attempt of [
      () => dial("quic://127.0.0.1:1"),
      () => listen("quic://127.0.0.1:0", { tls: { cert: "", key: "" } }),
    ]) {
      const error = await attempt().catch((error) => error);
      console.log(error.code, error.permanent, error.cause.code, error.message);
    }
  `;
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-config", script],
  }).output();
  assertEquals(code, 0);
  const flag =
    "this runtime has no QUIC; Deno has it with the flag --unstable-net";
  assertEquals(
    text(stdout),
    `dial-failed true unavailable Cannot dial "quic://127.0.0.1:1": ${flag}\n` +
      `listen-failed true unavailable Cannot listen on "quic://127.0.0.1:0": ${flag}\n`,
  );
});

test("quic: a process that closes its peer and exits is missed at once", async (t) => {
  const { cert, key, authority } = await loopbackCertificate();
  const left = Promise.withResolvers<void>();
  const listener = t.watch(
    await listen("quic://127.0.0.1:0", {
      tls: { cert, key },
      onPeer: (peer) => void peer.closed.then(left.resolve, left.reject),
    }),
  );
  const root = new URL("../../mod.ts", import.meta.url).href;
  const script = `
    import { dial } from ${JSON.stringify(root)};
    const tls = { ca: ${JSON.stringify(authority.cert)} };
    const peer = await dial(${JSON.stringify(listener.addr)}, { tls });
    await peer.close();
    Deno.exit();
  `;
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-config", "--unstable-net", script],
  }).output();
  assertEquals(code, 0);
  await within(left.promise, "the peer to leave");
});
