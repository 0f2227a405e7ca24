import {
  dial,
  dialSession,
  handlerFrom,
  listen,
  listenSession,
  MuxError,
  Peer,
  qmux,
  type Session,
  TalkError,
} from "@qtalk/qtalk";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { memoryTransports } from "../../mux/transport/memory.ts";
import type { Accepted, TransportListener } from "../../mux/transport/types.ts";
import type { Transport } from "../../mux/types.ts";
import { FakeTime } from "../../tests/support/fake_time.ts";
import { turn, until, watch, within } from "../../tests/support/within.ts";
import { ConnectionListener } from "./listener.ts";
import type { ListenerOptions } from "./types.ts";

const handler = handlerFrom({ echo: (value: unknown) => value });

/** A source whose connections the test makes. */
class Source implements TransportListener {
  readonly addr = "test:";
  closed = false;
  readonly #queue: (Accepted | Error | null)[] = [];
  #waiting: PromiseWithResolvers<void> | undefined;

  /** Makes a connection and returns its other end. */
  connect(remoteAddr = "test:client"): Session {
    const [near, far] = memoryTransports();
    this.#push({ transport: near, remoteAddr });
    return qmux(far, { closeTimeout: 1 });
  }

  /** Makes an accept fail. */
  fail(error: Error): void {
    this.#push(error);
  }

  /** Ends the source: there are no further connections. */
  end(): void {
    this.#push(null);
  }

  async accept(): Promise<Accepted | null> {
    while (this.#queue.length === 0) {
      if (this.closed) return null;
      await (this.#waiting = Promise.withResolvers<void>()).promise;
    }
    const next = this.#queue.shift()!;
    if (next instanceof Error) throw next;
    return next;
  }

  close(): void {
    this.closed = true;
    this.#waiting?.resolve();
  }

  #push(next: Accepted | Error | null): void {
    this.#queue.push(next);
    this.#waiting?.resolve();
  }
}

function listening(options: ListenerOptions = {}) {
  const source = new Source();
  const make = (transport: Transport) => new Peer(qmux(transport), { handler });
  return { source, listener: new ConnectionListener(source, make, options) };
}

/** Calls over a bare session, as a peer. */
async function calls(session: Session): Promise<unknown> {
  return await new Peer(session).call("echo", ["served"]);
}

Deno.test("listener: connections are served without iteration", async () => {
  const { source, listener } = listening();
  await using _ = listener;
  assertEquals(await calls(source.connect()), "served");
  assertEquals(await calls(source.connect()), "served");
});

const ADDRESSES = ["tcp://127.0.0.1:0", "tcp://[::1]:0", "tcp://0.0.0.0:0"];

for (const address of ADDRESSES) {
  const { hostname, port } = new URL(address.replace("tcp", "http"));
  Deno.test({
    name:
      `listener.addr: the address of a listener on ${address} can be dialed`,
    ignore: !available(hostname.replace(/[[\]]/g, ""), Number(port)),
    async fn() {
      await using listener = await listen(address, { handler });
      assert(!listener.addr.endsWith(":0"), listener.addr);
      await using peer = await dial(listener.addr);
      assertEquals(await peer.call("echo", [1]), 1);
    },
  });
}

/** Whether this machine has that address. */
function available(hostname: string, port: number): boolean {
  // Windows listens there, and cannot dial it.
  if (hostname === "0.0.0.0" && Deno.build.os === "windows") return false;
  try {
    Deno.listen({ hostname, port }).close();
    return true;
  } catch {
    return false;
  }
}

/** Deno has no Unix sockets on Windows. */
const testUnix: (name: string, fn: () => Promise<void>) => void =
  Deno.build.os === "windows" ? Deno.test.ignore : Deno.test;

testUnix("listener.close(): the file of a Unix socket is removed", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/socket`;
  for (let i = 0; i < 2; i++) {
    const listener = await listen(`unix:${path}`, { handler });
    assertEquals(listener.addr, `unix:${path}`);
    await listener.close();
    await assertRejects(() => Deno.stat(path), Deno.errors.NotFound);
  }
  await Deno.remove(folder);
});

Deno.test("listener iterator: it starts with the next accepted peer", async () => {
  const { source, listener } = listening();
  await using _ = listener;
  await calls(source.connect());
  const iterator = listener[Symbol.asyncIterator]();
  const client = new Peer(source.connect(), {
    handler: handlerFrom(() => "the second"),
  });
  const { value } = await within(iterator.next(), "a peer");
  assertEquals(await value!.call(""), "the second");
  await client.close();
});

Deno.test("listener iterator: each iterator gets every peer", async () => {
  const { source, listener } = listening();
  await using _ = listener;
  const one = listener[Symbol.asyncIterator]();
  const other = listener[Symbol.asyncIterator]();
  const waiting = one.next();
  await calls(source.connect());
  assert((await waiting).value === (await other.next()).value);
});

Deno.test("listener iterator: break does not affect the listener", async () => {
  const { source, listener } = listening();
  await using _ = listener;
  const clients = [source.connect(), source.connect()];
  const served = clients.map(calls);
  for await (const peer of listener) {
    assert(peer instanceof Peer);
    break;
  }
  assertEquals(await Promise.all(served), ["served", "served"]);
  assertEquals(await calls(source.connect()), "served", "it accepts on");
  const again = listener[Symbol.asyncIterator]().next();
  await calls(source.connect());
  assert((await again).value instanceof Peer, "and can be iterated again");
});

Deno.test("listener iterator: it keeps 128 peers and skips further ones", async () => {
  const { source, listener } = listening();
  await using _ = listener;
  const iterator = listener[Symbol.asyncIterator]();
  for (let i = 0; i < 130; i++) await calls(source.connect());
  const next = async () => (await iterator.next()).value;
  const kept = new Set<unknown>();
  for (let i = 0; i < 128; i++) kept.add(await next());
  assertEquals(kept.size, 128);
  const later = next();
  const watched = watch(later);
  await turn();
  assertEquals(watched.state, "pending");
  await calls(source.connect());
  assert(!kept.has(await later));
});

Deno.test("listener.skipped: it counts the peers that iterators skip, which are still served", async () => {
  const { source, listener } = listening();
  await using _ = listener;
  const slow = listener[Symbol.asyncIterator]();
  const quick = listener[Symbol.asyncIterator]();
  const clients: Session[] = [];
  for (let i = 0; i < 131; i++) {
    const next = quick.next();
    clients.push(source.connect());
    await next;
  }
  assertEquals(listener.skipped, 3);
  for (const client of clients.slice(-3)) {
    assertEquals(await calls(client), "served");
  }
  await slow.return();
  assertEquals(listener.skipped, 3);
});

/** A listener for sessions, which are of no use without a loop. */
function sessionsListening(options: ListenerOptions = {}) {
  const source = new Source();
  const listener = new ConnectionListener<Session>(
    source,
    (transport) => qmux(transport, { closeTimeout: 1 }),
    options,
    undefined,
    { needsLoop: true },
  );
  return { source, listener };
}

/** Whether a channel of the session is accepted, by what the loop gives. */
async function isAccepted(client: Session, given: Session): Promise<boolean> {
  const accepted = Promise.withResolvers<boolean>();
  given.accept(() => accepted.resolve(true));
  await client.open();
  return await within(accepted.promise, "the channel");
}

Deno.test("listenSession(): a session without a loop waits for one", async () => {
  const { source, listener } = sessionsListening();
  await using _ = listener;
  const clients = [source.connect(), source.connect()];
  await turn();
  const loop = listener[Symbol.asyncIterator]();
  for (const client of clients) {
    const { value } = await within(loop.next(), "a session");
    assert(await isAccepted(client, value!));
  }
  assertEquals(listener.skipped, 0);
});

Deno.test("listenSession(): what a loop has not reached when it is left waits for the next loop", async () => {
  const { source, listener } = sessionsListening();
  await using _ = listener;
  const first = listener[Symbol.asyncIterator]();
  const other = listener[Symbol.asyncIterator]();
  const clients = [source.connect(), source.connect(), source.connect()];
  await turn();
  await within(first.next(), "the first session");
  await within(other.next(), "the same one");
  const shared = await within(other.next(), "the second session");
  await other.return();
  await first.return();
  const next = listener[Symbol.asyncIterator]();
  // The first two have been given to a loop already.
  const { value } = await within(next.next(), "the third session");
  assert(value !== shared.value);
  assert(await isAccepted(clients[2]!, value!));
});

Deno.test("listenSession(): a session that ends while it waits is forgotten", async () => {
  const { source, listener } = sessionsListening();
  await using _ = listener;
  await source.connect().close();
  await turn();
  const client = source.connect();
  await turn();
  const loop = listener[Symbol.asyncIterator]();
  const { value } = await within(loop.next(), "a session");
  assert(await isAccepted(client, value!));
});

/** Connects two clients more than can wait for a loop. */
async function assertTwoAreClosed(looping: boolean): Promise<void> {
  const errors: unknown[] = [];
  const { source, listener } = sessionsListening({
    onError: (error) => errors.push(error),
  });
  await using _ = listener;
  const slow = looping ? listener[Symbol.asyncIterator]() : undefined;
  const clients = Array.from({ length: 130 }, () => source.connect());
  for (const client of clients.slice(128)) {
    await within(client.closed, "a session that no loop takes");
  }
  assertEquals(listener.skipped, 2);
  assertEquals(
    errors.map((error) => (error as TalkError).code),
    ["limit-exceeded", "limit-exceeded"],
  );
  const loop = slow ?? listener[Symbol.asyncIterator]();
  for (const client of clients.slice(0, 128)) {
    const { value } = await within(loop.next(), "a session");
    assert(await isAccepted(client, value!));
  }
}

Deno.test("listenSession(): beyond 128 sessions that a loop has not reached, further ones are closed, counted and reported", async () => {
  await assertTwoAreClosed(true);
});

Deno.test("listenSession(): beyond 128 sessions that no loop has taken, further ones are closed, counted and reported", async () => {
  await assertTwoAreClosed(false);
});

Deno.test("listenSession(): a session that one of two loops gets stays open", async () => {
  const { source, listener } = sessionsListening();
  await using _ = listener;
  const slow = listener[Symbol.asyncIterator]();
  const quick = listener[Symbol.asyncIterator]();
  const clients: Session[] = [];
  let last: Session | undefined;
  for (let i = 0; i < 129; i++) {
    const next = quick.next();
    clients.push(source.connect());
    last = (await next).value;
  }
  assertEquals(listener.skipped, 1);
  assert(await isAccepted(clients.at(-1)!, last!));
  await slow.return();
  assert(clients.every((client) => watch(client.closed).state === "pending"));
});

Deno.test("listener iterator: concurrent next() calls get different peers", async () => {
  const { source, listener } = listening();
  await using _ = listener;
  const iterator = listener[Symbol.asyncIterator]();
  const nexts = [iterator.next(), iterator.next()];
  await calls(source.connect());
  await calls(source.connect());
  const [first, second] = await within(Promise.all(nexts), "both");
  assert(first!.value instanceof Peer && second!.value instanceof Peer);
  assert(first!.value !== second!.value);
});

Deno.test("listener iterator: return() ends a pending next()", async () => {
  const { listener } = listening();
  await using _ = listener;
  const iterator = listener[Symbol.asyncIterator]();
  const next = iterator.next();
  await iterator.return?.();
  assertEquals(await within(next, "next()"), { done: true, value: undefined });
  assertEquals((await within(iterator.next(), "next()")).done, true);
});

Deno.test("listener iterator: next() rejects when its signal aborts, and takes no peer", async () => {
  const { source, listener } = listening();
  await using _ = listener;
  const iterator = listener[Symbol.asyncIterator]();
  const controller = new AbortController();
  const { signal } = controller;
  const given = iterator.next({ signal }).catch((reason) => reason);
  const kept = iterator.next();
  controller.abort("enough");
  assertEquals(await within(given, "next()"), "enough");
  assertEquals(await iterator.next({ signal }).catch((r) => r), "enough");
  await calls(source.connect());
  assert((await within(kept, "a peer")).value instanceof Peer);
});

Deno.test("listener iterator: next() with a signal gets a peer and forgets the signal", async () => {
  const { source, listener } = listening();
  await using _ = listener;
  const iterator = listener[Symbol.asyncIterator]();
  const controller = new AbortController();
  const next = iterator.next({ signal: controller.signal });
  await calls(source.connect());
  assert((await within(next, "a peer")).value instanceof Peer);
  controller.abort();
  await calls(source.connect());
  assert((await within(iterator.next(), "a peer")).value instanceof Peer);
});

Deno.test("listener.close(): a drainTimeout out of range rejects and does not close", async () => {
  const { source, listener } = listening();
  await using _ = listener;
  await assertRejects(
    () => listener.close({ drainTimeout: -1 }),
    RangeError,
    'Cannot use option "drainTimeout": -1 is not a number of at least 0',
  );
  assertEquals(await calls(source.connect()), "served");
});

Deno.test("listener iterator: close() ends it after its queue", async () => {
  const { source, listener } = listening();
  const waiting = listener[Symbol.asyncIterator]();
  const queued = listener[Symbol.asyncIterator]();
  await calls(source.connect());
  await waiting.next();
  const end = waiting.next();
  await listener.close();
  assertEquals((await within(end, "next()")).done, true);
  assertEquals((await queued.next()).done, false);
  assertEquals((await queued.next()).done, true);
  for await (const _ of listener) {
    assert(false, "a closed listener gives no peers");
  }
});

Deno.test("accept hook: a connection that it refuses is closed", async () => {
  const seen: string[] = [];
  const { source, listener } = listening({
    accept: ({ remoteAddr }) => {
      seen.push(remoteAddr);
      return remoteAddr === "test:friend";
    },
  });
  await using _ = listener;
  const refused = source.connect("test:stranger");
  await within(refused.closed, "the stranger's session to end");
  assertEquals(await calls(source.connect("test:friend")), "served");
  assertEquals(seen, ["test:stranger", "test:friend"]);
});

Deno.test("accept hook: remoteAddr has the form of the scheme", async () => {
  const seen: string[] = [];
  await using listener = await listenSession("tcp://127.0.0.1:0", {
    accept: ({ remoteAddr }) => {
      seen.push(remoteAddr);
      return false;
    },
  });
  const session = await dialSession(listener.addr);
  await within(session.closed, "the session to end");
  assert(/^tcp:\/\/127\.0\.0\.1:\d+$/.test(seen[0]!), seen[0]);
  await session.close();
});

Deno.test("accept hook: a hook that throws refuses the connection", async () => {
  for (
    const accept of [
      () => {
        throw new Error("no");
      },
      () => Promise.reject(new Error("no")),
    ]
  ) {
    const { source, listener } = listening({ accept });
    await using _ = listener;
    const refused = source.connect();
    await within(refused.closed, "the session to end");
    const error = await assertRejects(() => refused.open(), MuxError);
    assertEquals(error.code, "connection-lost");
  }
});

Deno.test("accept hook: a hook that does not return a boolean refuses the connection, which is reported", async () => {
  // What programs without types return by mistake.
  for (const result of [undefined, null, 1, "Ann", { user: "Ann" }]) {
    for (const returned of [result, Promise.resolve(result)]) {
      const errors: unknown[] = [];
      const { source, listener } = listening({
        accept: () => returned as unknown as boolean,
        onError: (error) => errors.push(error),
      });
      await using _ = listener;
      const refused = source.connect();
      await within(refused.closed, "the session to end");
      const [error] = errors;
      assertInstanceOf(error, TypeError);
      assertStringIncludes(
        error.message,
        'Cannot use what option "accept" returned: it is ',
      );
    }
  }
});

Deno.test("accept hook: other connections are accepted while it is pending", async () => {
  const verdict = Promise.withResolvers<boolean>();
  const { source, listener } = listening({
    accept: ({ remoteAddr }) =>
      remoteAddr === "test:doubtful" ? verdict.promise : true,
  });
  await using _ = listener;
  const doubtful = calls(source.connect("test:doubtful"));
  assertEquals(await calls(source.connect()), "served");
  const watched = watch(doubtful);
  await turn();
  assertEquals(watched.state, "pending");
  verdict.resolve(true);
  assertEquals(await doubtful, "served");
});

Deno.test("accept hook: listener.close() closes a connection that awaits its decision", async () => {
  const verdict = Promise.withResolvers<boolean>();
  const { source, listener } = listening({ accept: () => verdict.promise });
  const doubtful = source.connect();
  await turn();
  await within(listener.close(), "close()");
  await within(doubtful.closed, "the session to end");
  const peer = listener[Symbol.asyncIterator]().next();
  verdict.resolve(true);
  await turn();
  await listener.closed;
  assertEquals((await peer).done, true);
});

Deno.test("accept hook: the only connection of a source is served to its end", async () => {
  const { source, listener } = listening({
    accept: async () => {
      await turn();
      return true;
    },
  });
  const client = new Peer(source.connect());
  source.end();
  assertEquals(
    await within(client.call("echo", ["served"]), "the call"),
    "served",
  );
  const closed = watch(listener.closed);
  await turn();
  assertEquals(closed.state, "pending", "as long as the one is open");
  await client.close();
  await within(listener.closed, "closed");
});

Deno.test("listener.closed: it rejects if no peer can be made", async () => {
  for (const accept of [undefined, () => true]) {
    const source = new Source();
    const mistake = new Error("no peer can be made");
    const listener = new ConnectionListener(
      source,
      (): Peer => {
        throw mistake;
      },
      accept === undefined ? {} : { accept },
    );
    await within(source.connect().closed, "the session to end");
    const error = await assertRejects(() => within(listener.closed, "closed"));
    assertEquals(error, mistake);
    assert(source.closed);
  }
});

testUnix(
  "listener.close(): all peers are closed and no more are accepted",
  async () => {
    const folder = await Deno.makeTempDir();
    const listener = await listen(`unix:${folder}/socket`, { handler });
    const clients = [await dial(listener.addr), await dial(listener.addr)];
    for (const client of clients) await client.call("echo", [1]);
    await Promise.all([listener.close(), listener.close()]);
    for (const client of clients) await within(client.closed, "the client");
    await listener.closed;
    // A socket's file cannot belong to another process now, as a port could.
    const error = await assertRejects(() => dial(listener.addr), TalkError);
    assertEquals(error.code, "dial-failed");
    await listener.close();
    for (const client of clients) await client.close();
    await Deno.remove(folder);
  },
);

Deno.test("listener.closed: it resolves when the last peer has ended", async () => {
  const { source, listener } = listening();
  const client = new Peer(source.connect());
  await client.call("echo", [1]);
  source.end();
  const closed = watch(listener.closed);
  await turn();
  assertEquals(closed.state, "pending");
  await client.close();
  await within(listener.closed, "closed");
});

Deno.test("listener: a broken session does not affect other peers", async () => {
  const errors: unknown[] = [];
  await using listener = await listen("tcp://127.0.0.1:0", {
    handler,
    onError: (error) => errors.push(error),
  });
  const { port } = new URL(listener.addr.replace("tcp", "http"));
  const stranger = await Deno.connect({ port: Number(port) });
  await stranger.write(new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"));
  assertEquals(await stranger.read(new Uint8Array(1)).catch(() => null), null);
  stranger.close();
  await using peer = await dial(listener.addr);
  assertEquals(await peer.call("echo", ["served"]), "served");
  assertEquals((errors[0] as MuxError).code, "protocol-error");
});

Deno.test("listener: a failed accept is retried after 50 ms", async () => {
  using time = new FakeTime(10);
  const { source, listener } = listening();
  for (let i = 0; i < 3; i++) source.fail(new Error("no files left"));
  const served = calls(source.connect());
  for (let i = 0; i < 3; i++) {
    await until(() => time.waiting !== 0);
    time.tick(50);
    await turn();
  }
  assertEquals(await served, "served");
  const closing = listener.close();
  await turn();
  time.tick(1_000);
  await closing;
});

Deno.test("listener.closed: it rejects after 100 failures in a row", async () => {
  using time = new FakeTime(10);
  const { source, listener } = listening();
  const failure = new Error("broken for good");
  for (let i = 0; i < 1_000; i++) source.fail(failure);
  const closed = watch(listener.closed);
  await until(() => closed.state !== "pending", "the end", () => {
    time.tick(50);
    return turn();
  });
  assertEquals(closed.reason, failure);
  assert(source.closed);
  await listener.close();
  for await (const _ of listener) assert(false);
});

Deno.test("listener.close(): it does not wait for a retry", async () => {
  using time = new FakeTime(10);
  const { source, listener } = listening();
  source.fail(new Error("no files left"));
  await until(() => time.waiting !== 0);
  await within(listener.close(), "close()");
  assertEquals(time.waiting, 0);
});

Deno.test("listen(): an address in use is listen-failed", async () => {
  await using listener = await listen("tcp://127.0.0.1:0");
  const error = await assertRejects(() => listen(listener.addr), TalkError);
  assertEquals(error.code, "listen-failed");
  assert(error.message.startsWith(`Cannot listen on "${listener.addr}": `));
  assert(error.cause instanceof Error);
});

Deno.test("listen(): an option out of range is refused before listening", async () => {
  for (const open of [listen, listenSession]) {
    await assertRejects(
      () => open("tcp://127.0.0.1:0", { session: { maxChannels: 0 } }),
      RangeError,
      "maxChannels",
    );
  }
  const folder = await Deno.makeTempDir();
  const address = `unix:${folder}/socket`;
  await assertRejects(
    () => listen(address, { maxConcurrentCalls: 0 }),
    RangeError,
    "maxConcurrentCalls",
  );
  await assertRejects(() => Deno.stat(`${folder}/socket`));
  await Deno.remove(folder);
});

Deno.test("listen(): a WebSocket listener on loopback refuses the names of others", async () => {
  await using listener = await listen("ws://127.0.0.1:0/", {
    hosts: ["dev.example"],
    origins: ["https://friend.example"],
    handler: (call, respond) => respond.return(call.selector),
  });
  const dialAs = (host: string, origin: string) =>
    dial(listener.addr, { headers: { host, origin } });
  for (
    const [host, origin] of [
      ["evil.example", "http://evil.example"],
      ["evil.example", "https://friend.example"],
      ["localhost", "http://evil.example"],
    ] as const
  ) {
    await assertRejects(
      () => dialAs(host, origin),
      TalkError,
      "the server answered 403",
    );
  }
  for (
    const [host, origin] of [
      ["localhost:80", "http://localhost"],
      ["dev.example", "http://dev.example"],
      ["127.0.0.1", "https://friend.example"],
    ] as const
  ) {
    await using peer = await dialAs(host, origin);
    assertEquals(await peer.call("x"), "/x");
  }
});

Deno.test("listen(): a host that is not a name is listen-failed", async () => {
  const error = await assertRejects(
    () => listen("ws://127.0.0.1:0/", { hosts: ["a:80"] }),
    TalkError,
    'Cannot use option "hosts": "a:80" is not a name',
  );
  assertEquals(error.code, "listen-failed");
});
