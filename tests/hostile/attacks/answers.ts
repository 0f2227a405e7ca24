/**
 * Answers that are never read.
 *
 * @module
 */
import { concat, data, open, text, values } from "../../support/wire.ts";
import type { Attack } from "../attack.ts";
import type { Attacker } from "../attacker_side.ts";
import { SMALL } from "../bounds.ts";
import { aborted } from "../line.ts";
import type { RawSession } from "../raw_session.ts";

const CHANNELS = 2_048;

/** Calls a method on many channels that grant no window for the answer. */
async function callUnread(it: Attacker, selector: string): Promise<void> {
  const session = await it.session();
  const call = it.call(selector);
  const opened = Array.from({ length: CHANNELS }, async () => {
    const channel = await session.open({ window: 0 });
    await channel?.send(call);
  });
  await it.orTimeout(Promise.all(opened));
  await aborted(it.signal);
}

/** Calls of two methods that answer with a function, with our own field. */
const FUNCTION_CALLS = ["makeFunction", "makeFunctionNow"].map((Selector) =>
  values({ Selector, Q: { v: 1 } }, [])
);

/**
 * Calls for a function and gives up, before the answer or as it arrives: with
 * CLOSE alone, where a caller that has taken the answer sends EOF first.
 */
async function giveUpFunction(
  session: RawSession,
  call: Uint8Array,
  early: boolean,
): Promise<void> {
  const channel = await session.open();
  if (channel === undefined) return;
  await channel.send(call);
  if (!early && channel.received.length === 0) await channel.changed();
  await channel.close();
  await channel.untilClosed();
}

/** One attack each. */
export const attacks: readonly Attack[] = [
  {
    name: "unread-answers",
    about: "2,048 calls with a window of 0, each answered with 1 MB",
    memory: SMALL,
    outcome: "may end",
    run: (it) => callUnread(it, "big"),
  },
  {
    name: "unread-streams",
    about: "2,048 calls with a window of 0, each answered with a stream",
    memory: SMALL,
    outcome: "may end",
    run: (it) => callUnread(it, "rows"),
  },
  {
    name: "unread-line",
    about: "2,048 calls answered with 1 MB on a connection that is never read",
    memory: SMALL,
    outcome: "may end",
    run: async (it) => {
      const line = await it.line({ reading: false });
      const call = it.call("big");
      for (let id = 0; id < CHANNELS && line.open; id += 64) {
        // The server assigns channel IDs upwards from 0.
        const ids = Array.from({ length: 64 }, (_, i) => id + i);
        const calls = ids.map((id) => concat(open(id), data(id, call)));
        await it.orTimeout(line.write(...calls));
        if (it.signal.aborted) return;
      }
      await aborted(it.signal);
    },
  },
  {
    name: "given-up-functions",
    about: "8,400 calls answered with a function, given up; then one more",
    memory: SMALL,
    outcome: "lives",
    ms: 15_000,
    run: async (it) => {
      const session = await it.session();
      for (let done = 0; done < 8_400; done += 200) {
        const call = FUNCTION_CALLS[done / 200 % 2]!;
        const batch = Array.from(
          { length: 200 },
          (_, i) => giveUpFunction(session, call, i % 4 === 0),
        );
        await Promise.all(batch);
      }
      // The handlers settle later than their callers gave up.
      await new Promise((resolve) => setTimeout(resolve, 200));
      const channel = await session.open();
      await channel?.send(FUNCTION_CALLS[0]!);
      // Whoever takes a function also closes the channel.
      while (channel?.received.length === 0 && !channel.closed) {
        await channel.changed();
      }
      const answer = channel === undefined ? "" : text(channel.received);
      it.check(
        "a call is still answered with a function",
        answer.includes("$fnptr"),
        answer,
      );
    },
  },
];
