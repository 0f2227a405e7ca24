/**
 * What a channel holds for a reader that is slow, gone or half done.
 *
 * @module
 */
import {
  assert,
  assertEquals,
  assertGreater,
  assertLessOrEqual,
} from "@std/assert";
import type { Channel } from "@qtalk/qtalk";
import type { QmuxChannel } from "../../mux/channel/channel.ts";
import { ReceiveBuffer } from "../../mux/channel/receive_buffer.ts";
import { test } from "../support/harness.ts";
import { liveBuffers } from "../support/memory.ts";
import { forSeeds } from "../support/random.ts";
import { assertUsage } from "../support/usage.ts";
import { close, concat, data, open } from "../support/wire.ts";
import { turn, within } from "../support/within.ts";
import { held, keep, openRaw } from "./kept.ts";

const KIB = 1024, MIB = 1024 * KIB;

test("heldBytes: is the size of the buffers that a channel keeps alive", async () => {
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
        buffer.own();
        if (random.chance(0.2)) buffer.take();
        if (random.chance(0.5)) {
          buffer.consume(random.int(0, buffer.peek()?.length ?? 0));
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

test("held bytes: a channel holds no more than its window, however much was read", async (t) => {
  await forSeeds(40, async (random) => {
    const initialWindowSize = random.pick([100, 5_000, 64 * KIB]);
    const { session, raw } = t.script({
      initialWindowSize,
      maxWindowSize: 1,
    });
    const kept = keep(session);
    const [id] = await openRaw(raw, 1);
    const [channel] = kept as [QmuxChannel];
    let credit = initialWindowSize, sent = 0, taken = 0;
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
        channel.consume(size);
        taken += size;
      }
      await Promise.resolve();
      assertLessOrEqual(channel.heldBytes, initialWindowSize);
      assertEquals(channel.buffered, sent - taken);
    }
    // No credit is lost on the way: once all is read, 3/4 of a window are there.
    for (let chunk; (chunk = channel.take()) !== undefined;) {
      taken += chunk.length;
    }
    for (let i = 0; i < 100 && 4 * credit <= 3 * initialWindowSize; i++) {
      await turn();
      for (const frame of raw.takePending()) {
        if (frame.type === "window-adjust") credit += frame.bytes;
      }
    }
    assertEquals([taken, channel.heldBytes], [sent, 0]);
    assertGreater(4 * credit, 3 * initialWindowSize);
    assertLessOrEqual(credit, initialWindowSize);
    await raw.end();
    await session.closed;
  });
});

test("held bytes: a flood of empty DATA frames is held nowhere", async (t) => {
  const { session, raw } = t.script({ maxIdleFrames: 1_000_000 });
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
});

test("held bytes: a channel that the peer closed takes a slot until its bytes are gone", async (t) => {
  const options = {
    maxChannels: 8,
    initialWindowSize: 16 * KIB,
    maxWindowSize: 1,
  };
  const { session, raw } = t.script(options);
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
  assertUsage(session, { channels: 0, slots: 5 });
  for (let i = 0; i < 3; i++) {
    await raw.send(open(100 + i));
    await raw.expect("open-confirm");
  }
  await raw.send(open(200));
  await raw.expect("open-failure");
});

test("held bytes: a channel that is closed, cancelled or lost lets go of what it held", async (t) => {
  const before = await liveBuffers();
  const { session, raw } = t.script({
    initialWindowSize: 8 * MIB,
    maxPacketSize: MIB,
    maxHeldSize: 128 * MIB,
  });
  const kept = keep(session);
  const ids = await openRaw(raw, 3);
  for (let i = 0; i < 8; i++) {
    // Made anew, so that the test itself does not keep any.
    await raw.sendEach(ids.map((id) => data(id, new Uint8Array(MIB))));
  }
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
  assertLessOrEqual(await liveBuffers() - before, 4 * MIB);
});
