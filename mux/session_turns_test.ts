/** That a session lets the event loop turn, whatever its transport does. */
import { assert, assertEquals, assertLess } from "@std/assert";
import { test } from "../tests/support/harness.ts";
import { adjust, close, concat, data, open } from "../tests/support/wire.ts";
import { turn, within } from "../tests/support/within.ts";
import type { RawChannel } from "./raw.ts";
import { nextPass } from "./flow/turns.ts";
import { qmux, QmuxSession } from "./session.ts";
import type { Transport } from "./types.ts";

/** Reads after which a transport ends: a loop that never turns must not hang. */
const MAX_READS = 200_000;

/**
 * A transport that is never waited for: there are always more of these bytes to
 * read, and a write is done at once.
 */
class TirelessTransport implements Transport {
  readonly #first: Uint8Array[];
  readonly #bytes: Uint8Array;
  reads = 0;
  writes = 0;
  #closed = false;

  constructor(first: Uint8Array[], bytes: Uint8Array) {
    this.#first = first;
    this.#bytes = bytes;
  }

  read(): Promise<Uint8Array | null> {
    const over = this.#closed || ++this.reads > MAX_READS;
    return Promise.resolve(over ? null : this.#first.shift() ?? this.#bytes);
  }

  write(): Promise<void> {
    this.writes++;
    return Promise.resolve();
  }

  closeWrite(): Promise<void> {
    this.#closed = true;
    return Promise.resolve();
  }

  close(): void {
    this.#closed = true;
  }
}

const FLOODS: Record<string, Uint8Array> = {
  "DATA of one byte": data(0, "x"),
  "empty DATA": data(0, ""),
  "WINDOW_ADJUST": adjust(0, 0),
  "OPEN and CLOSE": close(0),
};

for (const [what, frame] of Object.entries(FLOODS)) {
  test(`qmux: the event loop turns while a transport has ever more ${what}`, async (t) => {
    const bytes = concat(...Array.from({ length: 100 }, () => frame));
    const transport = new TirelessTransport([open(0), close(0)], bytes);
    const session = t.watch(
      qmux(transport, { maxIdleFrames: Number.MAX_SAFE_INTEGER }),
    );
    session.accept(() => {});
    for (let i = 0; i < 10; i++) await turn();
    assert(transport.reads > 2, "the session reads");
    assertLess(transport.reads, MAX_READS);
  });
}

test("qmux: work is timed if a large message follows a small one", async (t) => {
  const flood = adjust(0, 0);
  const transport = new TirelessTransport([open(0), close(0)], flood);
  const large = concat(...Array.from({ length: 200 }, () => flood));
  let isRead = false;
  const divided = Object.assign(transport, {
    more() {
      isRead = !isRead;
      return isRead ? large : undefined;
    },
  });
  // Whatever is done takes longer than a turn may.
  let now = 0;
  const session = t.watch(
    new QmuxSession(
      divided,
      { maxIdleFrames: Number.MAX_SAFE_INTEGER },
      () => now += 5,
    ),
  );
  session.accept(() => {});
  let passes = 0;
  for (; passes < 10; passes++) await nextPass();
  assertLess(transport.reads, 5 * passes, "reads in ten turns");
});

test("qmux: the event loop turns while a program sends small values that leave at once", async (t) => {
  const transport = new TirelessTransport([open(0)], adjust(0, 1_000));
  const session = t.watch(
    qmux(transport, { maxIdleFrames: Number.MAX_SAFE_INTEGER }),
  );
  const [channel] = await within(
    new Promise<[RawChannel]>((resolve) =>
      session.accept((channel) => resolve([channel as RawChannel]))
    ),
    "a channel",
  );
  let over = false;
  setTimeout(() => over = true, 0);
  let sent = 0;
  while (!over && sent < MAX_READS) {
    await channel.send(Uint8Array.of(sent++));
  }
  assertLess(sent, MAX_READS);
  await channel.close();
});

test("qmux: a chunk with many frames takes several turns, and every frame counts", async (t) => {
  const count = 20_000;
  const { session, raw } = t.script({
    maxHeldSize: 2 ** 40,
    maxChannels: count,
  });
  let accepted = 0, turns = 0;
  const turnsOfAccepting = new Set<number>();
  session.accept(() => {
    accepted++;
    turnsOfAccepting.add(turns);
  });
  const sending = raw.send(
    ...Array.from({ length: count }, (_, id) => open(id)),
  );
  let over = false;
  const counting = (async () => {
    for (; !over; turns++) await nextPass();
  })();
  await sending;
  over = true;
  await counting;
  assertEquals(accepted, count);
  assert(turnsOfAccepting.size > 1, `${turnsOfAccepting.size} turns`);
  await t.closeChannels();
});

test("qmux: readers of several large values have a turn each", async (t) => {
  const size = 1_000_000;
  const { session, raw } = t.script({ initialWindowSize: 2 * size });
  const channels: RawChannel[] = [];
  session.accept((channel) => channels.push(channel as RawChannel));
  await raw.send(...[0, 1, 2].map((id) => open(id)));
  const ids = channels.map(({ id }) => id);
  for (const id of ids) await raw.send(data(id, new Uint8Array(size)));
  // The last bytes of all three arrive at once.
  const turns: number[] = [];
  let turnsSoFar = 0;
  for (const channel of channels) {
    // A block at a time: nothing is left, so the bytes that follow wake the reader.
    for (let piece; (piece = channel.peek()) !== undefined;) {
      channel.consume(piece.length);
    }
    channel.whenReadable(() => turns.push(turnsSoFar));
  }
  const sending = raw.send(
    ...ids.map((id) => data(id, new Uint8Array(size))),
  );
  for (; turns.length < 3; turnsSoFar++) await nextPass();
  await sending;
  assertEquals(turns.length, 3);
  assertLess(turns[0]!, turns[2]!);
  for (const channel of channels) assertEquals(channel.buffered, size);
  await t.closeChannels();
});
