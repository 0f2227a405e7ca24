/**
 * Frames at line rate: cheap for the attacker, so they must be cheap for the
 * server.
 *
 * @module
 */
import {
  adjust,
  close,
  concat,
  data,
  eof,
  framed,
  open,
  values,
} from "../../support/wire.ts";
import type { Attack } from "../attack.ts";
import type { Attacker } from "../attacker_side.ts";
import { SMALL } from "../bounds.ts";
import { counting, repeated } from "../batches.ts";
import { type Line, turn } from "../line.ts";
import type { RawChannel } from "../raw_session.ts";

/** A connection with one open channel, whose call lacks its argument. */
async function waitingCall(
  it: Attacker,
): Promise<{ line: Line; channel: RawChannel }> {
  const session = await it.session();
  const channel = await session.open();
  if (channel === undefined) throw new Error("Cannot open channel");
  await channel.send(values({ Selector: "sink" }));
  return { line: session.line, channel };
}

/** Sends bytes as credit permits, each in a frame of its own. */
async function sendByBytes(
  it: Attacker,
  line: Line,
  channel: RawChannel,
  size: number,
): Promise<void> {
  const one = data(channel.remote, "1");
  const many = repeated(one);
  for (let left = size; left > 0 && line.open && !it.signal.aborted;) {
    const room = Math.min(left, channel.credit, many.length / one.length);
    if (channel.closed) return;
    if (room === 0) await it.orTimeout(channel.changed());
    channel.spend(room);
    left -= room;
    await it.orTimeout(line.write(many.subarray(0, room * one.length)));
    await turn();
  }
}

/** A flood of one frame on a channel that is open. */
function floodOf(
  name: string,
  about: string,
  frame: (id: number) => Uint8Array,
): Attack {
  return {
    name,
    about,
    memory: SMALL,
    outcome: "session ends",
    run: async (it) => {
      const { line, channel } = await waitingCall(it);
      const batch = repeated(frame(channel.remote));
      await it.flood(line, () => batch);
    },
  };
}

/** One attack each. */
export const attacks: readonly Attack[] = [
  {
    name: "one-byte-data",
    about: "arguments as long as they may be, in DATA frames of one byte",
    memory: SMALL,
    outcome: "may end",
    run: async (it) => {
      const session = await it.session();
      const size = it.maxValueSize - 16;
      const length = framed(new Uint8Array(size)).subarray(0, 4);
      const call = concat(values({ Selector: "sink" }), length);
      while (!it.signal.aborted && session.line.open) {
        const channel = await it.orTimeout(session.open());
        if (channel === undefined) return;
        await channel.send(call);
        await sendByBytes(it, session.line, channel, size);
        await it.orTimeout(channel.untilClosed());
      }
    },
  },
  floodOf(
    "adjust-flood",
    "WINDOW_ADJUST of one byte, again and again",
    (id) => adjust(id, 1),
  ),
  floodOf(
    "empty-data-flood",
    "empty DATA, again and again",
    (id) => data(id, ""),
  ),
  floodOf("eof-flood", "EOF, again and again", (id) => eof(id)),
  {
    name: "late-frames",
    about: "DATA for a channel that is closed, again and again",
    memory: SMALL,
    outcome: "may end",
    run: async (it) => {
      const { line, channel } = await waitingCall(it);
      await channel.close();
      const batch = repeated(data(channel.remote, "x"));
      await it.flood(line, () => batch);
    },
  },
  {
    name: "open-close-flood",
    about: "OPEN and CLOSE, again and again, the answers read",
    memory: SMALL,
    outcome: "may end",
    run: async (it) => {
      const line = await it.line();
      await it.flood(line, counting([open(0), close(0)]));
    },
  },
  {
    name: "call-close-flood",
    about: "calls that are given up at once, 256 at a time",
    memory: SMALL,
    outcome: "may end",
    run: async (it) => {
      const session = await it.session();
      const call = it.call("makeFunction");
      const work = async () => {
        while (!it.signal.aborted && session.line.open) {
          const channel = await session.open();
          if (channel === undefined) continue;
          await channel.send(call);
          await channel.close();
        }
      };
      await it.orTimeout(Promise.all(Array.from({ length: 256 }, work)));
    },
  },
  {
    name: "unread-confirms",
    about: "OPEN, again and again, the answers unread",
    memory: SMALL,
    outcome: "session ends",
    run: async (it) => {
      const line = await it.line({ reading: false });
      await it.flood(line, counting([open(0)]));
    },
  },
];
