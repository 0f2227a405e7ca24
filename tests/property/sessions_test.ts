/**
 * Two sessions do what comes to their minds; a model of a few numbers says what
 * must come out.
 *
 * @module
 */
import {
  assert,
  assertEquals,
  assertGreater,
  assertLessOrEqual,
} from "@std/assert";
import {
  MuxError,
  qmux,
  type Session,
  type SessionOptions,
} from "@qtalk/qtalk";
import type { QmuxChannel } from "../../mux/channel/channel.ts";
import { rawSession } from "../../mux/session.ts";
import { CHANNEL_SIZE } from "../../mux/flow/memory_account.ts";
import {
  type ResolvedSessionOptions,
  resolveOptions,
} from "../../mux/options.ts";
import { memoryTransports } from "../../mux/transport/memory.ts";
import { type Harness, test } from "../support/harness.ts";
import { forSeeds, type Random, runsAllSeeds } from "../support/random.ts";
import { assertUsage } from "../support/usage.ts";
import {
  chopped,
  type Said,
  type Side,
  WireModel,
} from "../support/wire_model.ts";
import { turn, until, within } from "../support/within.ts";

/** The byte at a place of a stream, so that no copy of it has to be kept. */
function byteAt(salt: number, at: number): number {
  return (salt + at * 31 + (at >> 8) * 7) & 0xff;
}

/** One end of a channel, and what the model knows of it. */
class End {
  readonly channel: QmuxChannel;
  readonly #wire: WireModel;
  readonly #side: Side;
  readonly #salt: number;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  /** Whether somebody closed, cancelled or aborted: bytes may then be lost. */
  disturbed = false;
  offered = 0;
  received = 0;
  finished = false;
  /** Whether the reader has nothing more to read, whatever the reason. */
  ended = false;
  /** Whether the reader was given the end of the stream. */
  sawEnd = false;
  /** Whether this end says that its data is complete; undefined if it may. */
  saysEof: boolean | undefined;
  #unsettledWrites = 0;
  #reading = false;
  #readsAll = false;
  /** Everything asked of the streams; each promise must settle. */
  readonly asked: Promise<unknown>[] = [];
  peer!: End;

  constructor(
    channel: QmuxChannel,
    side: Side,
    wire: WireModel,
    salt: number,
  ) {
    this.channel = channel;
    this.#side = side;
    this.#wire = wire;
    this.#salt = salt;
    this.#writer = channel.writable.getWriter();
    this.#reader = channel.readable.getReader();
    this.#writer.closed.catch(() => {});
    this.#reader.closed.catch(() => {});
    void channel.closed;
  }

  #mayFail(promise: Promise<unknown>): void {
    this.asked.push(promise.catch((error) => {
      if (!this.disturbed && !this.peer.disturbed) throw error;
    }));
    this.asked.at(-1)!.catch(() => {});
  }

  write(size: number): void {
    if (this.finished) return;
    const chunk = new Uint8Array(size);
    for (let i = 0; i < size; i++) {
      chunk[i] = byteAt(this.#salt, this.offered + i);
    }
    this.offered += size;
    this.#unsettledWrites++;
    const written = this.#writer.write(chunk);
    written.then(() => this.#unsettledWrites--, () => {});
    this.#mayFail(written);
  }

  /** What this end has said, and what it was told. */
  get said(): Said {
    return this.#wire.said(this.#side, this.channel.id);
  }

  get heard(): Said {
    return this.#wire.heard(this.#side, this.channel.id);
  }

  finish(): void {
    if (this.finished) return;
    this.finished = true;
    this.#mayFail(this.#writer.close());
  }

  /** Reads one chunk, or all from now on; one loop at a time. */
  read(all: boolean): void {
    this.#readsAll ||= all;
    if (this.#reading || this.ended) return;
    this.#reading = true;
    const reading = this.#read();
    reading.catch(() => {});
    this.asked.push(reading);
  }

  async #read(): Promise<void> {
    do {
      const { done, value } = await this.#reader.read();
      if (done) {
        this.ended = this.sawEnd = true;
        break;
      }
      for (const byte of value) {
        const expected = byteAt(this.peer.#salt, this.received);
        assert(byte === expected, `byte ${this.received} is another`);
        this.received++;
      }
    } while (this.#readsAll);
    this.#reading = false;
  }

  disturb(how: "close" | "cancel" | "abort"): void {
    this.disturbed = true;
    // What comes first decides, and the other end may have been first.
    if (this.saysEof === undefined && !this.heard.closed && !this.finished) {
      if (how === "abort") this.saysEof = false;
      if (how === "close" && this.#unsettledWrites === 0) this.saysEof = true;
    }
    if (how === "close") this.asked.push(this.channel.close());
    if (how === "cancel") this.asked.push(this.#reader.cancel());
    if (how === "abort") this.#mayFail(this.#writer.abort(new Error("abort")));
    if (how !== "cancel") this.finished = true;
    if (how !== "abort") this.ended = true;
  }

  /** The session is over: nothing looks complete that is not. */
  checkEnding(): void {
    const { said, heard, channel } = this;
    if (said.ended) assertEquals(said.bytes, this.offered, "EOF is complete");
    if (channel.eofReceived) {
      assert(heard.ended, "EOF was received and not sent");
      if (this.sawEnd && !this.disturbed) {
        assertEquals(this.received, this.peer.offered, "the end is complete");
      }
    } else if (this.sawEnd && !this.disturbed) {
      assert(heard.closed, "a stream that was lost looks complete");
    }
  }

  /** Both ends have closed the channel: what was said has arrived. */
  checkClosed(): void {
    const { said, heard, channel } = this;
    this.checkEnding();
    assertEquals([said.closed, heard.closed], [true, true]);
    assertEquals(channel.eofReceived, heard.ended, "EOF arrives as EOF");
    if (this.saysEof !== undefined) assertEquals(said.ended, this.saysEof);
    if (!this.disturbed && !this.peer.disturbed) assert(said.ended);
  }
}

/** A channel with both its ends. */
interface Link {
  a: End;
  b: End;
  /** Whether nobody disturbs it, so that every byte must arrive. */
  calm: boolean;
}

function anyOptions(random: Random): SessionOptions {
  return {
    initialWindowSize: random.pick([1, 10, 1_000, 5_000, 65_536]),
    maxWindowSize: random.pick([1, 20_000, 1_000_000]),
    maxHeldSize: random.pick([70_000, 1_000_000, 2 ** 25]),
    maxPacketSize: random.pick([9, 100, 3_000, 65_536]),
    maxChannels: random.pick([3, 100]),
    backlog: random.pick([0, 2, 100]),
  };
}

/** Two sessions over a choppy line, with a model that watches it. */
class World {
  readonly random: Random;
  readonly wire = new WireModel();
  readonly options: Record<Side, ResolvedSessionOptions>;
  readonly sessions: Record<Side, Session>;
  readonly links: Link[] = [];
  readonly #cut: () => void | Promise<void>;
  readonly #accepted: Record<Side, Map<number, QmuxChannel>> = {
    a: new Map(),
    b: new Map(),
  };

  constructor(random: Random, t: Harness) {
    this.random = random;
    const [left, right] = memoryTransports();
    this.#cut = () => random.pick([left, right]).close();
    this.options = {
      a: resolveOptions(anyOptions(random)),
      b: resolveOptions(anyOptions(random)),
    };
    this.sessions = {
      a: qmux(
        this.wire.tap("a", chopped(left, random.fork())),
        this.options.a,
      ),
      b: qmux(
        this.wire.tap("b", chopped(right, random.fork())),
        this.options.b,
      ),
    };
    t.watchBoth(this.sessions.a, this.sessions.b);
    for (const side of ["a", "b"] as const) {
      this.sessions[side].accept((channel) => {
        this.#accepted[side].set(channel.id, channel as QmuxChannel);
      });
    }
  }

  async open(side: Side): Promise<void> {
    let ours: QmuxChannel;
    const session = this.sessions[side];
    const { account, channels: { openable } } = rawSession(session);
    try {
      ours = await session.open() as QmuxChannel;
      assert(openable > 0, "a channel is opened beyond the limit");
    } catch (error) {
      if (!(error instanceof MuxError)) throw error;
      if (error.code === "limit-exceeded") {
        assert(openable <= 0 || !account.hasChannel, error.message);
      } else {
        assertEquals(error.code, "open-refused");
        assert(openable > 0, "a limit is reached, but the peer is asked");
      }
      return;
    }
    const there = side === "a" ? "b" : "a";
    const theirs = this.#accepted[there].get(ours.remoteId)!;
    this.#accepted[there].delete(ours.remoteId);
    const { random } = this;
    const own = new End(ours, side, this.wire, random.int(0, 255));
    const far = new End(theirs, there, this.wire, random.int(0, 255));
    own.peer = far;
    far.peer = own;
    const calm = random.chance(0.5);
    this.links.push(
      side === "a" ? { a: own, b: far, calm } : { a: far, b: own, calm },
    );
  }

  /** Does one thing. */
  async step(): Promise<void> {
    const { random, links } = this;
    if (links.length === 0 || random.chance(0.08)) {
      return await this.open(random.pick(["a", "b"]));
    }
    this.checkAccounts();
    const link = random.pick(links);
    const end = random.pick([link.a, link.b]);
    const dice = random.next();
    if (dice < 0.5) {
      // A window of one byte makes a round trip of each: a few will do.
      const [there, { channel }] = end === link.a
        ? ["b", link.b] as const
        : ["a", link.a] as const;
      const window = this.wire.initialWindow(there, channel.id);
      const size = random.pick([0, 1, 8, 300, 4_000]);
      end.write(Math.min(size, 10 * window));
    } else if (dice < 0.75) end.read(false);
    else if (dice < 0.82) end.read(true);
    else if (dice < 0.88) end.finish();
    else if (dice < 0.92 && !link.calm) {
      end.disturb(random.pick(["close", "cancel", "abort"]));
    } else if (dice < 0.97) await turn();
    else await Promise.resolve();
  }

  /** All that calm channels were given has been read, and credit is back. */
  async settle(): Promise<void> {
    const calm = this.links.filter((link) => link.calm);
    const ends = calm.flatMap(({ a, b }) => [a, b]);
    for (const end of ends) end.read(true);
    await until(() => !ends.some((end) => end.received < end.peer.offered));
    const open = calm.flatMap(({ a, b }) =>
      [["a", a] as const, ["b", b] as const]
        .filter(([, end]) => !end.peer.finished)
    );
    const granted = ([side, end]: typeof open[number]) =>
      this.wire.granted(side, end.channel.id);
    // However long the line holds it up: `within` bounds the wait.
    await until(() =>
      !open.some((it) =>
        granted(it) * 2 <= this.wire.initialWindow(it[0], it[1].channel.id)
      )
    );
    for (const it of open) {
      const [side, { channel }] = it;
      assertLessOrEqual(granted(it), this.options[side].maxWindowSize);
      assertEquals([channel.buffered, channel.heldBytes], [0, 0]);
    }
    for (const side of ["a", "b"] as const) {
      const all = open.filter(([it]) => it === side)
        .reduce((sum, it) => sum + granted(it), 0);
      const { windows } = this.sessions[side].usage.held;
      assertLessOrEqual(all, windows, "what is granted counts as held");
    }
  }

  /** The accounts keep to their limits, whatever happens. */
  checkAccounts(): void {
    for (const side of ["a", "b"] as const) {
      const session = this.sessions[side];
      const { channels, slots, held } = session.usage;
      const { maxHeldSize, maxChannels } = this.options[side];
      const { outgoingSlots } = rawSession(session).channels;
      assertLessOrEqual(outgoingSlots, maxChannels);
      assertLessOrEqual(slots - outgoingSlots, maxChannels);
      const surely = this.links.filter(({ calm, a, b }) =>
        calm && !(a.finished && b.finished)
      ).length;
      assertLessOrEqual(
        surely,
        Math.min(slots, channels),
        "open channels count",
      );
      assertEquals(held.channels, channels * CHANNEL_SIZE);
      // Channels that this side opens may also take the first half of the reserve.
      const most = outgoingSlots > 0 ? 15 / 16 : 3 / 4;
      assertLessOrEqual(held.windows + held.channels, maxHeldSize * most);
      assertEquals(held.total, held.windows + held.channels);
    }
  }

  /** Brings every channel to its end, and checks what came of it. */
  async finish(): Promise<void> {
    for (const { a, b, calm } of this.links) {
      for (const end of [a, b]) {
        if (!calm && this.random.chance(0.3)) end.disturb("close");
        end.finish();
        end.read(true);
      }
    }
    for (const { a, b } of this.links) {
      await Promise.all([...a.asked, ...b.asked]);
      // Half a disturbance may leave a half open.
      if (a.disturbed || b.disturbed) {
        await Promise.all([a.channel.close(), b.channel.close()]);
      }
      await Promise.all([a.channel.closed, b.channel.closed]);
      for (const end of [a, b]) {
        end.checkClosed();
        assertLessOrEqual(end.received, end.peer.offered);
        if (a.disturbed || b.disturbed) continue;
        assertEquals(end.received, end.peer.offered);
        assertEquals(end.ended, true);
      }
    }
    const { a, b } = this.sessions;
    assertUsage(a, { channels: 0, slots: 0 });
    assertUsage(b, { channels: 0, slots: 0 });
    assertEquals([a.usage.held.total, b.usage.held.total], [0, 0]);
    assertEquals(this.wire.halfClosed, 0);
    await Promise.all([a.close(), b.closed]);
  }

  /** Cuts the line, wherever the sessions are, and checks what came of it. */
  async cut(): Promise<void> {
    for (const { a, b } of this.links) {
      for (const end of [a, b]) if (this.random.chance(0.7)) end.read(true);
    }
    for (let i = this.random.int(0, 3); i > 0; i--) await turn();
    await this.#cut();
    const { a, b } = this.sessions;
    await Promise.allSettled([a.closed, b.closed]);
    for (const { a, b } of this.links) {
      await Promise.allSettled([...a.asked, ...b.asked]);
      for (const end of [a, b]) end.checkEnding();
      // What has arrived can still be read, and is held until then.
      for (const end of [a, b]) end.read(true);
      await Promise.allSettled([...a.asked, ...b.asked]);
      for (const end of [a, b]) end.checkEnding();
    }
    for (const session of [a, b]) {
      assertUsage(session, { channels: 0, slots: 0 });
      assertEquals(session.usage.held.total, 0);
    }
  }
}

test("random sessions: bytes arrive in order, credit, slots and memory come back, and nothing hangs", async (t) => {
  let bytes = 0;
  await forSeeds(60, async (random) => {
    const world = new World(random, t);
    const run = async () => {
      for (let i = random.int(20, 200); i > 0; i--) await world.step();
      await world.settle();
      for (let i = random.int(0, 50); i > 0; i--) await world.step();
      await world.finish();
    };
    await within(run(), "two sessions to come to an end");
    for (const { a, b } of world.links) bytes += a.received + b.received;
  });
  // The test is no test if nothing happens in it.
  if (runsAllSeeds()) assertGreater(bytes, 100_000);
});

test("random sessions: when the line is cut nothing looks complete that is not, and all memory comes back", async (t) => {
  let cutStreams = 0;
  await forSeeds(60, async (random) => {
    const world = new World(random, t);
    const run = async () => {
      for (let i = random.int(20, 200); i > 0; i--) await world.step();
      await world.cut();
    };
    await within(run(), "two sessions to notice that the line is cut");
    for (const { a, b } of world.links) {
      for (const { ended, channel } of [a, b]) {
        if (!ended && channel.failure !== undefined) cutStreams++;
      }
    }
  });
  if (runsAllSeeds()) assertGreater(cutStreams, 10);
});
