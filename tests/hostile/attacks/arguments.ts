/**
 * Arguments that are held by waiting handlers or as incomplete values.
 *
 * @module
 */
import { concat, data, framed, utf8, values } from "../../support/wire.ts";
import type { Attack } from "../attack.ts";
import { type Attacker, repeatedJson } from "../attacker_side.ts";
import {
  MANY_SESSIONS,
  PROCESS_BUDGET,
  SMALL,
  WITH_VALUES,
} from "../bounds.ts";
import { aborted } from "../line.ts";
import type { RawSession } from "../raw_session.ts";

/** Channels of a session, as the default has it. */
const CHANNELS = 2_048;

/** Calls a waiting method again and again with a large argument. */
async function callAndWait(
  it: Attacker,
  argument: Uint8Array,
  calls: number,
): Promise<void> {
  const session = await it.session();
  const bytes = concat(values({ Selector: "hang" }), argument);
  let left = calls;
  const work = async () => {
    while (left-- > 0 && session.line.open) {
      const channel = await session.open();
      if (channel !== undefined) await channel.send(bytes);
    }
  };
  // Several at a time: the attack goes on when one is held up.
  await it.orTimeout(Promise.all(Array.from({ length: 4 }, work)));
  await aborted(it.signal);
}

/** Opens channels and sends as much on each as its first window permits. */
async function fillWindows(
  it: Attacker,
  session: RawSession,
  bytes: Uint8Array,
  count = CHANNELS,
): Promise<number[]> {
  const opened = await it.orTimeout(
    Promise.all(Array.from({ length: count }, () => session.open())),
  ) ?? [];
  const ids: number[] = [];
  for (const channel of opened) {
    if (channel === undefined || it.signal.aborted) continue;
    ids.push(channel.remote);
    const size = Math.min(bytes.length, channel.credit);
    await it.orTimeout(
      session.line.write(data(channel.remote, bytes.subarray(0, size))),
    );
  }
  return ids;
}

/** A call with an argument of the largest size. */
function endlessCall(it: Attacker): Uint8Array {
  const argument = repeatedJson(it.maxValueSize, { item: '"xxxxxxxxxxxx"' });
  return concat(values({ Selector: "sink" }), argument);
}

/** One attack each. */
export const attacks: readonly Attack[] = [
  {
    name: "waiting-arguments",
    about: "256 calls of a handler that waits, each with the longest argument",
    memory: WITH_VALUES,
    outcome: "may end",
    ms: 5_000,
    run: (it) => {
      const text = "x".repeat(it.maxValueSize - 16);
      return callAndWait(it, framed(utf8(`["${text}"]`)), 256);
    },
  },
  {
    name: "waiting-structures",
    about: "16 calls of a handler that waits, each with [[{},{},…]]",
    memory: WITH_VALUES,
    outcome: "may end",
    ms: 5_000,
    run: (it) => {
      const list = { begin: "[[", item: "{}", end: "]]" };
      return callAndWait(it, repeatedJson(it.maxValueSize, list), 16);
    },
  },
  {
    name: "half-values",
    about:
      "2,048 calls whose arguments fill the first window and go no further",
    memory: SMALL,
    outcome: "may end",
    run: async (it) => {
      await fillWindows(it, await it.session(), endlessCall(it));
      await aborted(it.signal);
    },
  },
  {
    name: "half-values-of-many",
    about: "the same from 40 sessions at once",
    memory: MANY_SESSIONS,
    held: PROCESS_BUDGET,
    outcome: "may end",
    ms: 6_000,
    run: async (it) => {
      const bytes = endlessCall(it);
      const sessions = Array.from({ length: 40 }, async () => {
        await fillWindows(it, await it.session(), bytes, 512);
      });
      await it.orTimeout(Promise.all(sessions));
      await aborted(it.signal);
    },
  },
  {
    name: "slow-drip",
    about: "1,000 arguments at once, each a byte a frame and one after another",
    memory: SMALL,
    outcome: "may end",
    run: async (it) => {
      const session = await it.session();
      const begin = endlessCall(it).subarray(0, 100);
      const ids = await fillWindows(it, session, begin, 1_000);
      const round = concat(...ids.map((id) => data(id, "x")));
      while (!it.signal.aborted && session.line.open && ids.length > 0) {
        await it.orTimeout(session.line.write(round));
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
  },
  {
    name: "unfinished-headers",
    about: "2,048 call headers of 64 KiB without their last byte",
    memory: SMALL,
    outcome: "may end",
    run: async (it) => {
      const [begin, end] = ['{"Selector":"sink","x":"', '"}'];
      const filler = "x".repeat(64 * 1024 - begin.length - end.length);
      const text = begin + filler + end;
      const header = framed(utf8(text));
      const cut = header.subarray(0, header.length - 1);
      await fillWindows(it, await it.session(), cut);
      await aborted(it.signal);
    },
  },
];
