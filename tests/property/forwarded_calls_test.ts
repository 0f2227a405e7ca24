/**
 * Calls that one peer forwards for several clients, to a target with few channels.
 * Some are too late, some have a header that gets too long, and some are given up:
 * each gets its answer, and every channel and byte comes back. A seed repeats what
 * is done, but not the pauses of the transports, which keep real time.
 *
 * @module
 */
import { forward, handlerFrom, Peer } from "@qtalk/qtalk";
import { assert, assertEquals, assertGreater } from "@std/assert";
import type { QmuxChannel } from "../../mux/channel/channel.ts";
import { memoryTransports, qmux, type Session } from "../../mux/mod.ts";
import { channelPool } from "../../rpc/client/pool_key.ts";
import { type Harness, test } from "../support/harness.ts";
import { forSeeds, type Random, runsAllSeeds } from "../support/random.ts";
import { concat, parseValues, values } from "../support/wire.ts";
import { turn, until } from "../support/within.ts";

/** The codes of answers that a call may get here in place of a value. */
const REFUSALS = ["too-large", "deadline-exceeded", "busy"];

/** What the header of an answer says. */
interface Answer {
  readonly Error?: string | null;
  readonly Q?: { readonly code?: string };
}

/** A call that is made byte by byte, so that its header may be anything. */
class RawCall {
  readonly channel: QmuxChannel;
  readonly #arg: string;
  /** Whether the header gets too long. */
  readonly #isLong: boolean;
  /** Whether its caller has left before it got an answer. */
  hasLeft = false;
  #received = new Uint8Array(0);

  constructor(
    channel: QmuxChannel,
    header: { S: string; Q: unknown },
    arg: string,
  ) {
    this.channel = channel;
    this.#isLong = header.S.length > 1_000;
    this.#arg = arg;
    void channel.send(values(header, [arg]))?.catch(() => {});
    this.#read();
  }

  #read(): void {
    this.channel.whenReadable(() => {
      const bytes = this.channel.take();
      if (bytes !== undefined) this.#received = concat(this.#received, bytes);
      if (!this.channel.ended || bytes !== undefined) this.#read();
    });
  }

  /** Gives the call up, with or without EOF. */
  leave(withEof: boolean): void {
    if (this.channel.ended) return;
    this.hasLeft = true;
    if (withEof) this.channel.discardWithEof();
    else this.channel.discard();
  }

  /** Says that nothing follows the argument. */
  end(): void {
    this.channel.closeWrite();
  }

  /** Checks the answer; returns the code of a refusal. */
  outcome(): string | undefined {
    const [header, value, ...rest] = parseValues(this.#received);
    assertEquals(rest, [], "more than one answer");
    const { Error: error, Q } = header as Answer;
    if (error === null || error === undefined) {
      assertEquals(value, this.#arg, "the answer of another call");
      return undefined;
    }
    // Callers that are not extended get the text alone.
    const said = this.#isLong ? "too-large" : error.split(":")[0]!;
    const code = Q?.code ?? said;
    assert(REFUSALS.includes(code), `${error.slice(0, 200)} (${code})`);
    return code;
  }
}

/** Clients – fronts | middle – backend. */
class World {
  readonly clients: Session[] = [];
  readonly fronts: Peer[] = [];
  readonly middle: Peer;
  readonly backend: Peer;
  readonly calls: RawCall[] = [];
  /** What lets the handlers at the backend answer. */
  gates: (() => void)[] = [];

  constructor(random: Random, t: Harness) {
    const [near, far] = memoryTransports();
    const onError = () => {};
    const maxChannels = random.pick([3, 8, 2_048]);
    this.middle = new Peer(qmux(near), { onError });
    this.backend = new Peer(
      qmux(far, { maxChannels, maxIdleFrames: 1_000 }),
      {
        onError,
        maxConcurrentCalls: random.pick([2, 100]),
        maxQueuedCalls: random.pick([0, 100]),
        handler: handlerFrom({
          echo: (text: string) => text,
          wait: async (text: string) => {
            await new Promise<void>((resolve) => this.gates.push(resolve));
            return text;
          },
        }),
      },
    );
    const maxConcurrentCalls = random.pick([2, 16, 1_024]);
    const handler = forward(this.middle, { maxConcurrentCalls });
    for (let i = random.int(1, 3); i > 0; i--) {
      const [near, far] = memoryTransports();
      this.clients.push(qmux(near));
      this.fronts.push(new Peer(qmux(far), { handler, onError }));
      t.watchBoth(this.clients.at(-1)!, this.fronts.at(-1)!);
    }
    t.watchBoth(this.middle, this.backend);
  }

  async call(random: Random): Promise<void> {
    const name = random.pick(["echo", "wait"]);
    // In the header that is forwarded, it is said twice.
    const S = random.chance(0.1) ? "/" + "x".repeat(40_000) : `/${name}`;
    const isLate = random.chance(0.4);
    const Q = random.chance(0.8)
      ? { v: 1, ...(isLate && { deadline: random.pick([100, 300]) }) }
      : undefined;
    const client = random.pick(this.clients);
    const channel = await client.open() as QmuxChannel;
    const arg = `${this.calls.length}`.repeat(random.pick([1, 1, 2_000]));
    this.calls.push(new RawCall(channel, { S, Q }, arg));
  }

  async step(random: Random, tick: (ms: number) => void): Promise<void> {
    const dice = random.next();
    if (dice < 0.3 || this.calls.length === 0) {
      for (let i = random.pick([1, 1, 10]); i > 0; i--) await this.call(random);
    } else if (dice < 0.4) random.pick(this.calls).leave(random.chance(0.5));
    else if (dice < 0.5) random.pick(this.calls).end();
    else if (dice < 0.65) {
      const at = random.int(0, this.gates.length - 1);
      this.gates.splice(at, 1)[0]?.();
    } else if (dice < 0.75) tick(random.pick([50, 200]));
    else if (dice < 0.9) await turn();
    else await Promise.resolve();
  }

  /** Every call gets its answer, or is forgotten. */
  async settle(tick: (ms: number) => void): Promise<void> {
    await until(() => {
      // Calls whose callers have left hold their place for a while.
      tick(100);
      for (const open of this.gates.splice(0)) open();
      return this.calls.every(({ channel }) => channel.ended);
    }, "an answer to every call");
    for (const { channel } of this.calls) channel.discard();
    await until(() => {
      tick(100);
      for (const open of this.gates.splice(0)) open();
      const pool = this.middle[channelPool];
      return this.middle.session.usage.slots === pool.unused &&
        pool.queued === 0 && this.backend.stats.calls.answering === 0 &&
        this.clients.every(({ usage }) => usage.slots === 0) &&
        this.fronts.every(({ session }) => session.usage.slots === 0);
    }, "the end of every channel with a call");
  }

  /** Nothing is left, not even a channel without a call. */
  async finish(tick: (ms: number) => void): Promise<void> {
    assertEquals(await this.middle.call("echo", ["still"]), "still");
    const sessions = [
      ...this.clients,
      ...this.fronts.map(({ session }) => session),
      this.middle.session,
      this.backend.session,
    ];
    // The number of spare channels is halved each second.
    for (let second = 0; second < 30; second++) {
      tick(1_000);
      for (let i = 0; i < 5; i++) await turn();
    }
    for (const { usage } of sessions) {
      assertEquals([usage.channels, usage.slots], [0, 0]);
      const { windows, values, channels } = usage.held;
      assertEquals([windows, values, channels], [0, 0, 0]);
    }
    for (const { session } of this.fronts) await session.close();
    await this.middle.close();
    await Promise.allSettled([
      ...this.clients.map(({ closed }) => closed),
      this.backend.closed,
    ]);
  }
}

test("random forwarded calls: each has its answer, and every channel comes back, those of calls that are not made as well", async (t) => {
  const outcomes = new Map<string | undefined, number>();
  const time = t.time();
  const tick = (ms: number) => time.tick(ms);
  const run = () =>
    forSeeds(15, async (random) => {
      const world = new World(random, t);
      for (let i = random.int(10, 150); i > 0; i--) {
        await world.step(random, tick);
      }
      await world.settle(tick);
      for (const call of world.calls) {
        if (call.hasLeft) continue;
        const outcome = call.outcome();
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      }
      await world.finish(tick);
    });
  await run();
  // The test is no test if nothing happens in it.
  if (!runsAllSeeds()) return;
  const expected = [undefined, ...REFUSALS];
  // Rarely, no peer takes so few calls that it is busy.
  for (let more = 3; more > 0; more--) {
    if (expected.some((outcome) => !outcomes.has(outcome))) await run();
  }
  for (const outcome of expected) {
    assertGreater(outcomes.get(outcome) ?? 0, 0, `no call was ${outcome}`);
  }
});
