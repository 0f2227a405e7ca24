/**
 * Sessions with a peer that sends nearly valid frames: they go on or end with a
 * typed error, and hold nothing afterwards.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import {
  CallError,
  CodecError,
  type Handler,
  handlerFrom,
  MuxError,
  RemoteError,
  RpcError,
  withCall,
  withStream,
} from "@qtalk/qtalk";
import type { Random } from "../support/random.ts";
import { type RawPeer, rawPeer } from "../support/raw_peer.ts";
import {
  adjust,
  close,
  concat,
  confirm,
  data,
  eof,
  failure,
  open,
  values,
} from "../support/wire.ts";
import { turn, within } from "../support/within.ts";
import type { Target } from "./target.ts";
import { anyValue, damaged } from "./values.ts";

/** Turns of the event loop within which handlers notice the end. */
const TURNS = 200;

/** A session that has ended. */
const NOTHING = {
  slots: 0,
  windows: 0,
  values: 0,
  arguments: 0,
  responses: 0,
  callbacks: 0,
  channels: 0,
  headers: 0,
  unacknowledged: 0,
  total: 0,
};

const SELECTORS = ["echo", "sum", "count", "ask", "bytes", "fail", "nothing"];

const service: Handler = handlerFrom({
  echo: (value: unknown) => value,
  sum: withStream(async (values: AsyncIterable<unknown>) => {
    let sum = 0;
    for await (const value of values) sum += Number(value);
    return sum;
  }),
  async *count(to: number) {
    for (let n = 0; n < Math.min(to, 50); n++) yield n;
  },
  ask: withCall((call) => call.caller.call("answer")),
  bytes: () => new TransformStream<Uint8Array, Uint8Array>(),
  fail: () => {
    throw new CallError("failed");
  },
});

/** A frame, valid or nearly so. */
function anyBytes(random: Random): Uint8Array {
  const id = random.int(0, 4);
  const call = values(
    { Selector: random.pick(SELECTORS), ...random.chance(0.5) && { Q: 1 } },
    random.chance(0.7) ? [random.int(0, 9)] : jsonValue(random),
  );
  switch (random.int(0, 11)) {
    case 0:
    case 1:
    case 2:
      return open(id, random.pick([0, 10, 2 ** 20, 2 ** 31]));
    case 3:
    case 4:
    case 5:
      return data(id, call);
    case 6:
      return data(id, values(jsonValue(random)));
    case 7:
      return adjust(id, random.pick([0, 1, 1_000, 2 ** 31]));
    case 8:
      return eof(id);
    case 9:
      return close(id);
    case 10:
      return confirm(id, random.int(0, 4), random.pick([0, 2 ** 20]));
    default:
      return random.chance(0.5) ? failure(id) : random.bytes(3);
  }
}

function jsonValue(random: Random): unknown {
  const value = anyValue(random, 2);
  return JSON.parse(
    JSON.stringify(value, (_, v) => typeof v === "bigint" ? 1 : v) ?? "null",
  );
}

async function speak(random: Random, raw: RawPeer): Promise<void> {
  const count = random.int(1, 40);
  let bytes: Uint8Array = concat(
    ...Array.from({ length: count }, () => anyBytes(random)),
  );
  if (random.chance(0.3)) bytes = damaged(random, bytes);
  for (const chunk of random.split(bytes, random.pick([1, 30, 5_000]))) {
    try {
      await raw.send(chunk);
    } catch {
      return; // The session has ended.
    }
  }
}

function isTyped(error: unknown): boolean {
  return [MuxError, RpcError, RemoteError, CodecError]
    .some((type) => error instanceof type);
}

/** Sessions with nearly valid frames. */
export const sessions: Target = {
  name: "sessions",
  async round(random) {
    const errors: unknown[] = [];
    const { peer, raw } = rawPeer({
      handler: service,
      onError: (error) => errors.push(error),
      session: { closeTimeout: 1 },
    });
    const call = peer.call("any", [1]).catch((error) => error);
    await within(speak(random, raw), "the session to read on");
    await raw.end();
    const end = await within(
      peer.closed.then(() => undefined, (error) => error),
      "the session to end",
    );
    const outcome = await within(call, "a call to settle");
    for (const error of [end, outcome, ...errors]) {
      if (!(error instanceof Error)) continue;
      assert(isTyped(error), `${error.name}: ${error.message}`);
    }
    assertEquals(peer.session.usage.channels, 0);
    const { session } = peer;
    for (let i = 0; i < TURNS && session.usage.held.total > 0; i++) {
      await turn();
    }
    const { slots, held } = session.usage;
    assertEquals({ slots, ...held }, NOTHING);
  },
};
