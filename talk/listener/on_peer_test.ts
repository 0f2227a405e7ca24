import {
  callback,
  dial,
  handlerFrom,
  listen,
  type Listener,
  MuxError,
  type Peer,
  RemoteError,
  withCall,
} from "@qtalk/qtalk";
import type { Call, Callback, ConnectionInfo } from "@qtalk/qtalk";
import { serveWebSocket } from "@qtalk/qtalk/websocket";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { test } from "../../tests/support/harness.ts";
import { turn, until, watch, within } from "../../tests/support/within.ts";

interface User {
  name: string;
}

const ADDRESS = "tcp://127.0.0.1:0";

/** A hook that stays pending until the test decides. */
function gate<T = void>() {
  const asked = Promise.withResolvers<Peer>();
  const verdict = Promise.withResolvers<T>();
  const onPeer = (peer: Peer) => {
    asked.resolve(peer);
    return verdict.promise;
  };
  return { asked: asked.promise, verdict, onPeer };
}

test("onPeer: what it returns is the context of every call of the peer", async (t) => {
  const service = {
    whoami: withCall((call: Call<User>) => call.peer.context.name),
    later: withCall(async function* (call: Call<User>) {
      await turn();
      yield call.peer.context.name;
    }),
  };
  let count = 0;
  const listener = t.watch(
    await listen(ADDRESS, {
      onPeer: (): User => ({ name: `user ${++count}` }),
      handler: handlerFrom(service),
    }),
  );
  for (const name of ["user 1", "user 2"]) {
    const client = t.watch(await dial(listener.addr));
    const api = client.remote<typeof service>();
    assertEquals(await api.whoami(), name);
    assertEquals(await Array.fromAsync(api.later()), [name]);
  }
});

test("onPeer: what it sets as peer.context counts if it returns nothing", async (t) => {
  const seen: unknown[] = [];
  const listener = t.watch(
    await listen(ADDRESS, {
      async onPeer(peer) {
        peer.context = "set";
        await turn();
      },
      handler: (call) => void seen.push(call.peer.context),
    }),
  );
  const client = t.watch(await dial(listener.addr));
  await client.call("x");
  assertEquals(seen, ["set"]);
});

test("onPeer: it gets the address of the peer, which call.peer has without it", async (t) => {
  let told = "";
  for (const hooked of [true, false]) {
    const listener = t.watch(
      await listen(ADDRESS, {
        onPeer: hooked
          ? (_peer, { remoteAddr, request, tls }) => {
            told = remoteAddr;
            assertEquals([request, tls], [undefined, undefined]);
          }
          : undefined,
        handler: (call, respond) => respond.return(call.peer.remoteAddr),
      }),
    );
    const client = t.watch(await dial(listener.addr));
    const address = await client.call("x") as string;
    assert(/^tcp:\/\/127\.0\.0\.1:\d+$/.test(address), address);
    if (hooked) assertEquals(told, address);
  }
});

test("onPeer: a WebSocket listener gives it the request, with headers and query", async (t) => {
  const listener = t.watch(
    await listen("ws://127.0.0.1:0/rpc", {
      onPeer: (_peer, { request, remoteAddr }) => ({
        user: request?.headers.get("x-user"),
        query: new URL(request!.url).search,
        remoteAddr,
      }),
      handler: (call, respond) => respond.return(call.peer.context),
    }),
  );
  const client = t.watch(
    await dial(`${listener.addr}?room=7`, { headers: { "x-user": "Ann" } }),
  );
  const context = await client.call("x") as Record<string, string>;
  assertEquals([context["user"], context["query"]], ["Ann", "?room=7"]);
  assert(context["remoteAddr"]!.startsWith("tcp://127.0.0.1:"));
});

test("onPeer: serveWebSocket() gives it the address and the request", async (t) => {
  const handle = serveWebSocket({
    onPeer: (_peer, { request, remoteAddr, tls }) => ({
      user: request?.headers.get("x-user") ?? null,
      remoteAddr,
      tls,
    }),
    handler: (call, respond) => respond.return(call.peer.context),
  });
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen() {} },
    handle,
  );
  t.defer(() => server.shutdown());
  t.watch(handle.listener);
  const client = t.watch(
    await dial(`ws://127.0.0.1:${server.addr.port}/`, {
      headers: { "x-user": "Ann" },
    }),
  );
  const { user, remoteAddr, tls } = await client.call("x") as Record<
    string,
    string
  >;
  assertEquals([user, tls], ["Ann", undefined]);
  assert(remoteAddr!.startsWith("tcp://127.0.0.1:"), remoteAddr);
});

test("onPeer: it knows whether this side has decrypted the connection", async (t) => {
  const read = (name: string) =>
    Deno.readTextFile(
      new URL(`../../tests/support/tls/${name}.pem`, import.meta.url),
    );
  const info = Promise.withResolvers<ConnectionInfo>();
  const handle = serveWebSocket({
    onPeer: (_peer, connection) => info.resolve(connection),
  });
  const server = Deno.serve({
    port: 0,
    hostname: "127.0.0.1",
    cert: await read("cert"),
    key: await read("key"),
    onListen() {},
  }, handle);
  t.defer(() => server.shutdown());
  t.watch(handle.listener);
  using conn = await Deno.connectTls({
    hostname: "localhost",
    port: server.addr.port,
    caCerts: [await read("ca")],
  });
  await conn.write(
    new TextEncoder().encode(
      "GET /?a=b HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n" +
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    ),
  );
  const { tls, request } = await within(info.promise, "onPeer");
  assertEquals(tls, { alpnProtocol: null });
  assertEquals(request!.url, "https://localhost/?a=b");
});

test("onPeer: calls wait until it has resolved, and begin in their order", async (t) => {
  const { asked, verdict, onPeer } = gate<User>();
  const handled: unknown[] = [];
  const listener = t.watch(
    await listen(ADDRESS, {
      onPeer,
      async handler(call, respond) {
        handled.push(await call.receive());
        await respond.return(call.peer.context);
      },
    }),
  );
  const client = t.watch(await dial(listener.addr));
  const calls = [1, 2, 3].map((n) => client.call("x", n));
  const peer = await within(asked, "onPeer");
  await until(() => peer.session.usage.channels >= 3);
  for (let i = 0; i < 20; i++) await turn();
  assertEquals(handled, []);
  verdict.resolve({ name: "Ann" });
  const answers = await within(Promise.all(calls), "the calls");
  assertEquals(answers, calls.map(() => ({ name: "Ann" })));
  assertEquals(handled, [1, 2, 3]);
  assertEquals(await client.call("x", 4), { name: "Ann" });
});

test("onPeer: the arguments of calls that wait stay unread, so their sender waits", async (t) => {
  const { asked, verdict, onPeer } = gate();
  const listener = t.watch(
    await listen(ADDRESS, {
      onPeer,
      async handler(call, respond) {
        await respond.return((await call.receive() as string).length);
      },
    }),
  );
  const client = t.watch(await dial(listener.addr));
  const size = 512 * 1024;
  const calls = Array.from(
    { length: 32 },
    () => client.call("x", "x".repeat(size)),
  );
  const peer = await within(asked, "onPeer");
  await until(() => peer.session.usage.channels >= 32);
  for (let i = 0; i < 50; i++) await turn();
  const { held } = peer.session.usage;
  assertEquals([held.values, held.arguments], [0, 0]);
  assert(held.total < 6 * 1024 * 1024, `${held.total}`);
  verdict.resolve();
  assertEquals(
    await within(Promise.all(calls), "the calls"),
    calls.map(() => size),
  );
});

test("onPeer: more than maxQueuedCalls calls that wait are busy", async (t) => {
  const { verdict, onPeer } = gate();
  const listener = t.watch(
    await listen(ADDRESS, {
      onPeer,
      maxQueuedCalls: 2,
      handler: (_call, respond) => respond.return("done"),
    }),
  );
  const client = t.watch(await dial(listener.addr));
  const calls = ["a", "b", "c"].map((name) => client.call(name));
  await assertRejects(
    () => within(calls[2]!, "the third call"),
    RemoteError,
    "busy: 2 calls are waiting",
  );
  verdict.resolve();
  assertEquals(await Promise.all(calls.slice(0, 2)), ["done", "done"]);
});

test("onPeer: a call that its caller gives up while it waits never begins", async (t) => {
  const { asked, verdict, onPeer } = gate();
  const handled: string[] = [];
  const listener = t.watch(
    await listen(ADDRESS, {
      onPeer,
      handler: (call) => void handled.push(call.selector),
    }),
  );
  const client = t.watch(await dial(listener.addr));
  const gone = new AbortController();
  const given = client.call("given-up", "x".repeat(1_000), {
    signal: gone.signal,
  });
  const kept = client.call("kept");
  const peer = await within(asked, "onPeer");
  await until(() => peer.session.usage.channels >= 2);
  for (let i = 0; i < 20; i++) await turn();
  const { slots } = peer.session.usage;
  gone.abort("enough");
  assertEquals(await given.catch((reason) => reason), "enough");
  await until(() => peer.session.usage.slots < slots);
  verdict.resolve();
  await within(kept, "the other call");
  assertEquals(handled, ["/kept"]);
});

test("onPeer: a call that says it is nested waits, too", async (t) => {
  const handled: string[] = [];
  const verdict = Promise.withResolvers<void>();
  const listener = t.watch(
    await listen(ADDRESS, {
      async onPeer(peer) {
        void peer.call("login").catch(() => {});
        await verdict.promise;
      },
      handler: (call) => void handled.push(call.selector),
    }),
  );
  const begun = Promise.withResolvers<void>();
  const nested = Promise.withResolvers<unknown>();
  t.watch(
    await dial(listener.addr, {
      async handler(call) {
        const calling = call.caller.call("secret");
        begun.resolve();
        nested.resolve(await calling);
      },
    }),
  );
  await within(begun.promise, "the login");
  for (let i = 0; i < 20; i++) await turn();
  assertEquals(handled, []);
  verdict.resolve();
  await within(nested.promise, "the nested call");
  assertEquals(handled, ["/secret"]);
});

test("onPeer: it can call the peer, which can use the callbacks that it got", async (t) => {
  const listener = t.watch(
    await listen(ADDRESS, {
      async onPeer(peer) {
        using nonce = callback(() => "17");
        return { proof: await peer.call("prove", [nonce]) };
      },
      handler: (call, respond) => respond.return(call.peer.context),
    }),
  );
  const client = t.watch(
    await dial(listener.addr, {
      handler: handlerFrom({
        async prove(nonce: Callback<() => string>) {
          return `signed ${await nonce()}`;
        },
      }),
    }),
  );
  assertEquals(await client.call("x"), { proof: "signed 17" });
});

test("onPeer: if it fails, the peer is closed, no call is handled, and the error is reported", async (t) => {
  for (const late of [false, true]) {
    const mistake = new Error("no stranger may call");
    const reports: [unknown, boolean, unknown][] = [];
    const handled: string[] = [];
    let strangers = 1;
    const listener: Listener<Peer> = t.watch(
      await listen(ADDRESS, {
        onPeer() {
          if (strangers-- <= 0) return;
          if (!late) throw mistake;
          return turn().then(() => Promise.reject(mistake));
        },
        handler: (call) => void handled.push(call.selector),
        onError: (error, { peer, selector }) =>
          reports.push([error, peer !== undefined, selector]),
      }),
    );
    const loop = listener[Symbol.asyncIterator]();
    const stranger = await dial(listener.addr);
    await assertRejects(() => within(stranger.call("x"), "its call"), MuxError);
    await within(stranger.closed, "its session to end");
    assertEquals(handled, []);
    assertEquals(reports, [[mistake, true, undefined]]);
    const friend = t.watch(await dial(listener.addr));
    await friend.call("hello");
    assertEquals(handled, ["/hello"]);
    const { value } = await within(loop.next(), "a peer");
    assertEquals(value!.signal.aborted, false, "the loop gets the friend only");
  }
});

test("onPeer: peer.signal ends what it does for a peer that has left, without a report", async (t) => {
  const reports: unknown[] = [];
  const asked = Promise.withResolvers<Peer>();
  const ended = Promise.withResolvers<unknown>();
  const listener = t.watch(
    await listen(ADDRESS, {
      onError: (error) => reports.push(error),
      onPeer(peer) {
        asked.resolve(peer);
        return new Promise<void>((_, reject) => {
          peer.signal.addEventListener("abort", () => {
            ended.resolve(peer.signal.reason);
            reject(peer.signal.reason);
          }, { once: true });
        });
      },
    }),
  );
  const next = watch(listener[Symbol.asyncIterator]().next());
  const client = await dial(listener.addr);
  await within(asked.promise, "onPeer");
  await client.close();
  const reason = await within(ended.promise, "the signal");
  assertEquals((reason as MuxError).code, "connection-lost");
  for (let i = 0; i < 20; i++) await turn();
  assertEquals([reports, next.state], [[], "pending"]);
});

test("onPeer: a mistake in it is reported, also if the peer has left meanwhile", async (t) => {
  const reported = Promise.withResolvers<unknown>();
  const { asked, verdict, onPeer } = gate();
  const listener = t.watch(
    await listen(ADDRESS, { onPeer, onError: reported.resolve }),
  );
  const client = await dial(listener.addr);
  const peer = await within(asked, "onPeer");
  await client.close();
  await within(peer.closed, "the peer");
  const mistake = new TypeError("a mistake");
  verdict.reject(mistake);
  assertEquals(await within(reported.promise, "the report"), mistake);
});

test("onPeer: a loop over the listener gets the peer afterwards, with its context", async (t) => {
  const { asked, verdict, onPeer } = gate<User>();
  const listener = t.watch(await listen(ADDRESS, { onPeer }));
  const loop = listener[Symbol.asyncIterator]();
  const next = loop.next();
  const watched = watch(next);
  t.watch(await dial(listener.addr));
  const peer = await within(asked, "onPeer");
  for (let i = 0; i < 20; i++) await turn();
  assertEquals(watched.state, "pending");
  verdict.resolve({ name: "Ann" });
  const { value } = await within(next, "the peer");
  assertEquals(value === peer, true);
  assertEquals(value!.context.name, "Ann");
});

test("onPeer: listener.close() does not wait for it", async (t) => {
  for (const options of [{}, { drainTimeout: 60_000 }]) {
    const { asked, verdict, onPeer } = gate();
    const listener = await listen(ADDRESS, { onPeer, handler: () => {} });
    const client = t.watch(await dial(listener.addr));
    const call = client.call("x");
    call.catch(() => {});
    const peer = await within(asked, "onPeer");
    await until(() => peer.session.usage.channels > 0);
    for (let i = 0; i < 20; i++) await turn();
    await within(listener.close(options), "close()");
    const error = await assertRejects(() => call);
    if (options.drainTimeout === undefined) assert(error instanceof MuxError);
    else {
      assertEquals(
        (error as Error).message,
        'remote: unavailable: this side is closing; cannot call "/x"',
      );
    }
    verdict.resolve();
    await turn();
    await listener.closed;
  }
});

test("call.peer: it is the same object for all calls, and says when the caller has left", async (t) => {
  const peers: unknown[] = [];
  const left = Promise.withResolvers<unknown>();
  const listener = t.watch(
    await listen(ADDRESS, {
      handler(call) {
        peers.push(call.peer);
        if (peers.length > 1) return;
        const { signal, closed } = call.peer;
        signal.addEventListener("abort", async () => {
          await closed.catch(() => {});
          left.resolve(signal.reason);
        });
      },
    }),
  );
  const client = await dial(listener.addr);
  await client.call("x");
  await client.call("y");
  assert(peers[0] === peers[1]);
  await client.close();
  const reason = await within(left.promise, "the signal");
  assertEquals((reason as MuxError).code, "connection-lost");
});

test("peer.signal: it has aborted if it is first asked for after the end", async (t) => {
  const [client, server] = t.pair();
  await client.close();
  await within(server.closed, "the other side");
  assertEquals(client.signal.aborted, true);
  assertEquals((client.signal.reason as MuxError).code, "session-closed");
  assertEquals((server.signal.reason as MuxError).code, "connection-lost");
});

test("peer.context: peers without a listener have one, which the program sets", async (t) => {
  const [client, server] = t.pair({}, {
    handler: (call, respond) =>
      respond.return([call.peer.context ?? null, call.peer.remoteAddr]),
  });
  assertEquals(await client.call("x"), [null, ""]);
  server.context = "Ann";
  assertEquals(await client.call("x"), ["Ann", ""]);
});
