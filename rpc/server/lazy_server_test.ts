import { type Codec, json, Peer } from "@qtalk/qtalk";
import { cbor } from "@qtalk/qtalk/codec/cbor";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { memoryTransports, qmux, rawSession } from "../../mux/internal.ts";
import { MemoryAccount } from "../../mux/flow/memory_account.ts";
import { nextPass } from "../../mux/flow/turns.ts";
import type { RawChannel } from "../../mux/raw.ts";
import type { SessionOptions } from "../../mux/options.ts";
import type { Session } from "../../mux/types.ts";
import { type Harness, test } from "../../tests/support/harness.ts";
import { rawOpen } from "../../tests/support/raw_call.ts";
import { turn, until, within } from "../../tests/support/within.ts";
import { RemoteError, RpcError } from "../errors.ts";
import { SessionState } from "../session_state.ts";
import type { Caller, Handler } from "../types.ts";
import { LazyServer, loadServer } from "./lazy_server.ts";

/** A session whose calls are answered by a server that a test loads. */
class Loading {
  readonly server: LazyServer;
  readonly state: SessionState;
  /** What was reported. */
  readonly errors: unknown[] = [];
  /** The selectors of the calls that have reached the handler. */
  readonly selectors: string[] = [];
  /** How often the server was asked for. */
  asked = 0;
  #gate = Promise.withResolvers<void>();

  constructor(
    session: Session,
    handler?: Handler,
    { timeout, codecs = [json()] }: {
      timeout?: number | undefined;
      codecs?: Codec[];
    } = {},
  ) {
    const { account } = rawSession(session);
    const state = this.state = new SessionState(10, account);
    const onError = (error: unknown) => void this.errors.push(error);
    const options = {
      codecs,
      maxValueSize: 1024 * 1024,
      account,
      maxConcurrentCalls: 100,
      maxQueuedCalls: 100,
      callQueueTimeout: 10_000,
      state,
      handler: handler ?? ((call, respond) => {
        this.selectors.push(call.selector);
        return respond.return(call.selector);
      }) as Handler,
      callerIn: () => ({}) as Caller,
      onError,
    };
    const load = async () => {
      this.asked++;
      await this.#gate.promise;
      return await loadServer();
    };
    this.server = new LazyServer(options, undefined, load, timeout);
    session.accept((channel) => this.server.serve(channel as RawChannel));
    const end = () => {
      state.close();
      this.server.end();
    };
    session.closed.then(end, end);
  }

  /** Lets the server be loaded. */
  finish(): void {
    this.#gate.resolve();
  }

  /** Lets loading fail, and the next attempt wait again. */
  fail(error: Error): void {
    const gate = this.#gate;
    this.#gate = Promise.withResolvers();
    gate.reject(error);
  }
}

/** A peer, and the session at the other end with such a server. */
function connected(t: Harness, options?: SessionOptions, handler?: Handler) {
  const [left, right] = memoryTransports();
  const client = new Peer(qmux(left));
  const session = qmux(right, options);
  t.watchBoth(client, session);
  return { client, session, loading: new Loading(session, handler) };
}

test("LazyServer: calls that arrive while it loads are answered in the order in which they arrived", async (t) => {
  const { session, raw } = t.script();
  const loading = new Loading(session);
  const [first, second, third] = [
    await rawOpen(raw),
    await rawOpen(raw),
    await rawOpen(raw),
  ];
  await third.values({ Selector: "a" }, null);
  await first.values({ Selector: "b" }, null);
  await until(() => loading.server.idle === 1, "two calls");
  assertEquals([loading.asked, loading.server.begun], [1, 0]);
  loading.finish();
  await third.read(2);
  await first.read(2);
  await second.values({ Selector: "c" }, null);
  await second.read(2);
  assertEquals(loading.selectors, ["/a", "/b", "/c"]);
  assertEquals([loading.asked, loading.server.begun], [1, 3]);
  for (const channel of [first, second, third]) await channel.close();
});

test("LazyServer: the event loop turns between calls with large answers that waited, and later ones come after them", async (t) => {
  const answer = "x".repeat(1_000_000);
  const turnsOfCalls: number[] = [];
  const selectors: string[] = [];
  let turns = 0;
  const { client, loading } = connected(t, undefined, (call, respond) => {
    turnsOfCalls.push(turns);
    selectors.push(call.selector);
    return respond.return(answer);
  });
  const names = ["a", "b", "c", "d", "e", "f", "g", "h"];
  const calls = names.slice(0, -1).map((name) => client.call(name));
  await until(() => loading.asked === 1, "the first call");
  for (let i = 0; i < 100; i++) await nextPass();
  loading.finish();
  // No timers: in the time of one, a session may have several turns.
  for (; selectors.length < names.length && turns < 10_000; turns++) {
    await nextPass();
    if (selectors.length > 0 && calls.length < names.length) {
      calls.push(client.call(names.at(-1)!));
    }
  }
  await within(Promise.all(calls), "all calls");
  assertEquals(selectors, names.map((name) => `/${name}`));
  const first = turnsOfCalls.filter((turn) => turn === turnsOfCalls[0]).length;
  assert(first < 4, `${first} calls in the first turn`);
});

test("LazyServer: a channel that closes without a call does not load it", async (t) => {
  const { session, raw } = t.script();
  const loading = new Loading(session);
  for (const end of ["eof", "close"] as const) {
    const channel = await rawOpen(raw);
    assertEquals(loading.server.idle, 1);
    await channel[end]();
    await raw.find("close");
    if (end === "eof") await channel.close();
  }
  await until(() => session.usage.channels === 0, "the channels to close");
  assertEquals([loading.asked, loading.server.idle], [0, 0]);
  assertEquals(loading.errors, []);
});

test("LazyServer: a call that its caller gives up while it loads leaves nothing, and never begins", async (t) => {
  const { client, session, loading } = connected(t);
  const abort = new AbortController();
  const { signal } = abort;
  const calls = ["x", "y"].map((name) =>
    assertRejects(
      () => client.call(name, ["y".repeat(1_000)], { signal }),
      Error,
      "given up",
    )
  );
  await until(() => loading.server.idle === 0 && loading.asked === 1, "calls");
  abort.abort(new Error("given up"));
  await Promise.all(calls);
  await until(() => session.usage.slots <= 1, "the slots of the calls");
  const call = client.call("z");
  loading.finish();
  assertEquals(await call, "/z");
  assertEquals([loading.selectors, loading.errors], [["/z"], []]);
});

test("LazyServer: calls do not wait for longer than its time limit while it loads", async (t) => {
  const [left, right] = memoryTransports();
  const client = new Peer(qmux(left)), session = qmux(right);
  t.watchBoth(client, session);
  const loading = new Loading(session, undefined, { timeout: 1 });
  for (const name of ["a", "b"]) {
    await assertRejects(() => client.call(name), RemoteError, "unavailable");
  }
  // What hangs would hang again.
  assertEquals(loading.asked, 1);
  const codes = loading.errors.map((error) => (error as RpcError).code);
  assertEquals(codes, ["load-failed", "load-failed"]);
  loading.finish();
  await loadServer();
  await turn();
  assertEquals(await client.call("c"), "/c");
  assertEquals([loading.selectors, loading.errors.length], [["/c"], 2]);
});

test("LazyServer: if it cannot be loaded, each call is answered in its codec", async (t) => {
  const [left, right] = memoryTransports();
  const client = new Peer(qmux(left), { codec: cbor() });
  const session = qmux(right);
  t.watchBoth(client, session);
  const codecs = [json(), cbor()];
  const loading = new Loading(session, undefined, { codecs });
  const rejected = assertRejects(
    () => client.call("a"),
    RemoteError,
    "unavailable: this side cannot load",
  );
  await until(() => loading.asked === 1, "the call");
  loading.fail(new TypeError("Failed to fetch"));
  await rejected;
});

test("LazyServer: a session that ends while it loads holds nothing, and its calls never begin", async (t) => {
  const { client, session, loading } = connected(t);
  const call = client.call("x", ["y".repeat(10_000)]);
  const rejected = assertRejects(() => call);
  await until(() => loading.asked === 1, "the call");
  await client.close();
  await session.closed;
  await rejected;
  await turn();
  assertEquals(session.usage.held.total, 0);
  loading.finish();
  await loadServer();
  await turn();
  assertEquals(session.usage.held.total, 0);
  assertEquals([loading.selectors, loading.errors], [[], []]);
});

test("LazyServer: what a peer sends while it loads stays within the limits of the session", async (t) => {
  const MAX = 256 * 1024;
  const options = { maxHeldSize: MAX, maxChannels: 8 };
  const { client, session, loading } = connected(t, options);
  const calls = Array.from(
    { length: 20 },
    () => client.call("x", ["y".repeat(100_000)]),
  );
  await until(() => loading.asked === 1, "a call");
  for (let i = 0; i < 50; i++) {
    await turn();
    assert(session.usage.held.total <= MAX, `${session.usage.held.total}`);
    assert(session.usage.slots <= 8);
  }
  loading.finish();
  assertEquals(await Promise.all(calls), calls.map(() => "/x"));
});

test("LazyServer: if it cannot be loaded, calls fail, and the next one tries again", async (t) => {
  const { client, loading } = connected(t);
  // It has answered calls of this side, as a server does before it calls back.
  loading.state.peerExtended = true;
  const call = client.call("a");
  const rejected = assertRejects(
    () => call,
    RemoteError,
    "unavailable: this side cannot load",
  );
  await until(() => loading.asked === 1, "the call");
  const cause = new TypeError("Failed to fetch dynamically imported module");
  loading.fail(cause);
  assertEquals((await rejected).code, "unavailable");
  const [error, ...more] = loading.errors as RpcError[];
  assert(error instanceof RpcError);
  assertEquals([error.code, error.cause, more], ["load-failed", cause, []]);
  loading.finish();
  assertEquals(await client.call("c"), "/c");
  assertEquals([loading.asked, loading.selectors], [2, ["/c"]]);
});

test("LazyServer: calls that were held before it was loaded begin when they are admitted", async (t) => {
  const { client, loading } = connected(t);
  loading.server.hold();
  const call = client.call("x");
  await until(() => loading.asked === 1, "the call");
  loading.finish();
  await until(() => loading.server.begun === 1, "the call to be held");
  assertEquals(loading.selectors, []);
  loading.server.admit();
  assertEquals(await call, "/x");
});

test("LazyServer: calls that arrive before it is loaded are refused once this side is closing", async (t) => {
  const { client, loading } = connected(t);
  const call = client.call("x");
  await until(() => loading.asked === 1, "the call");
  loading.server.refuse();
  loading.finish();
  const error = await assertRejects(() => call, RemoteError);
  assertEquals(error.code, "unavailable");
  assertEquals(loading.selectors, []);
});

test("Peer: without a handler it answers that there is none, and counts the call", async (t) => {
  const [client, server] = t.pair();
  assertEquals(server.stats.calls, { total: 0, answering: 0, waiting: 0 });
  const error = await assertRejects(() => client.call("x"), RemoteError);
  assertEquals([error.code, server.stats.calls.total], ["not-found", 1]);
});

test("Peer.handle: a handler that is registered while the server loads gets the call", async (t) => {
  const [client, server] = t.pair();
  const call = client.call("x");
  server.handle("x", (_call, respond) => respond.return("answered"));
  assertEquals(await call, "answered");
});

test("Peer: a function that it sends is called although it has no handler", async (t) => {
  const [client] = t.pair({}, {
    handler: async (call, respond) => {
      const [fn] = await call.receive() as [() => Promise<unknown>];
      await respond.return(await fn());
    },
  });
  assertEquals(await client.call("x", [() => "called"]), "called");
});

Deno.test("SessionState.onLending: it is called once, before the first function is sent", () => {
  const state = new SessionState(10, new MemoryAccount(1024 * 1024));
  let count = 0;
  state.onLending = () => void count++;
  assertEquals([state.callbackCount, count], [0, 0]);
  assert(state.callbacks === state.callbacks);
  assertEquals(count, 1);
});
