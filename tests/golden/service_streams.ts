/**
 * The recorded service: what answers with a stream of values, or of bytes, and
 * takes one.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { CallError } from "@qtalk/qtalk";
import type {
  Call,
  Channel,
  HandlerFunction,
  Responder,
  Session,
} from "@qtalk/qtalk";
import { patternStream } from "../interop/pattern.ts";
import { utf8 } from "../support/wire.ts";
import type { ReplayClock } from "./clock.ts";

/** What a handler continues with. */
interface Conversation {
  call: Call;
  respond: Responder;
  channel: Channel;
}

/** Handlers by their selectors. */
type Handlers = Record<string, HandlerFunction>;

/** The handlers that stream. */
export function streamService(clock: ReplayClock): Handlers {
  return { ...values(clock), ...conversations(clock), ...bytes };
}

/** The handlers that end their session. */
export function endingService(
  clock: ReplayClock,
  session: () => Session,
): Handlers {
  return {
    async die(call) {
      await call.receive();
      await session().close();
    },
    "die-streaming": continued(null, async ({ respond }, count) => {
      await sendUpTo(respond, count);
      await clock.sleep(10);
      await session().close();
    }),
    "die-in-bytes": continued(null, async ({ channel }, size) => {
      await patternStream(size).pipeTo(channel.writable, {
        preventClose: true,
      });
      await clock.sleep(10);
      await session().close();
    }),
  };
}

function values(clock: ReplayClock): Handlers {
  return {
    async count(call, respond) {
      const count = await call.receive() as number;
      const channel = await respond.continue(count);
      await sendUpTo(respond, count);
      await channel.close();
    },
    async numbers(call, respond) {
      const count = await call.receive() as number;
      if (count < 0) throw new CallError("there are no negative counts");
      const channel = await respond.continue();
      await sendUpTo(respond, count);
      await endAndClose(channel);
    },
    async doubled(call, respond) {
      const count = await call.receive() as number;
      const channel = await respond.continue();
      for (let i = 0; i < count; i++) {
        await respond.send(2 * (await call.receive() as number));
      }
      await endAndClose(channel);
    },
    async pair(call, respond) {
      await call.receive();
      const channel = await respond.continue("a", [1]);
      await respond.send("c");
      await endAndClose(channel);
    },
    async refuses(call, respond) {
      await call.receive();
      const channel = await respond.continue(new Error("not today"));
      await clock.sleep(10);
      await channel.close();
    },
    ticks: continued(null, async ({ respond, channel }, count) => {
      for (let i = 0; i < count; i++) {
        await clock.sleep(10);
        try {
          await respond.send(i);
        } catch {
          return; // The caller has left.
        }
      }
      await endAndClose(channel);
    }),
  };
}

function conversations(clock: ReplayClock): Handlers {
  return {
    chat: continued("ready", async ({ call, respond, channel }) => {
      for await (const n of call) await respond.send(2 * (n as number));
      // A caller that closed takes nothing any more.
      await respond.send("bye").catch(() => {});
      await endAndClose(channel);
    }),
    two: continued("ready", async ({ call, respond, channel }) => {
      for (let i = 0; i < 2; i++) {
        await respond.send(2 * (await call.receive() as number));
      }
      await respond.send("enough");
      await channel.writable.close();
      await readAll(call);
      await channel.close();
    }),
    brief: continued("ready", async ({ respond, channel }) => {
      await respond.send(1);
      await channel.close();
    }),
    leaves: continued("ready", async ({ channel }, ms) => {
      await clock.sleep(ms);
      await channel.close();
    }),
    ends: continued("ready", async ({ call, channel }, ms) => {
      await clock.sleep(ms);
      await endAndClose(channel, () => readAll(call));
    }),
    "ends-twice": continued("ready", async ({ channel }) => {
      await endAndClose(channel, () => channel.writable.close());
    }),
    listens: continued("ready", async ({ call, respond, channel }) => {
      await respond.send(await readAll(call));
      await channel.close();
    }),
  };
}

const bytes: Handlers = {
  bytes: continued(null, async ({ channel }) => {
    const { readable, writable } = channel;
    await readable.pipeTo(writable).catch(() => {});
    await channel.close();
  }),
  sink: continued(null, async ({ respond, channel }) => {
    const hash = createHash("sha256");
    let bytes = 0;
    for await (const chunk of channel.readable) {
      hash.update(chunk);
      bytes += chunk.length;
    }
    await respond.send({ bytes, sha256: hash.digest("hex") });
    await endAndClose(channel);
  }),
  async source(call, respond) {
    const size = await call.receive() as number;
    const channel = await respond.continue(size);
    await patternStream(size).pipeTo(channel.writable);
    await channel.close();
  },
  greet: continued(null, async ({ channel }) => {
    const writer = channel.writable.getWriter();
    await writer.write(utf8("hello"));
    await writer.close();
    for await (const _ of channel.readable);
    await channel.close();
  }),
};

/** A handler that receives its argument, and continues with `value`. */
export function continued(
  value: unknown,
  converse: (conversation: Conversation, argument: number) => Promise<void>,
): HandlerFunction {
  return async (call, respond) => {
    const argument = await call.receive() as number;
    const channel = await respond.continue(value);
    await converse({ call, respond, channel }, argument);
  };
}

async function sendUpTo(respond: Responder, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await respond.send(i);
}

/** Ends the writing, then closes; the caller may have closed before. */
async function endAndClose(
  channel: Channel,
  between: () => Promise<unknown> = () => Promise.resolve(),
): Promise<void> {
  await channel.writable.close().catch(() => {});
  await between().catch(() => {});
  await channel.close();
}

/** Receives to the end; returns how many there were. */
async function readAll(call: Call): Promise<number> {
  let count = 0;
  for await (const _ of call) count++;
  return count;
}
