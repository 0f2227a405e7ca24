import {
  handlerFrom,
  listen,
  type Listener,
  type Peer,
  TalkError,
} from "@qtalk/qtalk";
import { dialPool } from "@qtalk/qtalk/pool";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { test } from "../../tests/support/harness.ts";
import { forSeeds } from "../../tests/support/random.ts";
import { turn, until, within } from "../../tests/support/within.ts";

const service = {
  echo: (value: unknown) => value,
  async *count(to: number) {
    for (let n = 1; n <= to; n++) yield n;
  },
};

function start(address = "tcp://127.0.0.1:0"): Promise<Listener<Peer>> {
  return listen(address, { handler: handlerFrom(service), onError() {} });
}

/** An address where nothing listens. */
async function deadAddress(): Promise<string> {
  const listener = await start();
  await listener.close();
  return listener.addr;
}

test("dialPool(): it resolves at the first connection, and is used like a peer", async () => {
  await using listener = await start();
  await using pool = await dialPool([await deadAddress(), listener.addr]);
  assertEquals(await pool.call("echo", [1]), 1);
  const api = pool.remote<typeof service>();
  assertEquals(await api.echo(2), 2);
  assertEquals(await Array.fromAsync(api.count(3)), [1, 2, 3]);
  assertEquals(pool.members.length, 2);
});

test("dialPool(): without a connection it rejects after readyTimeout, with the reason of each address", async () => {
  const dead = await deadAddress();
  const error = await assertRejects(
    () => dialPool([dead], { readyTimeout: 60 }),
    TalkError,
  );
  assertEquals(error.code, "timeout");
  assertMatch(
    error.message,
    /^Cannot dial pool: no connection within 60 ms \(option "readyTimeout"\): Cannot dial "tcp:\/\/127\.0\.0\.1:\d+": /,
  );
  const empty = await assertRejects(
    () => dialPool(() => [], { readyTimeout: 5 }),
    TalkError,
  );
  assertMatch(empty.message, /no address is listed$/);
});

test("dialPool(): an abort rejects with the signal's reason", async () => {
  const dead = await deadAddress();
  const reason = new Error("enough");
  await assertRejects(
    () => dialPool([dead], { signal: AbortSignal.abort(reason) }),
    Error,
    "enough",
  );
  const stop = new AbortController();
  const dialed = assertRejects(
    () =>
      dialPool([dead], {
        signal: stop.signal,
        onState: ({ state }) => state.name === "waiting" && stop.abort(reason),
      }),
    Error,
    "enough",
  );
  await dialed;
});

test("dialPool(): with addresses that cannot work it rejects at once", async () => {
  const error = await assertRejects(
    () => dialPool(["tcp://nowhere", "gopher://x"]),
    TalkError,
  );
  assertEquals(error.code, "dial-failed");
  assertMatch(error.message, /"tcp:\/\/nowhere": expected tcp:/);
  await assertRejects(() => dialPool([]), TalkError, "is empty");
  await assertRejects(
    () => dialPool("tcp://127.0.0.1:1" as never),
    TypeError,
    "must be an array, a function or an async iterable",
  );
});

/** A server that ends and begins again at its address. */
class Mortal {
  /** How often each call was done. */
  readonly #done: Map<number, number>;
  #listener: Listener<Peer> | undefined;
  #met = Promise.withResolvers<void>();
  address = "tcp://127.0.0.1:0";

  constructor(done: Map<number, number>) {
    this.#done = done;
  }

  /** Resolves once a client has connected since it began. */
  get met(): Promise<void> {
    return this.#met.promise;
  }

  async start(): Promise<void> {
    const met = this.#met = Promise.withResolvers();
    const listener: Listener<Peer> = this.#listener = await listen(
      this.address,
      {
        onError() {},
        onPeer: () => met.resolve(),
        handler: async (call, respond) => {
          const id = await call.receive() as number;
          this.#done.set(id, (this.#done.get(id) ?? 0) + 1);
          for (let i = 0; i < id % 7; i++) await turn();
          await respond.return(id);
        },
      },
    );
    this.address = listener.addr;
  }

  /** Ends it: at once, or with a farewell. */
  async stop(drainTimeout: number): Promise<void> {
    await this.#listener?.close({ drainTimeout });
  }
}

test("dialPool(): servers that are closed and restarted at random lose no call that was not begun, and do none twice", async () => {
  await forSeeds(1, async (random) => {
    const done = new Map<number, number>();
    const servers = [0, 1, 2].map(() => new Mortal(done));
    for (const server of servers) await server.start();
    await using pool = await dialPool(
      () => servers.map(({ address }) => address),
      { minDelay: 5, maxDelay: 20, refreshInterval: 50 },
    );
    let lost = 0;
    const call = async (id: number) => {
      try {
        assertEquals(await pool.call("work", id), id);
        assertEquals(done.get(id), 1);
      } catch (error) {
        // It had begun, or may have: the connection was lost after it was sent.
        const { code } = error as { code?: unknown };
        assertEquals(code, "connection-lost", String(error));
        assert((done.get(id) ?? 0) <= 1);
        lost++;
      }
    };
    const calls: Promise<void>[] = [];
    for (let id = 0; id < 500;) {
      for (let i = random.int(1, 20); i > 0; i--) calls.push(call(id++));
      for (let i = random.int(0, 9); i > 0; i--) await turn();
      // A call that all connected members refuse is refused, so the others must be
      // connected again when one closes.
      await within(Promise.all(servers.map(({ met }) => met)), "the servers");
      await until(() =>
        !pool.members.some(({ state }) => state.name !== "connected")
      );
      const server = random.pick(servers);
      const stopped = server.stop(random.chance(0.5) ? 0 : 50);
      for (let i = random.int(1, 20); i > 0; i--) calls.push(call(id++));
      await stopped;
      if (random.chance(0.5)) {
        // The other two do them.
        await within(Promise.all(calls), "the calls so far");
      }
      await server.start();
    }
    await within(Promise.all(calls), "all calls");
    for (const server of servers) await server.stop(0);
    assert(lost < 250, `${lost} calls were lost`);
    assertEquals([...done.values()].filter((count) => count > 1), []);
  });
});
