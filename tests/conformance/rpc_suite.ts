/**
 * What two peers do over any kind of session: RPC as a function of a factory.
 * It uses sessions by their interface (mux/raw.ts) alone.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  type Callback,
  forward,
  handlerFrom,
  MuxError,
  Peer,
  type PeerOptions,
  RemoteError,
  RpcError,
  type Session,
  withCall,
} from "@qtalk/qtalk";
import type { Exceptions } from "./behaviour.ts";
import { type Harness, test } from "../support/harness.ts";
import { until, within } from "../support/within.ts";

/** Makes two sessions, each the other's peer. */
export type MakeSessions = () => [Session, Session];

/** Makes what makes the sessions of one test, which may take a while. */
export type PrepareSessions = (t: Harness) => Promise<MakeSessions>;

/** What a behaviour is given. */
export interface RpcLab {
  t: Harness;
  /** Two peers over a new pair of sessions. */
  pair(client?: PeerOptions, server?: PeerOptions): [Peer, Peer];
}

/** A service with a method of each kind. */
const service = {
  echo: (value: unknown) => value,
  fail(): never {
    throw Object.assign(new Error("no, not that"), { code: "refused" });
  },
  async *count(to: number) {
    for (let n = 1; n <= to; n++) yield n;
  },
  twice: async (fn: Callback<(n: number) => number>, n: number) =>
    await fn(await fn(n)),
  ask: withCall((call, selector: string) => call.caller.call(selector)),
};

const BEHAVIOURS: Record<string, (lab: RpcLab) => Promise<void>> = {
  async "calls return values of any size"({ pair }) {
    const maxValueSize = 4 * 1024 * 1024;
    const [client] = pair({ maxValueSize }, {
      maxValueSize,
      handler: handlerFrom(service),
    });
    for (const size of [0, 1, 1_000, 100_000, 3_000_000]) {
      const text = "x".repeat(size);
      assert(await client.call("echo", [text]) === text, `${size} characters`);
    }
  },

  async "500 calls at once are answered, and again"({ pair }) {
    const [client] = pair({}, { handler: handlerFrom(service) });
    for (let round = 0; round < 2; round++) {
      const calls = Array.from(
        { length: 500 },
        (_, i) => client.call("echo", [i]),
      );
      assertEquals(
        await Promise.all(calls),
        Array.from({ length: 500 }, (_, i) => i),
      );
    }
  },

  async "errors of handlers and selectors without one are a RemoteError"(
    { pair },
  ) {
    const [client] = pair({}, { handler: handlerFrom(service) });
    const failed = await assertRejects(() => client.call("fail"), RemoteError);
    assertEquals([failed.text, failed.code], ["no, not that", "refused"]);
    const missing = await assertRejects(() => client.call("no"), RemoteError);
    assertEquals(missing.text, "not found: /no");
  },

  async "either side calls, and a handler calls its caller"({ pair }) {
    const [client, server] = pair({}, { handler: handlerFrom(service) });
    client.handle("name", (_call, respond) => respond.return("client"));
    assertEquals(await client.call("ask", ["name"]), "client");
    assertEquals(await server.call("name"), "client");
  },

  async "values are streamed from a generator, to its end or a reader's"(
    { pair },
  ) {
    const [client] = pair({}, { handler: handlerFrom(service) });
    const all = await Array.fromAsync(await client.request("count", [1_000]));
    assertEquals(all, Array.from({ length: 1_000 }, (_, i) => i + 1));
    const seen: unknown[] = [];
    for await (const n of await client.request("count", [1_000_000])) {
      seen.push(n);
      if (n === 3) break;
    }
    assertEquals(seen, [1, 2, 3]);
  },

  async "arguments are streamed"({ pair }) {
    const [client, server] = pair();
    server.handle("sum", async (call, respond) => {
      let sum = 0;
      for await (const n of call) sum += n as number;
      await respond.return(sum);
    });
    async function* numbers() {
      for (let n = 1; n <= 1_000; n++) yield n;
    }
    assertEquals(await client.call("sum", numbers()), 500_500);
  },

  async "functions are called back, and released with their call"({ pair }) {
    const [client] = pair({}, { handler: handlerFrom(service) });
    assertEquals(await client.call("twice", [(n: number) => 3 * n, 2]), 18);
    assertEquals(client.callbackCount, 0);
  },

  async "a function is kept for as long as the other side retains it"(
    { pair },
  ) {
    let kept: Callback<(n: number) => number> | undefined;
    const [client] = pair({}, {
      handler: handlerFrom((fn: Callback<(n: number) => number>) => {
        kept = fn.retain();
      }),
    });
    await client.call("keep", [(n: number) => n + 1]);
    assertEquals([await kept!(1), await kept!(41)], [2, 42]);
    kept!.release();
    await until(() => client.callbackCount === 0);
    await assertRejects(() => kept!(1), RpcError);
  },

  async "a continued call is bytes both ways, half-closed"({ pair }) {
    const [client, server] = pair();
    server.handle("bytes", async (call, respond) => {
      await call.receive();
      const { readable, writable } = await respond.continue();
      await readable.pipeTo(writable);
    });
    const { channel } = await client.request("bytes");
    const bytes = new Uint8Array(1_000_000).map((_, i) => i * 7 + (i >> 8));
    const [, back] = await Promise.all([
      new Blob([bytes]).stream().pipeTo(channel!.writable),
      new Response(channel!.readable).bytes(),
    ]);
    assert(
      back.length === bytes.length && back.every((b, i) => b === bytes[i]),
    );
  },

  async "a call that is given up rejects, and its handler's signal aborts"(
    { pair },
  ) {
    const [client, server] = pair();
    const began = Promise.withResolvers<void>();
    const aborted = Promise.withResolvers<unknown>();
    server.handle("slow", async (call) => {
      call.signal.addEventListener(
        "abort",
        () => aborted.resolve(call.signal.reason),
      );
      await call.receive();
      began.resolve();
      await aborted.promise;
    });
    const stop = new AbortController();
    const calling = client.call("slow", null, { signal: stop.signal });
    await began.promise;
    const reason = new Error("changed my mind");
    stop.abort(reason);
    assertEquals(await calling.catch((error) => error), reason);
    const told = await within(aborted.promise, "the handler's signal");
    assertEquals((told as RpcError).code, "cancelled");
  },

  async "a call past its time limit rejects with timeout"({ t, pair }) {
    const clock = t.time();
    const [client, server] = pair();
    const began = Promise.withResolvers<void>();
    const done = Promise.withResolvers<void>();
    server.handle("slow", async (call) => {
      await call.receive();
      began.resolve();
      await done.promise;
    });
    const calling = client.call("slow", null, { timeout: 5_000 });
    const failed = assertRejects(() => calling, RpcError);
    await began.promise;
    clock.tick(5_000);
    assertEquals((await failed).code, "timeout");
    done.resolve();
  },

  async "a call is forwarded, with streams and bytes"({ pair }) {
    const [client, near] = pair();
    const [far, origin] = pair({}, { handler: handlerFrom(service) });
    origin.handle("bytes", async (call, respond) => {
      await call.receive();
      const { readable, writable } = await respond.continue();
      await readable.pipeTo(writable);
    });
    near.handle("", forward(far));
    assertEquals(await client.call("echo", ["through"]), "through");
    const failed = await assertRejects(() => client.call("fail"), RemoteError);
    assertEquals(failed.text, "no, not that");
    const counted = await Array.fromAsync(await client.request("count", [50]));
    assertEquals(counted.length, 50);
    const { channel } = await client.request("bytes");
    const [, back] = await Promise.all([
      new Blob(["there and back"]).stream().pipeTo(channel!.writable),
      new Response(channel!.readable).text(),
    ]);
    assertEquals(back, "there and back");
  },

  async "a peer that drains lets running calls finish and refuses new ones"(
    { pair },
  ) {
    const [client, server] = pair({}, { handler: handlerFrom(service) });
    const began = Promise.withResolvers<void>();
    const finish = Promise.withResolvers<void>();
    server.handle("slow", async (call, respond) => {
      await call.receive();
      began.resolve();
      await finish.promise;
      await respond.return("done");
    });
    const running = client.call("slow");
    await began.promise;
    const closing = server.close({ drainTimeout: 60_000 });
    const refused = await assertRejects(() => client.call("echo", [1]));
    assertEquals((refused as RemoteError).code, "unavailable");
    finish.resolve();
    assertEquals(await running, "done");
    await within(closing, "the peer to close");
    await client.closed;
  },

  async "calls beyond maxConcurrentCalls and maxQueuedCalls are refused as busy"(
    { pair },
  ) {
    const limits = { maxConcurrentCalls: 1, maxQueuedCalls: 0 };
    const [client, server] = pair({}, limits);
    const began = Promise.withResolvers<void>();
    const finish = Promise.withResolvers<void>();
    server.handle("slow", async (call) => {
      await call.receive();
      began.resolve();
      await finish.promise;
    });
    const running = client.call("slow");
    await began.promise;
    const refused = await assertRejects(() => client.call("slow"), RemoteError);
    assertEquals(refused.code, "busy");
    finish.resolve();
    await running;
  },

  async "calls reject when the session ends, on both sides"({ pair }) {
    const [client, server] = pair();
    const began = Promise.withResolvers<void>();
    const never = new Promise<void>(() => {});
    for (const peer of [client, server]) {
      peer.handle("wait", async (call) => {
        await call.receive();
        if (peer === client) began.resolve();
        await never;
      });
    }
    const waits = [client, server].map((peer) =>
      assertRejects(() => peer.call("wait"), MuxError)
    );
    await began.promise;
    await client.close();
    const codes = (await Promise.all(waits)).map(({ code }) => code);
    assertEquals(codes, ["session-closed", "connection-lost"]);
    await server.closed;
  },
};

/** Registers the suite for sessions that `makeSessions` makes. */
export function testRpc(name: string, makeSessions: MakeSessions): void {
  testPreparedRpc(name, () => Promise.resolve(makeSessions));
}

/**
 * Registers it for sessions that take a while to make.
 *
 * @param exceptions behaviours that these sessions cannot have, with the reasons
 */
export function testPreparedRpc(
  name: string,
  prepare: PrepareSessions,
  exceptions: Exceptions = {},
): void {
  for (const [behaviour, body] of Object.entries(BEHAVIOURS)) {
    const reason = exceptions[behaviour];
    const title = `${name}: ${behaviour}`;
    const ignore = reason !== undefined;
    test(
      ignore ? `${title} (not here: ${reason})` : title,
      { ignore },
      async (t) => {
        const makeSessions = await prepare(t);
        const pair = (client?: PeerOptions, server?: PeerOptions) => {
          const [left, right] = makeSessions();
          const peers: [Peer, Peer] = [
            new Peer(left, client),
            new Peer(right, server),
          ];
          t.watchBoth(...peers);
          return peers;
        };
        await within(body({ t, pair }), behaviour);
      },
    );
  }
}
