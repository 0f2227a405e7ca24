/**
 * However the bytes come cut, what they mean is the same.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import {
  type Channel,
  type MuxError,
  qmux,
  type Session,
  type Transport,
} from "@qtalk/qtalk";
import { memoryTransports } from "../../mux/transport/memory.ts";
import { Peer } from "../../talk/peer.ts";
import { type Harness, test } from "../support/harness.ts";
import { forSeeds, type Random } from "../support/random.ts";
import {
  close,
  concat,
  confirm,
  data,
  eof,
  parseFrames,
  toHex,
  values,
} from "../support/wire.ts";
import { turn, within } from "../support/within.ts";

/** A transport that keeps a copy of all that is written to it. */
function recording(inner: Transport, tape: Uint8Array[]): Transport {
  return {
    read: () => inner.read(),
    write(bytes) {
      tape.push(bytes.slice());
      return inner.write(bytes);
    },
    closeWrite: () => inner.closeWrite(),
    close: () => inner.close(),
  };
}

/** What a side saw of one channel. */
interface Seen {
  bytes: string;
  end: string;
}

/** Reads a channel to its end. */
async function readAll(channel: Channel): Promise<Seen> {
  const chunks: Uint8Array[] = [];
  let end = "ended";
  try {
    for await (const chunk of channel.readable) chunks.push(chunk);
  } catch (error) {
    end = (error as MuxError).code;
  }
  return { bytes: toHex(concat(...chunks)), end };
}

/** Accepts all channels and reads them; resolves when the session has ended. */
async function readEverything(session: Session): Promise<Seen[]> {
  const reading: Promise<Seen>[] = [];
  // At once: a recording does not wait for the answers to its OPENs.
  session.accept((channel) => reading.push(readAll(channel)));
  await session.closed;
  return await Promise.all(reading);
}

/** Has one side talk to another, and returns what it said and what was seen. */
async function record(
  t: Harness,
): Promise<{ bytes: Uint8Array; seen: Seen[] }> {
  const tape: Uint8Array[] = [];
  const [left, right] = memoryTransports();
  const talker = qmux(recording(left, tape));
  const listener = qmux(right);
  t.watchBoth(talker, listener);
  const seen = readEverything(listener);
  const channels = [];
  for (let i = 0; i < 4; i++) channels.push(await talker.open());
  const writers = channels.map((channel) => channel.writable.getWriter());
  for (let round = 0; round < 3; round++) {
    for (const [i, writer] of writers.entries()) {
      const size = 1 + 29 * round * i;
      await writer.write(new Uint8Array(size).fill(16 * round + i));
    }
  }
  await writers[0]!.close();
  await channels[1]!.close();
  await writers[2]!.close();
  await channels[2]!.readable.cancel();
  // The fourth channel is open when the session ends.
  await talker.close();
  await listener.closed;
  writers[3]!.closed.catch(() => {});
  return { bytes: concat(...tape), seen: await seen };
}

/** Says it all again, in these chunks, to a session that knows nothing. */
async function replay(
  t: Harness,
  chunks: Iterable<Uint8Array>,
): Promise<Seen[]> {
  const { session, raw } = t.script();
  const seen = readEverything(session);
  await raw.sendEach(chunks);
  await raw.end();
  await session.closed;
  return await seen;
}

test("chunking: a recorded session means the same when it is cut at any byte", async (t) => {
  const { bytes, seen } = await record(t);
  assertEquals(seen.map(({ end }) => end), [
    "ended",
    "ended",
    "ended",
    "connection-lost",
  ]);
  assertEquals(seen[3]!.bytes.length / 2, 3 + 29 * (0 + 3 + 6));
  const frames = parseFrames(bytes);
  for (let at = 0; at <= bytes.length; at++) {
    const halves = [bytes.subarray(0, at), bytes.subarray(at)]
      .filter((half) => half.length > 0);
    assertEquals(parseFrames(...halves), frames);
    assertEquals(
      await within(replay(t, halves), `cut at ${at}`),
      seen,
      `cut at ${at}`,
    );
  }
  const single = Array.from(bytes, (byte) => Uint8Array.of(byte));
  assertEquals(parseFrames(...single), frames);
  assertEquals(await within(replay(t, single), "byte by byte"), seen);
});

test("chunking: a recorded session means the same in random chunks", async (t) => {
  const { bytes, seen } = await record(t);
  const frames = parseFrames(bytes);
  await forSeeds(200, async (random) => {
    const chunks = random.split(bytes, random.pick([2, 9, 40, 400]));
    assertEquals(parseFrames(...chunks), frames);
    assertEquals(await within(replay(t, chunks), "a replay"), seen);
  });
});

/** A call as its handler heard it. */
interface Heard {
  selector: string;
  values: unknown[];
}

/** A service that notes what it is asked; resolves after `count` calls. */
function serve(peer: Peer, count: number): Promise<Heard[]> {
  const heard: Heard[] = [];
  const { promise, resolve } = Promise.withResolvers<Heard[]>();
  const done = () => {
    if (--count === 0) resolve(heard);
  };
  peer.handle("one", async (call, respond) => {
    const values: unknown[] = [];
    heard.push({ selector: call.selector, values });
    values.push(await call.receive());
    // An answer of two values ends its channel. On a shared channel, the next call must
    // wait for the answer, and a replay does not wait.
    await respond.return("one", "more");
    done();
  });
  peer.handle("all", async (call, respond) => {
    const values: unknown[] = [];
    heard.push({ selector: call.selector, values });
    for await (const value of call) values.push(value);
    await respond.return(values.length);
    done();
  });
  return promise;
}

test("chunking: recorded calls are the same calls in random chunks", async (t) => {
  const tape: Uint8Array[] = [];
  const [left, right] = memoryTransports();
  const client = new Peer(qmux(recording(left, tape)));
  const server = new Peer(qmux(right));
  t.watchBoth(client, server);
  const serving = serve(server, 3);
  const value = { text: "ä€𝄞", n: [1, 2.5, null] };
  assertEquals(await client.call("one", value), "one");
  async function* stream() {
    for (let i = 0; i < 5; i++) yield await Promise.resolve([i, "x"]);
  }
  assertEquals(await client.call("all", stream()), 5);
  const text = "y".repeat(300);
  assertEquals(await client.call("one", text), "one");
  await client.close();
  await server.closed;
  const heard = await serving;
  const bytes = concat(...tape);

  await forSeeds(100, async (random) => {
    const errors: unknown[] = [];
    const { peer, raw } = t.scriptedPeer({
      onError: (error) => errors.push(error),
    });
    const again = serve(peer, 3);
    // The recorded caller closes its calls. Those that are closed while the server is
    // loaded never begin: the handlers have begun to load it, so this ends later.
    await import("../../rpc/internal_server.ts");
    await turn();
    await raw.sendEach(random.split(bytes, random.pick([1, 9, 200, 4_000])));
    assertEquals(await within(again, "the handlers"), heard);
    await raw.end();
    await within(peer.closed, "the replay to end");
    assertEquals(errors, []);
  });
});

/**
 * The size of a piece, of these; larger if more than 2,000 pieces would come of
 * it, which prove no more and take seconds.
 */
function pieceSize(random: Random, sizes: number[], length: number): number {
  return Math.max(random.pick(sizes), Math.ceil(length / 1_000));
}

/** Puts a payload into DATA frames of random sizes, empty ones among them. */
function frame(random: Random, id: number, payload: Uint8Array): Uint8Array {
  return concat(
    ...random.split(
      payload,
      pieceSize(random, [1, 3, 50, 5_000], payload.length),
    ).flatMap((piece) =>
      random.chance(0.1) ? [data(id, ""), data(id, piece)] : [data(id, piece)]
    ),
  );
}

/** A value of JSON of no great size. */
function anyValue(random: Random, depth = 3): unknown {
  const kind = random.int(0, depth > 0 ? 6 : 4);
  switch (kind) {
    case 0:
      return null;
    case 1:
      return random.chance(0.5);
    case 2:
      return random.int(-1_000_000, 1_000_000) / random.pick([1, 8, 1_000]);
    case 3:
      return "é".repeat(random.int(0, 40));
    case 4:
      return "z".repeat(random.int(0, 9_000));
    case 5:
      return Array.from(
        { length: random.int(0, 4) },
        () => anyValue(random, depth - 1),
      );
    default:
      return Object.fromEntries(
        Array.from(
          { length: random.int(0, 4) },
          (_, i) => [`k${i}`, anyValue(random, depth - 1)],
        ),
      );
  }
}

test("chunking: a response has the same values in any frames and chunks", async (t) => {
  await forSeeds(150, async (random) => {
    const { peer, raw } = t.scriptedPeer();
    const continued = random.chance(0.5);
    const sent = Array.from(
      { length: random.int(1, 5) },
      () => anyValue(random),
    );
    const responding = peer.request("it");
    const { sender } = await raw.expect("open");
    await raw.send(confirm(sender, 7));
    await raw.find("data");
    const answer = values({ Error: null, Continue: continued }, ...sent);
    const bytes = concat(
      frame(random, sender, answer),
      random.chance(0.5) ? eof(sender) : new Uint8Array(0),
      close(sender),
    );
    const sending = raw.sendEach(
      random.split(bytes, pieceSize(random, [2, 30, 10_000], bytes.length)),
    );
    const response = await within(responding, "the response");
    assertEquals(response.continued, continued);
    const got = continued
      ? [response.value, ...await Array.fromAsync(response)]
      : response.values;
    assertEquals(got, sent);
    await sending;
    await raw.end();
    await within(peer.closed, "a clean end");
  });
});

test("chunking: a call has the same arguments in any frames and chunks", async (t) => {
  await forSeeds(150, async (random) => {
    const { peer, raw } = t.scriptedPeer();
    const heard: unknown[] = [];
    peer.handle("it", async (call) => {
      for await (const value of call) heard.push(value);
    });
    const sent = Array.from(
      { length: random.int(1, 5) },
      () => anyValue(random),
    );
    await raw.send(openFrame(random));
    const { sender } = await raw.expect("open-confirm");
    const bytes = concat(
      frame(random, sender, values({ Selector: "it" }, ...sent)),
      eof(sender),
    );
    await raw.sendEach(
      random.split(bytes, pieceSize(random, [2, 30, 10_000], bytes.length)),
    );
    await within(raw.find("close"), "the answer's end");
    assertEquals(heard, sent);
    await raw.end();
    await within(peer.closed, "a clean end");
  });
});

/** OPEN with a packet size from the smallest to the reference's. */
function openFrame(random: Random): Uint8Array {
  const frame = new Uint8Array(13);
  const view = new DataView(frame.buffer);
  view.setUint8(0, 100);
  view.setUint32(1, random.int(0, 1_000));
  view.setUint32(5, 2 ** 20);
  view.setUint32(9, random.pick([9, 10, 100, 2 ** 24, 2 ** 31]));
  return frame;
}

test("chunking: two peers understand each other with any sizes of packets and windows", async (t) => {
  await forSeeds(60, async (random) => {
    const limits = () => ({
      initialWindowSize: random.pick([1, 7, 100, 5_000, 65_536]),
      maxPacketSize: random.pick([9, 10, 333, 65_536]),
      maxHeldSize: random.pick([100_000, 1_000_000, 2 ** 25]),
    });
    const [client, server] = t.pair(
      { session: limits() },
      { session: limits() },
    );
    server.handle("echo", async (call, respond) => {
      await respond.return(await call.receive());
    });
    const sent = Array.from({ length: 4 }, () => anyValue(random, 1));
    const got = await within(
      Promise.all(sent.map((value) => client.call("echo", value))),
      "the echoes",
    );
    assertEquals(got, sent);
  });
});
