// The servers of a pool are killed at random, and others take their places.

import {
  type Caller,
  dial,
  forward,
  listen,
  MuxError,
  RemoteError,
  RpcError,
} from "@qtalk/qtalk";
import { dialPool, type PeerPool } from "@qtalk/qtalk/pool";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { forSeeds, type Random } from "../support/random.ts";
import { within } from "../support/within.ts";

const CALLS = 500;
const KILLS = 10;
const WORKERS = 8;
const SCRIPT = new URL("../support/mortal_server.ts", import.meta.url).href;

/** A server in a process of its own. */
class Server {
  readonly address: string;
  readonly #child: Deno.ChildProcess;

  constructor(child: Deno.ChildProcess, address: string) {
    this.#child = child;
    this.address = address;
  }

  static async start(log: string): Promise<Server> {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", SCRIPT, "tcp://127.0.0.1:0", log],
      stdin: "null",
      stdout: "piped",
    }).spawn();
    const reader = child.stdout.getReader();
    const { value } = await within(reader.read(), "the server to start");
    reader.releaseLock();
    return new Server(child, new TextDecoder().decode(value).trim());
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.stdout.cancel();
    await this.#child.status;
  }
}

/** What makes calls to the pool: the program itself, or the client of a gateway. */
const CALLERS: Record<
  string,
  (pool: PeerPool) => Promise<AsyncDisposable & { readonly caller: Caller }>
> = {
  "pool": (pool) =>
    Promise.resolve({ caller: pool, async [Symbol.asyncDispose]() {} }),
  "forward()": async (pool) => {
    const listener = await listen("tcp://127.0.0.1:0", {
      handler: forward(pool),
    });
    const caller = await dial(listener.addr);
    return {
      caller,
      async [Symbol.asyncDispose]() {
        await caller.close();
        await listener.close();
      },
    };
  },
};

async function run(
  random: Random,
  log: string,
  makeCaller: (typeof CALLERS)[string],
): Promise<void> {
  const servers = await Promise.all([1, 2, 3].map(() => Server.start(log)));
  await using _ = {
    [Symbol.asyncDispose]: async () => {
      await Promise.all(servers.map((server) => server.kill()));
    },
  };
  await using pool = await dialPool(
    () => servers.map(({ address }) => address),
    {
      minDelay: 10,
      maxDelay: 100,
      refreshInterval: 100,
      onConnect: async (peer) => void await peer.call("join", "Ann"),
    },
  );
  await using client = await makeCaller(pool);
  const { caller } = client;
  const answered: string[] = [];
  const lost: string[] = [];
  let next = 0;
  let wanted = { count: Infinity, resolve: () => {} };
  /** Resolves when so many calls have been made. */
  const madeCalls = (count: number) =>
    new Promise<void>((resolve) => {
      if (next >= count) return resolve();
      wanted = { count, resolve };
    });
  const work = async () => {
    while (next < CALLS) {
      const id = `call${next++}`;
      if (next >= wanted.count) wanted.resolve();
      try {
        assertEquals(await caller.call("work", id), id);
        answered.push(id);
      } catch (error) {
        // No other error: what was not begun has gone elsewhere.
        if (!(error instanceof MuxError || error instanceof RemoteError)) {
          throw error;
        }
        assertEquals(error.code, "connection-lost");
        lost.push(id);
      }
    }
  };
  const done = Promise.all(Array.from({ length: WORKERS }, work));
  for (let i = 1; i <= KILLS; i++) {
    const share = Math.floor(i * CALLS / (KILLS + 1));
    await within(Promise.race([madeCalls(share), done]), `${share} calls`);
    // Sometimes there is no other one until its replacement has started.
    const count = random.chance(0.3) ? servers.length : 1;
    const victims = Array.from(
      { length: count },
      () => servers.splice(random.int(0, servers.length - 1), 1)[0]!,
    );
    await Promise.all(victims.map((victim) => victim.kill()));
    servers.push(
      ...await Promise.all(victims.map(() => Server.start(log))),
    );
  }
  await within(done, "all calls to be settled");

  const begun = (await Deno.readTextFile(log)).trimEnd().split("\n");
  const distinct = new Set(begun);
  assertEquals(begun.length, distinct.size, "no call was begun twice");
  assertEquals(answered.length + lost.length, CALLS);
  assert(answered.every((id) => distinct.has(id)), "all answers were work");
  const most = KILLS * WORKERS;
  assert(lost.length <= most, `${lost.length} calls were lost, of ${most}`);
  assert(answered.length >= CALLS - most);
}

for (const [name, makeCaller] of Object.entries(CALLERS)) {
  Deno.test(`${name}: ${CALLS} calls while three servers of a pool are killed ${KILLS} times are each done, or lost with the server, and none twice`, async () => {
    const directory = await Deno.makeTempDir({ prefix: "qtalk_pool_" });
    await forSeeds(1, (random) => run(random, `${directory}/log`, makeCaller));
    await Deno.remove(directory, { recursive: true });
  });
}

Deno.test("forward(): a stream of a pool's server that is killed is cut off, and does not look complete", async () => {
  const directory = await Deno.makeTempDir({ prefix: "qtalk_pool_" });
  const server = await Server.start(`${directory}/log`);
  try {
    await using pool = await dialPool([server.address]);
    await using client = await CALLERS["forward()"]!(pool);
    const response = await client.caller.request("endless");
    let count = 0;
    const error = await assertRejects(async () => {
      for await (const _ of response) {
        if (++count === 10) await server.kill();
      }
    }, RpcError);
    assertEquals(error.code, "incomplete");
  } finally {
    await server.kill().catch(() => {});
    await Deno.remove(directory, { recursive: true });
  }
});
