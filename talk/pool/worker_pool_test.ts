import {
  CallError,
  forward,
  type Handler,
  MuxError,
  type Peer,
  RemoteError,
  RpcError,
} from "@qtalk/qtalk";
import { type WorkerPool, workerPool } from "@qtalk/qtalk/pool";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { type Harness, test } from "../../tests/support/harness.ts";
import { turn, until, watch } from "../../tests/support/within.ts";
import { dialed } from "../peer_keys.ts";

/** A worker, which answers a job when the test says so. */
class Worker {
  /** The coordinator's peer of it. */
  readonly peer: Peer;
  /** Its own peer. */
  readonly far: Peer;
  /** Its jobs that are not done. */
  readonly jobs = new Map<unknown, PromiseWithResolvers<unknown>>();
  /** Every job that it has had. */
  readonly had: unknown[] = [];

  constructor(t: Harness, answer?: Handler) {
    const handler: Handler = answer ?? (async (call, respond) => {
      const job = await call.receive();
      const done = Promise.withResolvers<unknown>();
      this.had.push(job);
      this.jobs.set(job, done);
      call.signal.addEventListener("abort", () => {
        this.jobs.delete(job);
        done.resolve(null);
      });
      await respond.return(await done.promise);
    });
    [this.peer, this.far] = t.pair({}, { handler });
  }

  /** Answers a job. */
  finish(job: unknown): void {
    this.jobs.get(job)!.resolve(`${job} done`);
    this.jobs.delete(job);
  }

  /** Waits until it has these jobs, and no others. */
  async has(...jobs: unknown[]): Promise<void> {
    await until(
      () => [...this.jobs.keys()].join() === jobs.join(),
      `jobs ${jobs}, not ${[...this.jobs.keys()]}`,
    );
  }
}

function add(pool: WorkerPool, ...workers: Worker[]): void {
  for (const { peer } of workers) pool.add(peer);
}

test("workerPool(): calls wait for the first worker, and go to the one with the fewest", async (t) => {
  using pool = workerPool();
  const jobs = [1, 2, 3].map((job) => pool.call("do", job));
  const [first, second] = [new Worker(t), new Worker(t)];
  add(pool, first);
  await first.has(1, 2, 3);
  add(pool, second);
  const last = pool.call("do", 4);
  await second.has(4);
  assertEquals(pool.members.map(({ inFlight }) => inFlight), [3, 1]);
  [1, 2, 3].forEach((job) => first.finish(job));
  second.finish(4);
  assertEquals(await Promise.all([...jobs, last]), [
    "1 done",
    "2 done",
    "3 done",
    "4 done",
  ]);
});

test("workerPool(): no member has more than maxCallsPerMember calls, and the others wait in order", async (t) => {
  using pool = workerPool({ maxCallsPerMember: 2 });
  const [first, second] = [new Worker(t), new Worker(t)];
  add(pool, first, second);
  const jobs = [1, 2, 3, 4, 5, 6].map((job) => pool.call("do", job));
  await first.has(1, 3);
  await second.has(2, 4);
  second.finish(2);
  await second.has(4, 5);
  first.finish(3);
  await first.has(1, 6);
  first.finish(1);
  first.finish(6);
  second.finish(4);
  second.finish(5);
  await Promise.all(jobs);
  assertEquals([first.had, second.had], [[1, 3, 6], [2, 4, 5]]);
});

test("workerPool(): a call that is made when a place becomes free does not overtake one that waits", async (t) => {
  using pool = workerPool({ maxCallsPerMember: 1 });
  const worker = new Worker(t);
  add(pool, worker);
  // Each of these makes its next call as soon as the one before is done.
  const order: string[] = [];
  const client = async (name: string) => {
    for (let i = 0; i < 3; i++) {
      await pool.call("do", `${name}${i}`);
      order.push(name);
    }
  };
  const clients = ["a", "b"].map(client);
  for (let i = 0; i < 6; i++) {
    await until(() => worker.jobs.size === 1);
    worker.finish([...worker.jobs.keys()][0]);
  }
  await Promise.all(clients);
  assertEquals(order.join(""), "ababab");
});

test("workerPool(): a call that waits for a place ends with its timeout or signal, and leaves no place taken", async (t) => {
  using pool = workerPool({ maxCallsPerMember: 1 });
  const worker = new Worker(t);
  add(pool, worker);
  const job = pool.call("do", 1);
  await worker.has(1);
  const error = await assertRejects(
    () => pool.call("do", 2, { timeout: 1 }),
    RpcError,
    'Cannot make call "do": no free member within 1 ms (option "timeout")',
  );
  assertEquals(error.code, "timeout");
  const controller = new AbortController();
  const aborted = pool.call("do", 3, { signal: controller.signal });
  const reason = new Error("enough");
  // It is given up when it gets its place.
  const done = job.then(() => controller.abort(reason));
  worker.finish(1);
  await done;
  assertStrictEquals(await aborted.catch((e) => e), reason);
  await until(() => pool.members[0]!.inFlight === 0, "no call in flight");
  const last = pool.call("do", 4);
  await worker.has(4);
  worker.finish(4);
  assertEquals(await last, "4 done");
});

test("workerPool(): no more than maxWaitingCalls calls wait for a place", async (t) => {
  using pool = workerPool({ maxCallsPerMember: 1, maxWaitingCalls: 1 });
  const worker = new Worker(t);
  add(pool, worker);
  const jobs = [1, 2].map((job) => pool.call("do", job));
  const error = await assertRejects(() => pool.call("do", 3), MuxError);
  assertEquals(error.code, "limit-exceeded");
  await worker.has(1);
  worker.finish(1);
  await worker.has(2);
  worker.finish(2);
  await Promise.all(jobs);
});

test("workerPool(): a worker that is lost leaves, its calls reject, and those that wait go to another", async (t) => {
  using pool = workerPool({ maxCallsPerMember: 1 });
  const [first, second] = [new Worker(t), new Worker(t)];
  add(pool, first);
  const job = watch(pool.call("do", 1));
  const next = pool.call("do", 2);
  await first.has(1);
  await first.far.close();
  await until(() => job.state !== "pending", "the call ends");
  assertInstanceOf(job.reason, MuxError);
  assertEquals(job.reason.code, "connection-lost");
  await until(() => pool.members.length === 0, "it has left");
  add(pool, second);
  await second.has(2);
  second.finish(2);
  assertEquals(await next, "2 done");
});

test("workerPool(): a call whose pool is closed at any moment after it got its place is made, or rejects as one that is too late", async (t) => {
  const outcomes = new Set<unknown>();
  for (let steps = 0; steps < 20; steps++) {
    const pool = workerPool();
    const worker = new Worker(t, (_call, respond) => respond.return("made"));
    const call = pool.call("do");
    add(pool, worker);
    for (let i = 0; i < steps; i++) await null;
    pool.close();
    outcomes.add(await call.catch((error) => error.code ?? error));
  }
  assertEquals(outcomes, new Set(["session-closed", "made"]));
});

test("workerPool(): the address of a peer that this side has dialed is without secrets", (t) => {
  using pool = workerPool();
  const { peer } = new Worker(t);
  peer[dialed]("wss://ann:secret@example.com/?token=secret");
  pool.add(peer);
  assertEquals(pool.members[0]!.address, "wss://\u2026@example.com/?\u2026");
});

test("workerPool(): a call that a worker refuses goes to another, also if that is busy at first", async (t) => {
  using pool = workerPool({ maxCallsPerMember: 1 });
  const busy = new Worker(t);
  add(pool, busy);
  const job = pool.call("do", 1);
  await busy.has(1);
  const draining = new Worker(t, () => {
    throw new CallError("draining", { code: "unavailable" });
  });
  add(pool, draining);
  const refused = pool.call("do", 2);
  await until(() => pool.members[1]!.inFlight === 0, "it was refused");
  busy.finish(1);
  await busy.has(2);
  busy.finish(2);
  assertEquals(await Promise.all([job, refused]), ["1 done", "2 done"]);

  await busy.far.close();
  await until(() => pool.members.length === 1);
  const error = await assertRejects(() => pool.call("do", 3), RemoteError);
  assertEquals(error.code, "unavailable");
});

/** Adds a second worker, which refuses a call that waits for the first one then. */
async function waitsRefused(pool: WorkerPool, t: Harness) {
  add(
    pool,
    new Worker(t, () => {
      throw new CallError("draining", { code: "unavailable" });
    }),
  );
  const refused = watch(pool.call("do", 2));
  await until(() => pool.members[1]!.inFlight === 0, "it was refused");
  assertEquals(refused.state, "pending");
  return refused;
}

test("workerPool(): a call that waits after a refusal rejects with that when only those are left that refuse", async (t) => {
  using pool = workerPool({ maxCallsPerMember: 1 });
  const busy = new Worker(t);
  add(pool, busy);
  const job = watch(pool.call("do", 1));
  await busy.has(1);
  const refused = await waitsRefused(pool, t);
  await busy.far.close();
  await until(() => refused.state !== "pending", "it rejects");
  assertInstanceOf(refused.reason, RemoteError);
  assertEquals([refused.reason.code, job.state], ["unavailable", "rejected"]);
});

test("workerPool(): a call that waits after a refusal rejects with that when the others are removed", async (t) => {
  using pool = workerPool({ maxCallsPerMember: 1 });
  const busy = new Worker(t);
  const membership = pool.add(busy.peer);
  const job = pool.call("do", 1);
  await busy.has(1);
  const refused = await waitsRefused(pool, t);
  membership[Symbol.dispose]();
  await until(() => refused.state !== "pending", "it rejects");
  assertInstanceOf(refused.reason, RemoteError);
  busy.finish(1);
  assertEquals(await job, "1 done");
});

test("workerPool(): a stream takes a place until it ends", async (t) => {
  using pool = workerPool({ maxCallsPerMember: 1 });
  const worker = new Worker(t, async (call, respond) => {
    const channel = await respond.continue("begun");
    call.signal.addEventListener("abort", () => channel.close());
  });
  add(pool, worker);
  const first = await pool.request("stream");
  const second = pool.request("stream");
  const watched = watch(second);
  await turn();
  assertEquals(watched.state, "pending");
  await first.close();
  await (await second).close();
});

test("workerPool(): a member that was removed gets no further calls, and finishes those that it has", async (t) => {
  using pool = workerPool();
  const [first, second] = [new Worker(t), new Worker(t)];
  const leaving = pool.add(first.peer);
  const job = pool.call("do", 1);
  await first.has(1);
  leaving[Symbol.dispose]();
  leaving[Symbol.dispose]();
  add(pool, second);
  const next = pool.call("do", 2);
  await second.has(2);
  first.finish(1);
  second.finish(2);
  assertEquals(await Promise.all([job, next]), ["1 done", "2 done"]);
});

test("workerPool(): a peer that was removed may be added again, which the old disposable does not undo", async (t) => {
  using pool = workerPool();
  const worker = new Worker(t);
  const first = pool.add(worker.peer);
  const same = pool.add(worker.peer);
  first[Symbol.dispose]();
  assertEquals(pool.members.length, 0);
  const again = pool.add(worker.peer);
  first[Symbol.dispose]();
  same[Symbol.dispose]();
  assertEquals(pool.members.length, 1);
  const job = pool.call("do", 1);
  await worker.has(1);
  worker.finish(1);
  assertEquals(await job, "1 done");
  again[Symbol.dispose]();
  assertEquals(pool.members.length, 0);
});

test("workerPool(): adding a peer again has no effect", (t) => {
  using pool = workerPool();
  const { peer } = new Worker(t);
  pool.add(peer);
  pool.add(peer);
  assertEquals(pool.members.length, 1);
  assertThrows(
    () => pool.add({} as Peer),
    TypeError,
    "Cannot add to pool: the member must be a Peer, and is an object",
  );
});

test("workerPool(): after close(), calls reject, those that wait too, and those in flight go on", async (t) => {
  const pool = workerPool({ maxCallsPerMember: 1 });
  const worker = new Worker(t);
  add(pool, worker);
  const job = pool.call("do", 1);
  const waiting = watch(pool.call("do", 2));
  await worker.has(1);
  pool.close();
  pool.close();
  await until(() => waiting.state !== "pending");
  assertInstanceOf(waiting.reason, MuxError);
  assertEquals(waiting.reason.code, "session-closed");
  await assertRejects(
    () => pool.call("do", 3),
    MuxError,
    'Cannot make call "do": the pool is closed',
  );
  add(pool, worker);
  assertEquals(pool.members.length, 0);
  worker.finish(1);
  assertEquals(await job, "1 done");
});

test("workerPool(): balance that throws fails its own call only", async (t) => {
  using pool = workerPool({
    maxCallsPerMember: 1,
    balance: (members, { args }) => {
      if (args === "bad") throw new Error("no choice");
      return members[0]!;
    },
  });
  const bad = watch(pool.call("do", "bad"));
  const good = pool.call("do", "good");
  const worker = new Worker(t);
  add(pool, worker);
  await worker.has("good");
  worker.finish("good");
  assertEquals(await good, "good done");
  await until(() => bad.state === "rejected", "the other one rejects");
  assert(`${bad.reason}`.includes("no choice"));
});

test("workerPool(): balance that aborts the call it chooses for leaves no place taken", async (t) => {
  const controller = new AbortController();
  const reason = new Error("not at all");
  using pool = workerPool({
    maxCallsPerMember: 1,
    balance: (members, { args }) => {
      if (args === "aborted") controller.abort(reason);
      return members[0]!;
    },
  });
  const options = { signal: controller.signal };
  // It waits, and is aborted when the worker could take it.
  const waiting = watch(pool.call("do", "aborted", options));
  const worker = new Worker(t);
  add(pool, worker);
  await until(() => waiting.state === "rejected", "the call rejects");
  assertStrictEquals(waiting.reason, reason);
  assertEquals(pool.members[0]!.inFlight, 0);
  const job = pool.call("do", "good");
  await worker.has("good");
  worker.finish("good");
  assertEquals(await job, "good done");
});

test("workerPool(): balance that aborts a call that need not wait leaves no place taken", async (t) => {
  const controller = new AbortController();
  const reason = new Error("not at all");
  using pool = workerPool({
    maxCallsPerMember: 1,
    balance(members) {
      controller.abort(reason);
      return members[0]!;
    },
  });
  const worker = new Worker(t);
  add(pool, worker);
  const call = pool.call("do", 1, { signal: controller.signal });
  assertStrictEquals(await call.catch((error) => error), reason);
  assertEquals([pool.members[0]!.inFlight, worker.jobs.size], [0, 0]);
});

test("workerPool(): connected() resolves to a member", async (t) => {
  using pool = workerPool();
  const connected = pool.connected();
  const { peer } = new Worker(t);
  pool.add(peer);
  assertStrictEquals(await connected, peer);
  const reason = new Error("enough");
  const aborted = await pool.connected({ signal: AbortSignal.abort(reason) })
    .catch((error) => error);
  assertStrictEquals(aborted, reason);
});

test("workerPool(): the clients of a gateway share the workers", async (t) => {
  using pool = workerPool({ maxCallsPerMember: 1 });
  const workers = [new Worker(t), new Worker(t)];
  add(pool, ...workers);
  const handler = forward(pool);
  const [ann] = t.pair({}, { handler });
  const [ben] = t.pair({}, { handler });
  const calls = [ann.call("do", 1), ann.call("do", 2), ben.call("do", 3)];
  const jobs = () => workers.flatMap((one) => [...one.jobs.keys()]).sort();
  const finish = (job: number) =>
    workers.find((one) => one.jobs.has(job))!.finish(job);
  // Ann has one place, although she has made two calls.
  await until(() => jobs().join() === "1,3", "a place for each");
  finish(1);
  finish(3);
  await until(() => jobs().join() === "2", "the second call of Ann");
  finish(2);
  assertEquals(await Promise.all(calls), ["1 done", "2 done", "3 done"]);
});
