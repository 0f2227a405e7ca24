/**
 * Idle frames, which have no effect: a peer may send some, and a flood of them ends its
 * session.
 *
 * @module
 */
import { assert, assertEquals, assertIsError, assertLess } from "@std/assert";
import { type Channel, DEFAULT_SESSION_OPTIONS, MuxError } from "@qtalk/qtalk";
import { type Harness, test } from "../support/harness.ts";
import type { RawPeer } from "../support/raw_peer.ts";
import { adjust, close, concat, data, eof, open } from "../support/wire.ts";
import { watch, within } from "../support/within.ts";

const { maxIdleFrames } = DEFAULT_SESSION_OPTIONS;

/** A channel that the script opened. */
interface Opened {
  channel: Channel;
  /** The ID to address it by. */
  id: number;
}

/** A session, its script, and how channels are opened by it. */
function lab(t: Harness) {
  const { session, raw } = t.script();
  const accepted: Channel[] = [];
  session.accept((channel) => accepted.push(channel));
  const closed = watch(session.closed);
  let count = 0;
  return {
    session,
    raw,
    closed,
    async open(window?: number): Promise<Opened> {
      await raw.send(open(count++, window));
      const { sender } = await raw.find("open-confirm");
      return { channel: accepted.at(-1)!, id: sender };
    },
  };
}

/** Sends frames, a thousand in a write, until the session ends. */
async function flood(
  raw: RawPeer,
  frame: (n: number) => Uint8Array,
  limit: number,
): Promise<number> {
  for (let n = 0; n < limit; n += 1_000) {
    const batch = Array.from({ length: 1_000 }, (_, i) => frame(n + i));
    try {
      await within(raw.send(concat(...batch)), "the session to read");
    } catch {
      return n;
    }
  }
  return limit;
}

/** Floods: what is sent before, and the frame that is repeated. */
const FLOODS: Record<string, {
  before?: (raw: RawPeer, opened: Opened) => Promise<void>;
  frame: (id: number, n: number) => Uint8Array;
  last: string;
}> = {
  "WINDOW_ADJUST by 0": {
    frame: (id) => adjust(id, 0),
    last: "WINDOW_ADJUST",
  },
  "WINDOW_ADJUST when nothing was sent": {
    frame: (id) => adjust(id, 1),
    last: "WINDOW_ADJUST",
  },
  "WINDOW_ADJUST beyond what was sent": {
    before: async (_, { channel }) => {
      const writer = channel.writable.getWriter();
      await writer.write(new Uint8Array(5_000));
      writer.closed.catch(() => {});
    },
    frame: (id) => adjust(id, 1),
    last: "WINDOW_ADJUST",
  },
  "empty DATA": { frame: (id) => data(id, ""), last: "DATA" },
  "EOF": { frame: (id) => eof(id), last: "EOF" },
  "OPEN and CLOSE": {
    // The script knows which IDs come next.
    frame: (id, n) => concat(open(1 + n), close(id + 1 + n)),
    last: "CLOSE",
  },
  "CLOSE of a closed channel": {
    before: (raw, { id }) => raw.send(close(id)),
    frame: (id) => close(id),
    last: "CLOSE",
  },
  "WINDOW_ADJUST for a closed channel": {
    before: (raw, { id }) => raw.send(close(id)),
    frame: (id) => adjust(id, 1),
    last: "WINDOW_ADJUST",
  },
  "DATA after EOF": {
    before: (raw, { id }) => raw.send(eof(id)),
    frame: (id) => data(id, new Uint8Array(100)),
    last: "DATA",
  },
  "DATA for a closed channel": {
    before: (raw, { id }) => raw.send(close(id)),
    frame: (id) => data(id, new Uint8Array(100)),
    last: "DATA",
  },
  "DATA after this side's CLOSE, which is not answered": {
    before: (_, { channel }) => channel.close(),
    frame: (id) => data(id, new Uint8Array(100)),
    last: "DATA",
  },
};

for (const [what, { before, frame, last }] of Object.entries(FLOODS)) {
  test(`idle frames: a flood of ${what} ends the session with limit-exceeded`, async (t) => {
    const { raw, closed, ...it } = lab(t);
    const opened = await it.open();
    await before?.(raw, opened);
    const taken = await flood(
      raw,
      (n) => frame(opened.id, n),
      5 * maxIdleFrames,
    );
    await within(it.session.closed.catch(() => {}), "the session to end");
    assertIsError(
      closed.reason,
      MuxError,
      `received more than ${maxIdleFrames} idle frames, the last of them ${last} for channel `,
    );
    assertEquals(closed.reason.code, "limit-exceeded");
    assert(taken >= maxIdleFrames - 1_000, `${taken} were taken`);
    assertLess(taken, 3 * maxIdleFrames);
  });
}

test("idle frames: credit returned byte by byte for what was sent never ends the session", async (t) => {
  const { session, raw, closed, ...it } = lab(t);
  const { channel, id } = await it.open(0);
  const writer = channel.writable.getWriter();
  const total = 10 * maxIdleFrames;
  const writing = writer.write(new Uint8Array(total));
  await raw.send(adjust(id, 1_000));
  for (let sent = 0; sent < total;) {
    const { length } = (await raw.expect("data")).payload;
    sent += length;
    await raw.send(...Array.from({ length }, () => adjust(id, 1)));
  }
  await within(writing, "the write");
  assertEquals(closed.state, "pending");
  await Promise.all([channel.close(), raw.send(close(id))]);
  await session.close();
});

test("idle frames: what qtalk-go sends for each of many calls never ends the session", async (t) => {
  const { session, raw } = t.script();
  const closed = watch(session.closed);
  session.accept((channel) => void channel.readable.cancel());
  for (let id = 0; id < 2 * maxIdleFrames; id += 100) {
    const frames = Array.from({ length: 100 }, (_, i) => {
      const at = id + i;
      return concat(
        open(at),
        data(at, "a call"),
        // It does not look whether it has sent EOF or CLOSE.
        eof(at),
        eof(at),
        data(at, "late"),
        close(at),
        data(at, "later"),
        data(at, ""),
      );
    });
    await raw.send(...frames);
    raw.takePending();
  }
  assertEquals([closed.state, session.usage.channels], ["pending", 0]);
});

test("idle frames: DATA that was on its way when a channel closed never ends the session", async (t) => {
  const { session, raw, closed, ...it } = lab(t);
  const { initialWindowSize } = DEFAULT_SESSION_OPTIONS;
  // A writer of single bytes has all of its window on the way.
  for (const end of ["this side's CLOSE", "its own CLOSE"]) {
    const { channel, id } = await it.open();
    if (end === "its own CLOSE") await raw.send(close(id));
    else await channel.close();
    const sent = await flood(raw, () => data(id, "x"), initialWindowSize);
    assert(sent >= initialWindowSize, `${sent} were taken`);
    assertEquals(closed.state, "pending", end);
    await raw.send(close(id));
  }
  await session.close();
});

test("maxIdleFrames: is the number of idle frames that a session takes", async (t) => {
  const { session, raw } = t.script({ maxIdleFrames: 0 });
  session.accept(() => {});
  await raw.send(open(0));
  const { sender } = await raw.expect("open-confirm");
  await raw.send(data(sender, "x"), eof(sender)).catch(() => {});
  await raw.send(eof(sender)).catch(() => {});
  const error = await session.closed.catch((error) => error);
  assertIsError(error, MuxError, "received more than 0 idle frames");
});
