/**
 * What a peer can make a session hold. Counted twice: as `heldBytes` says, and
 * as the engine counts buffers that are alive, which keeps the first honest.
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
  type Channel,
  DEFAULTS,
  dialSession,
  listenSession,
  memoryTransports,
  Session,
  type SessionOptions,
} from "@qtalk/qtalk";
import type { QmuxChannel } from "../../mux/channel.ts";
import { ReceiveBuffer } from "../../mux/receive_buffer.ts";
import { liveBuffers, report } from "../support/memory.ts";
import { type RawPeer, rawSession } from "../support/raw_peer.ts";
import { forSeeds } from "../support/random.ts";
import { close, concat, data, open } from "../support/wire.ts";
import { turn, watch, within } from "../support/within.ts";

const KIB = 1024, MIB = 1024 * KIB;
/** What the contract allows beside the windows. */
const SLACK = 4 * MIB;

/** Accepts every channel and touches none. */
function keep(session: Session): QmuxChannel[] {
  const kept: QmuxChannel[] = [];
  session.accept((channel) => kept.push(channel as QmuxChannel));
  return kept;
}

function held(channels: Iterable<QmuxChannel>): number {
  let sum = 0;
  for (const channel of channels) sum += channel.heldBytes;
  return sum;
}

/** Everything sent so far has arrived when this resolves. */
async function settled(session: Session): Promise<void> {
  for (let i = 0; i < 3; i++) {
    await (await session.open()).close();
    await turn();
  }
}

/** Opens that many channels from the raw side, numbered from 0. */
async function openRaw(raw: RawPeer, count: number): Promise<number[]> {
  for (let i = 0; i < count; i++) await raw.send(open(i));
  const ids: number[] = [];
  for (let i = 0; i < count; i++) {
    ids.push((await raw.expect("open-confirm")).sender);
  }
  return ids;
}

Deno.test("heldBytes is what the buffers cost that a channel keeps alive", async () => {
  await forSeeds(3, async (random) => {
    const before = await liveBuffers();
    const buffers: ReceiveBuffer[] = [];
    for (let i = 0; i < 64; i++) {
      const buffer = new ReceiveBuffer();
      const pieceSize = random.pick([1, 9, 1_000, 20_000]);
      for (let turn = 0; turn < 50; turn++) {
        for (let n = random.int(1, 40); n > 0; n--) {
          buffer.borrow(new Uint8Array(random.int(1, pieceSize)));
        }
        buffer.settle();
        if (random.chance(0.2)) buffer.take();
        if (random.chance(0.5)) {
          buffer.skip(random.int(0, buffer.peek()?.length ?? 0));
        }
      }
      buffers.push(buffer);
    }
    const alive = await liveBuffers() - before;
    const counted = buffers.reduce((sum, b) => sum + b.heldBytes, 0);
    assert(
      Math.abs(alive - counted) < 0.02 * counted,
      `heldBytes says ${counted}, the engine ${alive}`,
    );
  });
});

/** Two sessions, over memory and over a socket. */
const PAIRS: Record<
  string,
  (options: SessionOptions) => Promise<[Session, Session, AsyncDisposable]>
> = {
  memory(options) {
    const [left, right] = memoryTransports();
    const pair = [new Session(left, options), new Session(right, options)];
    return Promise.resolve([pair[0]!, pair[1]!, {
      async [Symbol.asyncDispose]() {
        await Promise.all(pair.map((session) => session.close()));
      },
    }]);
  },
  async TCP(session) {
    const listener = await listenSession("tcp://127.0.0.1:0", { session });
    const accepted = listener[Symbol.asyncIterator]().next();
    const dialled = await dialSession(listener.addr, { session });
    return [dialled, (await accepted).value!, {
      async [Symbol.asyncDispose]() {
        await dialled.close();
        await listener.close();
      },
    }];
  },
};

for (const [over, pair] of Object.entries(PAIRS)) {
  Deno.test(`1 GiB offered over ${over} to a reader that takes nothing waits in write(), and a window is held`, async () => {
    const [sender, receiver, ending] = await pair({});
    await using _ = ending;
    const kept = keep(receiver);
    const before = await liveBuffers();
    const writer = (await sender.open()).writable.getWriter();
    // The same MiB each time: what is offered costs this test nothing.
    const chunk = new Uint8Array(MIB);
    const writes = Array.from({ length: 1_024 }, () => writer.write(chunk));
    const watched = writes.map(watch);
    await within(settled(sender), "round trips beside the stuck channel");

    assertEquals(kept[0]!.buffered, DEFAULTS.initialWindow);
    assertLessOrEqual(kept[0]!.heldBytes, DEFAULTS.initialWindow);
    const alive = await liveBuffers() - before;
    assertLessOrEqual(alive, DEFAULTS.initialWindow + SLACK);
    assertEquals(watched.filter((w) => w.state !== "pending"), []);
    report(`1 GiB offered over ${over}`, alive);

    await sender.close();
    await within(Promise.allSettled(writes), "the writes, by then rejected");
    assertEquals(watched.every((w) => w.state === "rejected"), true);
    writer.closed.catch(() => {});
  });

  Deno.test(`a window that a fast reader over ${over} made grow holds no more than its maximum once the reader stops`, async () => {
    const [sender, receiver, ending] = await pair({});
    await using _ = ending;
    const kept = keep(receiver);
    const writer = (await sender.open()).writable.getWriter();
    const chunk = new Uint8Array(MIB);
    const write = async () => {
      for (let i = 0; i < 1_024; i++) await writer.write(chunk);
    };
    const writing = watch(write());
    await within(settled(sender), "the channel to be accepted");
    const before = await liveBuffers();
    const reader = kept[0]!.readable.getReader();
    for (let taken = 0; taken < 128 * MIB;) {
      taken += (await within(reader.read(), "data")).value!.length;
    }
    await within(settled(sender), "round trips beside the stuck channel");

    const alive = await liveBuffers() - before;
    assertLessOrEqual(kept[0]!.buffered, DEFAULTS.maxWindow);
    assertLessOrEqual(kept[0]!.heldBytes, DEFAULTS.maxWindow);
    assertLessOrEqual(alive, DEFAULTS.maxWindow + SLACK);
    assertEquals(writing.state, "pending");
    report(`a grown window over ${over}`, alive);
    await sender.close();
    reader.closed.catch(() => {});
    writer.closed.catch(() => {});
  });
}

/**
 * Sizes of DATA payloads, in turn, how many frames share one write, and the
 * window that they fill; millions of frames would prove no more.
 */
interface Shape {
  sizes: number[];
  frames: number;
  window: number;
}

const SHAPES: Record<string, Shape> = {
  "full packets": { sizes: [64 * KIB], frames: 1, window: 256 * KIB },
  "1 byte, a write each": { sizes: [1], frames: 1, window: KIB },
  "1 byte, many a write": { sizes: [1], frames: 500, window: 12 * KIB },
  "9 bytes, many a write": { sizes: [9], frames: 500, window: 64 * KIB },
  // Right behind a block that has almost enough room.
  "a byte, then 16 KiB": { sizes: [1, 16 * KIB], frames: 1, window: 64 * KIB },
  "a byte, then 4 KiB": { sizes: [1, 4 * KIB], frames: 1, window: 64 * KIB },
};

/** DATA of these sizes that uses up a window exactly. */
function* fill(
  ids: number[],
  { sizes, frames, window }: Shape,
): Generator<Uint8Array> {
  for (const id of ids) {
    const prepared = new Map(
      sizes.map((size) => [size, data(id, new Uint8Array(size))]),
    );
    let batch: Uint8Array[] = [];
    for (let sent = 0, i = 0; sent < window; i++) {
      const size = Math.min(sizes[i % sizes.length]!, window - sent);
      batch.push(prepared.get(size) ?? data(id, new Uint8Array(size)));
      sent += size;
      if (batch.length === frames || sent === window) {
        yield concat(...batch);
        batch = [];
      }
    }
  }
}

for (const [name, shape] of Object.entries(SHAPES)) {
  Deno.test(`100 channels that nobody reads stay within the stated bound: ${name}`, async () => {
    const { window: initialWindow } = shape;
    const options = { maxChannels: 100, initialWindow, windowBudget: 0 };
    const bound = 100 * initialWindow;
    const { session, raw } = rawSession(options);
    const kept = keep(session);
    const ids = await openRaw(raw, 100);
    const before = await liveBuffers();
    await within(
      raw.sendEach(fill(ids, shape)),
      "the session to read what nobody takes",
    );
    assertEquals(kept.length, 100);
    for (const channel of kept) assertEquals(channel.buffered, initialWindow);
    assertLessOrEqual(held(kept), bound);
    const alive = await liveBuffers() - before;
    assertLessOrEqual(alive, bound + SLACK);
    report(`100 channels, ${name}`, alive);
    await session.close();
    await raw.close();
  });
}

Deno.test("100 channels whose windows grew share the budget when their readers stop", async () => {
  const options: SessionOptions = {
    maxChannels: 100,
    initialWindow: 16 * KIB,
    maxWindow: MIB,
    windowBudget: 4 * MIB,
  };
  const bound = 100 * 16 * KIB + 4 * MIB;
  const [sender, receiver, ending] = await PAIRS.memory!(options);
  await using _ = ending;
  const kept = keep(receiver);
  const chunk = new Uint8Array(256 * KIB);
  const writers = await Promise.all(Array.from({ length: 99 }, async () => {
    const writer = (await sender.open()).writable.getWriter();
    const write = async () => {
      for (;;) await writer.write(chunk);
    };
    return watch(write());
  }));
  await within(settled(sender), "the channels to be accepted");
  const before = await liveBuffers();
  await Promise.all(
    kept.slice(0, 99).map(async (channel) => {
      const reader = channel.readable.getReader();
      for (let taken = 0; taken < MIB;) {
        taken += (await within(reader.read(), "data")).value!.length;
      }
      reader.releaseLock();
    }),
  );
  await within(settled(sender), "round trips beside the stuck channels");
  assertEquals(writers.filter((w) => w.state !== "pending"), []);
  assertLessOrEqual(held(kept), bound);
  const alive = await liveBuffers() - before;
  assertLessOrEqual(alive, bound + SLACK);
  report("99 grown windows", alive);
});

Deno.test("a channel holds no more than its window, however much of what arrived was read", async () => {
  await forSeeds(40, async (random) => {
    const initialWindow = random.pick([100, 5_000, 64 * KIB]);
    const { session, raw } = rawSession({ initialWindow, windowBudget: 0 });
    const kept = keep(session);
    const [id] = await openRaw(raw, 1);
    const [channel] = kept as [QmuxChannel];
    let credit = initialWindow, sent = 0, taken = 0;
    for (let i = 0; i < 200; i++) {
      for (const frame of raw.takePending()) {
        if (frame.type === "window-adjust") credit += frame.bytes;
      }
      if (random.chance(0.6) && credit > 0) {
        // Up to all that it may, in one write or in small pieces.
        const bytes = random.bytes(random.pick([1, 40, credit]) % (credit + 1));
        const pieces = random.chance(0.5) ? [bytes] : random.split(bytes, 99);
        await raw.sendEach(pieces.map((piece) => data(id!, piece)));
        credit -= bytes.length;
        sent += bytes.length;
      } else if (random.chance(0.2)) {
        taken += channel.take()?.length ?? 0;
      } else {
        const size = random.int(0, channel.peek()?.length ?? 0);
        channel.skip(size);
        taken += size;
      }
      await Promise.resolve();
      assertLessOrEqual(channel.heldBytes, initialWindow);
      assertEquals(channel.buffered, sent - taken);
    }
    // No credit is lost on the way: once all is read, half a window is there.
    for (let chunk; (chunk = channel.take()) !== undefined;) {
      taken += chunk.length;
    }
    for (let i = 0; i < 100 && 2 * credit <= initialWindow; i++) {
      await turn();
      for (const frame of raw.takePending()) {
        if (frame.type === "window-adjust") credit += frame.bytes;
      }
    }
    assertEquals([taken, channel.heldBytes], [sent, 0]);
    assertGreater(2 * credit, initialWindow);
    assertLessOrEqual(credit, initialWindow);
    await raw.end();
    await session.closed;
  });
});

Deno.test("a flood of empty DATA frames is held nowhere", async () => {
  const { session, raw } = rawSession();
  const kept = keep(session);
  const [id] = await openRaw(raw, 1);
  const empty = concat(...Array.from({ length: 10_000 }, () => data(id!, "")));
  await raw.send(empty);
  const before = await liveBuffers();
  const heap = Deno.memoryUsage().heapUsed;
  for (let i = 0; i < 20; i++) await within(raw.send(empty), "empty frames");
  assertEquals(kept[0]!.buffered, 0);
  assertEquals(kept[0]!.heldBytes, 0);
  assertLessOrEqual(await liveBuffers() - before, 512 * KIB);
  assertLessOrEqual(Deno.memoryUsage().heapUsed - heap, MIB);
  assertEquals(raw.pending, []);
  await session.close();
  await raw.close();
});

Deno.test("channels closed by the peer with bytes unread count until the bytes are gone", async () => {
  const options = { maxChannels: 8, initialWindow: 16 * KIB, windowBudget: 0 };
  const { session, raw } = rawSession(options);
  const kept = keep(session);
  let refused = 0;
  // Each costs the peer one window, and costs us one until somebody reads it.
  for (let i = 0; i < 50; i++) {
    await raw.send(open(i));
    const answer = await raw.next();
    if (answer?.type === "open-failure") {
      refused++;
      continue;
    }
    assert(answer?.type === "open-confirm");
    await raw.send(
      data(answer.sender, new Uint8Array(16 * KIB)),
      close(answer.sender),
    );
    await raw.expect("close");
  }
  assertLessOrEqual(held(kept), 8 * 16 * KIB);
  assertEquals([kept.length, refused], [8, 42]);

  // Whoever reads, cancels or closes makes room.
  const [read, cancelled, closed] = kept;
  const chunks = await Array.fromAsync(read!.readable);
  assertEquals(chunks.reduce((sum, c) => sum + c.length, 0), 16 * KIB);
  await cancelled!.readable.cancel();
  await closed!.close();
  assertEquals(session.usage, { channels: 0, places: 5 });
  for (let i = 0; i < 3; i++) {
    await raw.send(open(100 + i));
    await raw.expect("open-confirm");
  }
  await raw.send(open(200));
  await raw.expect("open-failure");
  await session.close();
  await raw.close();
});

Deno.test("what a channel holds is let go when it is closed, cancelled or lost", async () => {
  const before = await liveBuffers();
  const { session, raw } = rawSession({
    initialWindow: 8 * MIB,
    maxPacket: MIB,
  });
  const kept = keep(session);
  const ids = await openRaw(raw, 3);
  const packets = ids.map((id) => data(id, new Uint8Array(MIB)));
  for (let i = 0; i < 8; i++) await raw.sendEach(packets);
  assertEquals(held(kept), 24 * MIB);
  await kept[0]!.close();
  await kept[1]!.readable.cancel();
  assertEquals(kept.map((channel) => channel.heldBytes), [0, 0, 8 * MIB]);
  const survivor: Channel = kept[2]!;
  await raw.end();
  await session.closed;
  // The reader may still come for what arrived.
  assertEquals(kept[2]!.heldBytes, 8 * MIB);
  await survivor.readable.cancel();
  kept.length = 0;
  assertLessOrEqual(await liveBuffers() - before, SLACK);
});
