/**
 * What a peer can make a session hold. Counted twice: as `heldBytes` says, and
 * as the engine counts buffers that are alive.
 *
 * @module
 */
import { assertEquals, assertLessOrEqual } from "@std/assert";
import { TextLineStream } from "@std/streams";
import {
  DEFAULT_SESSION_OPTIONS,
  dialSession,
  listenSession,
  type Session,
  type SessionOptions,
} from "@qtalk/qtalk";
import { type Harness, test } from "../support/harness.ts";
import { liveBuffers } from "../support/memory.ts";
import { loopbackCertificate } from "../support/quic.ts";
import { concat, data, open } from "../support/wire.ts";
import { turn, until, watch, within } from "../support/within.ts";
import { held, keep, openRaw } from "./kept.ts";

const KIB = 1024, MIB = 1024 * KIB;
const receiver = new URL("resident_receiver.ts", import.meta.url);
/** What the contract allows beside the windows. */
const SLACK = 4 * MIB;

/** Everything sent so far has arrived when this resolves. */
async function settled(session: Session): Promise<void> {
  for (let i = 0; i < 3; i++) {
    await (await session.open()).close();
    await turn();
  }
}

/** Two sessions, over memory and over sockets. */
const PAIRS: Record<
  string,
  (t: Harness) => [Session, Session] | Promise<[Session, Session]>
> = {
  memory: (t) => t.sessions(),
  async TCP(t) {
    const listener = await listenSession("tcp://127.0.0.1:0");
    t.defer(() => listener.close());
    const accepted = listener[Symbol.asyncIterator]().next();
    const dialled = await dialSession(listener.addr);
    const { value } = await accepted;
    t.watchBoth(dialled, value!);
    return [dialled, value!];
  },
  async QUIC(t) {
    const { cert, key, authority } = await loopbackCertificate();
    const listener = await listenSession("quic://127.0.0.1:0", {
      tls: { cert, key },
    });
    t.defer(() => listener.close());
    const accepted = listener[Symbol.asyncIterator]().next();
    const dialled = await dialSession(listener.addr, {
      tls: { ca: authority.cert },
    });
    const { value } = await accepted;
    t.watchBoth(dialled, value!);
    return [dialled, value!];
  },
};

for (const [over, pair] of Object.entries(PAIRS)) {
  test(`memory: of 1 GiB offered over ${over} to a reader that takes nothing one window is held`, async (t) => {
    const [sender, receiver] = await pair(t);
    const kept = keep(receiver);
    const before = await liveBuffers();
    const writer = (await sender.open()).writable.getWriter();
    // The same MiB each time: what is offered costs this test nothing.
    const chunk = new Uint8Array(MIB);
    const writes = Array.from({ length: 1_024 }, () => writer.write(chunk));
    const watched = writes.map(watch);
    const filled = async () => {
      const { initialWindowSize } = DEFAULT_SESSION_OPTIONS;
      // Over QUIC, the streams of other channels may be ahead.
      await until(() => (kept[0]?.buffered ?? 0) >= initialWindowSize);
    };
    await within(filled(), "the window to be full");
    await within(settled(sender), "round trips beside the stuck channel");

    assertEquals(kept[0]!.buffered, DEFAULT_SESSION_OPTIONS.initialWindowSize);
    assertLessOrEqual(
      kept[0]!.heldBytes,
      DEFAULT_SESSION_OPTIONS.initialWindowSize,
    );
    const alive = await liveBuffers() - before;
    assertLessOrEqual(alive, DEFAULT_SESSION_OPTIONS.initialWindowSize + SLACK);
    assertEquals(watched.filter((w) => w.state !== "pending"), []);

    await sender.close();
    await within(Promise.allSettled(writes), "the writes, by then rejected");
    assertEquals(watched.every((w) => w.state === "rejected"), true);
    writer.closed.catch(() => {});
  });

  test(`memory: a grown window over ${over} holds no more than maxWindowSize when its reader stops`, async (t) => {
    const [sender, receiver] = await pair(t);
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
    assertLessOrEqual(kept[0]!.buffered, DEFAULT_SESSION_OPTIONS.maxWindowSize);
    assertLessOrEqual(
      kept[0]!.heldBytes,
      DEFAULT_SESSION_OPTIONS.maxWindowSize,
    );
    assertLessOrEqual(alive, DEFAULT_SESSION_OPTIONS.maxWindowSize + SLACK);
    assertEquals(writing.state, "pending");
    reader.closed.catch(() => {});
    writer.closed.catch(() => {});
    reader.releaseLock();
    await t.closeChannels();
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
  "1 byte, a write each": { sizes: [1], frames: 1, window: 300 },
  "1 byte, many a write": { sizes: [1], frames: 500, window: 5 * KIB },
  "9 bytes, many a write": { sizes: [9], frames: 500, window: 20 * KIB },
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
  test(`memory: 100 channels that are not read stay within the stated bound, sent ${name}`, async (t) => {
    const { window: initialWindowSize } = shape;
    const options = {
      maxChannels: 100,
      initialWindowSize,
      maxWindowSize: 1,
      maxHeldSize: 128 * MIB,
    };
    const bound = 100 * initialWindowSize;
    const { session, raw } = t.script(options);
    const kept = keep(session);
    const ids = await openRaw(raw, 100);
    const before = await liveBuffers();
    await within(
      raw.sendEach(fill(ids, shape)),
      "the session to read what nobody takes",
    );
    assertEquals(kept.length, 100);
    for (const channel of kept) {
      assertEquals(channel.buffered, initialWindowSize);
    }
    assertLessOrEqual(held(kept), bound);
    const alive = await liveBuffers() - before;
    assertLessOrEqual(alive, bound + SLACK);
  });
}

test("maxHeldSize: bounds 100 channels whose windows grew when their readers stop", async (t) => {
  const options: SessionOptions = {
    maxChannels: 100,
    initialWindowSize: 16 * KIB,
    maxWindowSize: MIB,
    maxHeldSize: 6 * MIB,
  };
  // Windows take three quarters.
  const bound = 4.5 * MIB;
  const [sender, receiver] = t.sessions(options, options);
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
  await t.closeChannels();
});

test("maxHeldSize: bounds as many channels as can be opened, with full windows and no reader", async (t) => {
  const { session, raw } = t.script({ backlog: 0 });
  const kept = keep(session);
  const { maxChannels, maxHeldSize } = DEFAULT_SESSION_OPTIONS;
  const before = await liveBuffers();
  await raw.sendEach(
    Array.from({ length: maxChannels + 1 }, (_, id) => open(id)),
  );
  let sent = 0;
  const payload = new Uint8Array(DEFAULT_SESSION_OPTIONS.initialWindowSize);
  for (let i = 0; i < maxChannels; i++) {
    const { sender, window } = await raw.expect("open-confirm");
    await raw.send(data(sender, payload.subarray(0, window)));
    sent += window;
  }
  await raw.expect("open-failure");
  assertEquals(held(kept), sent);
  const { held: account } = session.usage;
  assertEquals(account.windows, sent);
  assertEquals(account.channels, maxChannels * KIB);
  assertLessOrEqual(account.total, maxHeldSize * 3 / 4);
  assertLessOrEqual(await liveBuffers() - before, maxHeldSize * 3 / 4 + SLACK);
  // Whoever reads gets it all, and everything is given back.
  await t.closeChannels();
  await Promise.all(kept.map((channel) => channel.close()));
  assertEquals(session.usage.held.windows, 0);
});

test("memory: the process of a receiver stays small while 100 channels are offered 1 GiB each", async (t) => {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "--allow-net=127.0.0.1", receiver.href],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream())
    .pipeThrough(new TextLineStream()).getReader();
  const input = child.stdin.getWriter();
  const read = async () => (await within(lines.read(), "the receiver")).value!;
  const measure = async (): Promise<{ channels: number; resident: number }> => {
    await input.write(Uint8Array.of(10));
    return JSON.parse(await read());
  };
  const sender = t.watch(await dialSession(await read()));
  const before = await measure();

  const chunk = new Uint8Array(MIB);
  const writes: Promise<void>[] = [];
  for (let i = 0; i < 100; i++) {
    const writer = (await sender.open()).writable.getWriter();
    writer.closed.catch(() => {});
    // 1 GiB is offered, in one piece as far as the channel can tell.
    writes.push((async () => {
      for (let j = 0; j < 1_024; j++) await writer.write(chunk);
    })());
  }
  const watched = writes.map(watch);
  await within(settled(sender), "round trips beside the stuck channels");
  const after = await measure();
  assertEquals(watched.filter((w) => w.state !== "pending"), []);
  assertLessOrEqual(100, after.channels - before.channels);
  const grown = after.resident - before.resident;
  // It grows by some 6 MiB; the bound only tells that from 100 GiB.
  assertLessOrEqual(grown, 256 * MIB);
  await sender.close();
  await Promise.allSettled(writes);
  await input.close();
  await lines.cancel();
  await child.status;
});
