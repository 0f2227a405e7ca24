/**
 * Answers that nobody takes.
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

/** Calls a method on many channels, on none of which it may answer. */
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

/** Calls of two methods that answer with a function, by one of our clients. */
const FUNCTION_CALLS = ["makeFunction", "makeFunctionNow"].map((Selector) =>
  values({ Selector, Q: { v: 1 } }, [])
);

/** Asks for a function and gives the call up before there is an answer. */
async function giveUpFunction(
  session: RawSession,
  call: Uint8Array,
): Promise<void> {
  const channel = await session.open();
  if (channel === undefined) return;
  // The answer may be on its way already when the CLOSE comes.
  void channel.send(call);
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
    about: "calls answered with 1 MB by a server whose bytes nobody reads",
    memory: SMALL,
    outcome: "may end",
    run: async (it) => {
      const line = await it.line({ reading: false });
      const call = it.call("big");
      for (let id = 0; id < CHANNELS && line.open; id += 64) {
        // The server counts its channels upwards from 0.
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
    about:
      "8,400 calls answered with a function, given up before; then one more",
    memory: SMALL,
    outcome: "lives",
    ms: 15_000,
    run: async (it) => {
      const session = await it.session();
      for (let done = 0; done < 8_400; done += 200) {
        const call = FUNCTION_CALLS[done / 200 % 2]!;
        const batch = Array.from(
          { length: 200 },
          () => giveUpFunction(session, call),
        );
        await Promise.all(batch);
      }
      // A turn for the handlers, which are slower than who gave them up.
      await new Promise((resolve) => setTimeout(resolve, 200));
      const channel = await session.open();
      await channel?.send(FUNCTION_CALLS[0]!);
      await channel?.untilClosed();
      const answer = channel === undefined ? "" : text(channel.received);
      it.check(
        "a call is still answered with a function",
        answer.includes("$fnptr"),
        answer,
      );
    },
  },
];
