import { memoryPair } from "@qtalk/qtalk";
import { assert, assertEquals } from "@std/assert";
import type { RawChannel } from "../../mux/raw.ts";
import { rawSession } from "../../mux/session.ts";
import { qmux } from "../../mux/session.ts";
import type { Session } from "../../mux/types.ts";
import { memoryTransports } from "../../mux/transport/memory.ts";
import { FakeTime } from "../../tests/support/fake_time.ts";
import { scriptedSession } from "../../tests/support/raw_peer.ts";
import {
  close,
  confirm,
  data,
  eof,
  failure,
} from "../../tests/support/wire.ts";
import { turn } from "../../tests/support/within.ts";
import {
  ChannelPool,
  FEW_SPARE_CHANNELS,
  MAX_SPARE_CHANNELS,
} from "./channel_pool.ts";

/** Opens a channel as a call that finds no spare one does. */
function opened(pool: ChannelPool): Promise<RawChannel> {
  return new Promise((resolve, reject) => pool.open(resolve, reject));
}

/** Waits until all OPENs are answered, and their answers are handled. */
async function settled(): Promise<void> {
  for (let i = 0; i < 5; i++) await turn();
}

/** A pool that may open spare channels. */
function sparingPool(session: Session): ChannelPool {
  const pool = new ChannelPool(rawSession(session));
  pool.allowSpares();
  return pool;
}

/** A pool whose peer accepts all channels. */
function accepted() {
  const [left, right] = memoryTransports();
  const session = qmux(left);
  const other = qmux(right);
  other.accept(() => {});
  return {
    session,
    pool: sparingPool(session),
    async [Symbol.asyncDispose]() {
      await session.close();
      await other.close();
    },
  };
}

/** Uses that many channels at the same time, as calls do. */
async function use(pool: ChannelPool, count: number): Promise<void> {
  const channels = await Promise.all(
    Array.from({ length: count }, () => pool.take() ?? opened(pool)),
  );
  for (const channel of channels) await channel.close();
  await settled();
}

Deno.test("ChannelPool: no spare channel is opened before the peer has confirmed a channel", async () => {
  const { session, raw } = scriptedSession({ closeTimeout: 1 });
  await using _ = session;
  const pool = sparingPool(session);
  for (let i = 0; i < 3; i++) {
    assertEquals(pool.take(), undefined);
    pool.open(() => {}, () => {});
  }
  await settled();
  const opens = raw.pending.length;
  assertEquals(opens, 3, "one for each that was needed");
  await raw.send(confirm(0, 0));
  await settled();
  assert(raw.pending.length > opens, "a spare one is opened");
});

Deno.test("ChannelPool: no spare channel is opened before allowSpares()", async () => {
  const [left, right] = memoryTransports();
  await using session = qmux(left);
  await using other = qmux(right);
  other.accept(() => {});
  const pool = new ChannelPool(rawSession(session));
  for (let i = 1; i <= 3; i++) {
    await opened(pool);
    await settled();
    assertEquals(pool.take(), undefined);
    assertEquals(session.usage.slots, i);
  }
  pool.allowSpares();
  await settled();
  assertEquals(session.usage.slots, 4);
  assert(pool.take() !== undefined);
});

Deno.test("ChannelPool: a spare channel is ready after the first channel was opened", async () => {
  await using it = accepted();
  assertEquals(it.pool.take(), undefined);
  const first = await opened(it.pool);
  await settled();
  const second = it.pool.take();
  assert(second !== undefined && second !== first);
});

Deno.test("ChannelPool: a call that finds no spare channel does not lower their number", async () => {
  // A second without calls, as on a busy machine, closes spare channels.
  using _time = new FakeTime();
  await using it = accepted();
  for (let i = 0; i < 5; i++) await use(it.pool, 300);
  const { unused } = it.pool;
  assert(unused > FEW_SPARE_CHANNELS);
  for (let i = 0; i < 3; i++) await use(it.pool, unused + 1);
  assert(it.pool.unused >= unused, `${it.pool.unused} of ${unused} are left`);
});

Deno.test("ChannelPool.take: no channel is returned twice", async () => {
  // A second without calls, as on a busy machine, closes spare channels.
  using _time = new FakeTime();
  await using it = accepted();
  await use(it.pool, 20);
  const taken: RawChannel[] = [];
  for (;;) {
    const channel = it.pool.take();
    if (channel === undefined) break;
    taken.push(channel);
    await settled();
    if (taken.length === 40) break;
  }
  assertEquals(new Set(taken).size, taken.length);
  assertEquals(taken.length, 40, "each channel that is taken is replaced");
});

Deno.test("ChannelPool: the number of spare channels follows the number of calls at the same time", async () => {
  await using it = accepted();
  await use(it.pool, 1);
  const few = it.session.usage.slots;
  for (let i = 0; i < 10; i++) await use(it.pool, 16);
  const more = it.session.usage.slots;
  assert(few <= 2 && more >= 16, `${few}, then ${more}`);
});

Deno.test("ChannelPool: the number of spare channels is limited", async () => {
  await using it = accepted();
  for (let i = 0; i < 5; i++) await use(it.pool, 1_000);
  const { slots } = it.session.usage;
  assert(slots <= MAX_SPARE_CHANNELS, `${slots} are kept`);
});

Deno.test("ChannelPool: a second without calls closes half of the spare channels, until one is left, and five close that", async () => {
  using time = new FakeTime();
  await using it = accepted();
  for (let i = 0; i < 10; i++) await use(it.pool, 16);
  let ready = it.session.usage.slots;
  assert(ready >= 16);
  time.tick(1_000); // There were calls in this second.
  await settled();
  for (ready = it.session.usage.slots; ready > 0;) {
    time.tick(ready === 1 ? 4_999 : 999);
    await settled();
    assertEquals(it.session.usage.slots, ready, "within the time");
    time.tick(1);
    await settled();
    assertEquals(it.session.usage.slots, ready >> 1);
    ready >>= 1;
  }
  assertEquals(time.waiting, 0, "nothing ready, nothing to watch");
  assertEquals(it.pool.take(), undefined);
  await use(it.pool, 1);
  assert(it.session.usage.slots > 0, "it starts again with the next call");
});

Deno.test("ChannelPool: channels that were given back before allowSpares() are closed when no call uses them", async () => {
  using time = new FakeTime();
  const [left, right] = memoryTransports();
  await using session = qmux(left);
  await using other = qmux(right);
  other.accept(() => {});
  const pool = new ChannelPool(rawSession(session));
  const channels = await Promise.all(
    Array.from({ length: 16 }, () => opened(pool)),
  );
  for (const channel of channels) pool.giveBack(channel);
  assertEquals([session.usage.slots, pool.unused, time.waiting], [16, 16, 0]);
  pool.allowSpares();
  for (const left of [8, 4, 2, 1]) {
    time.tick(1_000);
    await settled();
    assertEquals(session.usage.slots, left);
  }
  time.tick(5_000);
  await settled();
  assertEquals([session.usage.slots, pool.unused, time.waiting], [0, 0, 0]);
});

Deno.test("ChannelPool: a call within the second keeps the spare channels", async () => {
  using time = new FakeTime();
  await using it = accepted();
  for (let i = 0; i < 10; i++) await use(it.pool, 16);
  const ready = it.session.usage.slots;
  for (let i = 0; i < 5; i++) {
    await use(it.pool, 1);
    time.tick(1_000);
    await settled();
  }
  assertEquals(it.session.usage.slots, ready);
});

Deno.test("ChannelPool: a connection with a call every few seconds keeps its spare channel", async () => {
  using time = new FakeTime();
  await using it = accepted();
  await use(it.pool, 1);
  const { opened } = rawSession(it.session).channels;
  for (let i = 0; i < 20; i++) {
    time.tick(4_000);
    await settled();
    const channel = it.pool.take();
    assert(channel !== undefined, `no spare for call ${i}`);
    await channel.close();
    await settled();
  }
  assertEquals(rawSession(it.session).channels.opened, opened + 20);
});

Deno.test("ChannelPool.take: a spare channel that the peer has closed or ended is not returned", async () => {
  for (const end of [close, eof]) {
    const { session, raw } = scriptedSession({ closeTimeout: 1 });
    await using _ = session;
    const pool = sparingPool(session);
    const first = opened(pool);
    const { sender } = await raw.expect("open");
    await raw.send(confirm(sender, 0));
    await first;
    const spare = await raw.expect("open");
    await raw.send(confirm(spare.sender, 1), end(spare.sender));
    await settled();
    const taken = pool.take();
    assertEquals(taken, undefined, `after ${end.name}`);
    const closing = await raw.find("close");
    assertEquals(closing.recipient, 1, "this side closes it");
  }
});

Deno.test("ChannelPool: no other spare channel is opened after the peer has refused one", async () => {
  const { session, raw } = scriptedSession({ closeTimeout: 1 });
  await using _ = session;
  const pool = sparingPool(session);
  const first = opened(pool);
  await raw.send(confirm((await raw.expect("open")).sender, 0));
  await first;
  await raw.send(failure((await raw.expect("open")).sender));
  await settled();
  assertEquals(pool.take(), undefined);
  await settled();
  assertEquals(raw.pending, [], "no OPEN without a call that needs it");
  const next = opened(pool);
  await raw.send(confirm((await raw.expect("open")).sender, 2));
  await next;
});

Deno.test("ChannelPool: a closed session has no timer and opens no channel", async () => {
  using time = new FakeTime();
  {
    await using it = accepted();
    await use(it.pool, 5);
    assertEquals(time.waiting, 1);
    await it.session.close();
    await settled();
    assertEquals(time.waiting, 0);
    it.pool.take();
    await settled();
    assertEquals([it.session.usage.slots, time.waiting], [0, 0]);
  }
});

Deno.test("ChannelPool: spare channels leave a quarter of the slots to calls", async () => {
  for (const [maxChannels, calls] of [[8, 2], [40, 10], [200, 50]] as const) {
    const session = { maxChannels };
    const [a, b] = memoryPair({ session }, { session });
    await using _ = a;
    for (const peer of [a, b]) {
      peer.handle("back", (_call, respond) => respond.return(1));
      peer.handle("call", async (call, respond) => {
        await respond.return(await call.caller.call("back"));
      });
    }
    // Each call needs two channels.
    for (const peer of [a, b, a]) {
      for (let round = 0; round < 20; round++) {
        const answers = await Promise.all(
          Array.from({ length: calls }, () => peer.call("call")),
        );
        assertEquals(answers, Array(calls).fill(1));
      }
    }
    await settled();
    for (const { session } of [a, b]) {
      const { slots } = session.usage;
      // Each of the two has spares.
      assert(
        slots > 0 && slots <= 2 * maxChannels * 3 / 4,
        `${slots} are open`,
      );
    }
  }
});

Deno.test("ChannelPool: a call that the peer has no room for takes a spare channel that has opened meanwhile", async () => {
  const [left, right] = memoryTransports();
  await using session = qmux(left);
  await using other = qmux(right, { maxChannels: 2 });
  other.accept(() => {});
  const pool = sparingPool(session);
  const second = Promise.withResolvers<RawChannel>();
  const first = await new Promise<RawChannel>((resolve, reject) =>
    pool.open((channel) => {
      // A spare channel is being opened for which the peer has room.
      pool.open(second.resolve, second.reject);
      resolve(channel);
    }, reject)
  );
  assert(await second.promise !== first);
  assertEquals(pool.queued, 0);
});

Deno.test("ChannelPool: calls find spare channels until three quarters of the slots are in use", async () => {
  const [left, right] = memoryTransports();
  await using session = qmux(left, { maxChannels: 64 });
  await using other = qmux(right);
  other.accept(() => {});
  const pool = sparingPool(session);
  await use(pool, 2);
  let calls = 0;
  while (pool.take() !== undefined) {
    calls++;
    await settled();
  }
  assertEquals(calls, 48);
});

Deno.test("ChannelPool: calls wait while there is no memory for a channel, and each gets one as others close", async () => {
  const [left, right] = memoryTransports();
  await using session = qmux(left, { maxHeldSize: 64 * 1024 });
  await using other = qmux(right);
  other.accept(() => {});
  const pool = new ChannelPool(rawSession(session));
  const channels: RawChannel[] = [];
  const failed: unknown[] = [];
  for (let i = 0; i < 40; i++) {
    pool.open(
      (channel) => channels.push(channel),
      (error) => failed.push(error),
    );
  }
  await settled();
  const atOnce = channels.length;
  assert(atOnce > 0 && atOnce < 40, `${atOnce} at once`);
  for (let closed = 0; closed < 40; closed++) {
    // A channel that closes leaves memory for at least one.
    assert(channels.length >= Math.min(40, atOnce + closed));
    channels[closed]!.discard();
    await settled();
  }
  assertEquals([channels.length, pool.queued, failed], [40, 0, []]);
});

/**
 * A pool with one open channel, which no call has.
 *
 * @param opensWait whether channels may open late, as over QUIC
 */
async function scriptedPool(opensWait = false) {
  const { session, raw } = scriptedSession({ closeTimeout: 1 });
  const pool = new ChannelPool(
    Object.assign(rawSession(session), { opensWait }),
  );
  const first = opened(pool);
  await raw.send(confirm((await raw.expect("open")).sender, 0));
  return { session, raw, pool, open: await first };
}

/** As {@linkcode scriptedPool}, over QUIC, with two calls that wait for channels. */
async function openingPool() {
  const scripted = await scriptedPool(true);
  const { raw, pool } = scripted;
  const waiting = [opened(pool), opened(pool)] as const;
  const senders: number[] = [];
  for (const _ of waiting) senders.push((await raw.expect("open")).sender);
  return { ...scripted, waiting, senders };
}

Deno.test("ChannelPool: a channel that is given back goes to the oldest call whose channel is being opened", async () => {
  const { session, raw, pool, open, waiting, senders } = await openingPool();
  await using _ = session;
  pool.giveBack(open);
  assert(await waiting[0] === open);
  assertEquals(pool.unused, 1, "one more is being opened than calls wait");
  // Whichever opens first is for the call that waits.
  await raw.send(confirm(senders[0]!, 1));
  const second = await waiting[1];
  await raw.send(confirm(senders[1]!, 2));
  await settled();
  assertEquals(pool.unused, 1);
  const third = pool.take();
  assert(third !== undefined && third !== open && third !== second);
  assertEquals(pool.unused, 0);
});

Deno.test("ChannelPool: the refusal of a channel whose call has got another one harms no call", async () => {
  const { session, raw, pool, open, waiting, senders } = await openingPool();
  await using _ = session;
  pool.giveBack(open);
  await waiting[0];
  await raw.send(failure(senders[0]!));
  await settled();
  assertEquals([pool.unused, pool.queued], [0, 0]);
  await raw.send(confirm(senders[1]!, 1));
  assert(await waiting[1] !== open);
});

Deno.test("ChannelPool: a call that is given up while its channel may open late takes none from the others", async () => {
  const { session, raw, pool, open } = await scriptedPool(true);
  await using _ = session;
  const outcomes: unknown[] = [];
  const call = pool.open(
    () => outcomes.push("opened"),
    (error) => outcomes.push(error),
  );
  const { sender } = await raw.expect("open");
  const waiting = opened(pool);
  const reason = new Error("enough");
  call.cancel(reason);
  call.cancel(reason);
  assertEquals(outcomes, [reason]);
  pool.giveBack(open);
  assert(await waiting === open);
  // What was opened for it is a spare channel.
  await raw.send(confirm(sender, 1));
  await settled();
  assertEquals([outcomes.length, pool.unused], [1, 2]);
  assert(pool.take() !== undefined);
});

Deno.test("ChannelPool: a peer that has refused a channel is asked again when one is given back", async () => {
  const { session, raw, pool, open } = await scriptedPool();
  await using _ = session;
  const waiting = [opened(pool), opened(pool), opened(pool)];
  for (const _ of waiting) {
    await raw.send(failure((await raw.expect("open")).sender));
  }
  await settled();
  assertEquals(pool.queued, 3);
  pool.giveBack(open);
  assert(await waiting[0] === open);
  // There may be room for one more channel; the answer to this OPEN tells of another.
  const { sender } = await raw.expect("open");
  assertEquals([raw.pending.length, pool.queued], [0, 1]);
  await raw.send(confirm(sender, 1));
  assert(await waiting[1] !== open);
  pool.giveBack(open);
  assert(await waiting[2] === open);
  assertEquals(pool.queued, 0);
});

Deno.test("ChannelPool: channels that calls have left do not raise the number that is opened ahead of need", async () => {
  using time = new FakeTime();
  await using it = accepted();
  const { pool, session } = it;
  const channels = await Promise.all(
    Array.from({ length: 190 }, () => opened(pool)),
  );
  await settled();
  for (const channel of channels) pool.giveBack(channel);
  for (let i = 0; i < 2; i++) {
    time.tick(1_000);
    await settled();
  }
  const { slots } = session.usage;
  assert(slots > 40 && slots <= 100, `${slots} are left`);
  const taken = pool.take()!;
  await settled();
  assertEquals(session.usage.slots, slots, "no other one is opened");
  await taken.close();
});

Deno.test("ChannelPool: a channel that the peer has ended, but not closed, counts as unused", async () => {
  const { session, raw, pool, open } = await scriptedPool();
  await using _ = session;
  pool.giveBack(open);
  await raw.send(eof(0));
  await settled();
  assertEquals([open.ended, pool.unused, session.usage.slots], [true, 1, 1]);
  await raw.send(close(0));
  await settled();
  assertEquals(pool.unused, 0);
});

Deno.test("ChannelPool: nested calls that the peer has refused are not made again before there may be room", async () => {
  const { session, raw, pool, open } = await scriptedPool();
  await using _ = session;
  const failed: unknown[] = [];
  const channels: RawChannel[] = [];
  for (let i = 0; i < 3; i++) {
    pool.open(
      (channel) => channels.push(channel),
      (error) => failed.push(error),
      0,
      true,
    );
  }
  const senders: number[] = [];
  for (let i = 0; i < 3; i++) senders.push((await raw.expect("open")).sender);
  for (const sender of senders) {
    await raw.send(failure(sender));
    await settled();
  }
  assertEquals([raw.pending, pool.queued, failed], [[], 3, []]);
  open.discard();
  await raw.send(close(0));
  await settled();
  const frames = raw.pending.map(({ type }) => type);
  assertEquals(frames.filter((type) => type === "open").length, 1);
  assertEquals([pool.queued, channels.length], [2, 0]);
});

Deno.test("ChannelPool: a channel that the peer has closed with unread bytes counts as unused until it is discarded", async () => {
  const { session, raw, pool, open } = await scriptedPool();
  await using _ = session;
  pool.giveBack(open);
  await raw.send(data(0, "stray"), close(0));
  await settled();
  assertEquals(pool.unused, session.usage.slots);
  assertEquals(pool.take(), undefined);
  await settled();
  assertEquals([pool.unused, session.usage.slots], [0, 0]);
});
