/**
 * A session with channels that carry random bytes, over connections that are cut.
 *
 * @module
 */
import { toHex } from "../../hex.ts";
import { qmux } from "../../mux/session.ts";
import type { SessionOptions } from "../../mux/options.ts";
import type { Channel, Session } from "../../mux/types.ts";
import { memoryTransports } from "../../mux/transport/memory.ts";
import { Random } from "../support/random.ts";
import { within } from "../support/within.ts";
import { CUTS, Line } from "./line.ts";
import { MemoryNetwork } from "./memory_network.ts";

/** More bytes than the handshake of a new session has. */
const HANDSHAKE = 350;

/** What one direction of a channel carries. */
interface Stream {
  readonly chunks: readonly number[];
  readonly salt: number;
}

/** A channel: which side opens it, and what each sends. */
interface Plan {
  readonly opener: "dialer" | "listener";
  readonly there: Stream;
  readonly back: Stream;
}

/** What came out: the hashes of all directions of all channels. */
export type Outcome = readonly string[];

/** What happened meanwhile. */
export interface Figures {
  cuts: number;
  bytes: number;
}

/** Draws what a session carries. */
function planOf(random: Random): Plan[] {
  const stream = (): Stream => {
    const count = random.int(0, 20);
    const size = random.pick([10, 1_000, 8_000]);
    return {
      chunks: Array.from({ length: count }, () => random.int(1, size)),
      salt: random.int(0, 255),
    };
  };
  return Array.from({ length: random.int(1, 8) }, () => ({
    opener: random.pick(["dialer", "listener"]),
    there: stream(),
    back: stream(),
  }));
}

function optionsOf(random: Random): SessionOptions {
  return {
    initialWindowSize: random.pick([200, 5_000, 65_536]),
    maxPacketSize: random.pick([100, 3_000, 65_536]),
  };
}

/** Runs a session over one connection that is not cut. */
export async function runWithoutCuts(seed: number): Promise<Outcome> {
  const random = new Random(seed);
  const plan = planOf(random);
  const [left, right] = memoryTransports();
  return await run(plan, [
    qmux(left, optionsOf(random)),
    qmux(right, optionsOf(random)),
  ]);
}

/** How many bytes the session of a seed carries. */
export function sizeOf(seed: number): number {
  return planOf(new Random(seed)).flatMap(({ there, back }) => [there, back])
    .flatMap(({ chunks }) => chunks)
    .reduce((sum, size) => sum + size, 0);
}

/**
 * Runs the same session between what `dial` dials and what `listener` accepts.
 *
 * @param settled resolves when the session can be closed; its last bytes have arrived
 */
export async function runDialed(
  seed: number,
  listener: AsyncIterable<Session>,
  dial: () => Promise<Session>,
  settled?: () => Promise<void>,
): Promise<Outcome> {
  const accepting = listener[Symbol.asyncIterator]();
  const connect = async () => {
    const accepted = accepting.next();
    const dialer = await dial();
    return [dialer, (await accepted).value!] as const;
  };
  try {
    return await within(
      connect().then((ends) => run(planOf(new Random(seed)), ends, settled)),
      "a session that is cut",
      90_000,
    );
  } finally {
    await accepting.return?.();
  }
}

/** Runs the same session over connections that are cut 1 to 20 times. */
export async function runWithCuts(
  seed: number,
  figures: Figures,
): Promise<Outcome> {
  const random = new Random(seed);
  const plan = planOf(random);
  const options = [optionsOf(random), optionsOf(random)] as const;
  const sizes = plan.flatMap(({ there, back }) => [there, back])
    .flatMap(({ chunks }) => chunks);
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  figures.bytes += bytes;
  const faults = random.fork();
  let left = faults.int(1, 20);
  const between = Math.max(500, 2 * bytes / left);
  const network: MemoryNetwork = new MemoryNetwork({
    keepAlive: { interval: 20, timeout: 20 },
    attemptTimeout: 60,
    maxUnacknowledged: faults.pick([65_536, 2 ** 20]),
    line() {
      let size = left > 0 ? faults.int(0, between) : Infinity;
      if (network.lines.length === 0) {
        // It is cut in any case, but not in its handshake: dialing would fail.
        size = HANDSHAKE + faults.int(0, Math.min(between, bytes / 2 + 20));
      }
      return new Line(size, faults.pick(CUTS), () => {
        left--;
        figures.cuts++;
      });
    },
  });
  try {
    const [dialer, listener] = await network.session();
    void acceptOthers(network);
    return await run(plan, [
      qmux(dialer, options[0]),
      qmux(listener, options[1]),
    ]);
  } finally {
    network.close();
  }
}

/** Lets the listener look at further connections: none is a new session. */
async function acceptOthers(network: MemoryNetwork): Promise<void> {
  const accepted = await network.listener.accept();
  // A connection that was silent may be taken for one of plain qmux.
  if (accepted === null) return;
  void accepted.transport.close();
  return await acceptOthers(network);
}

async function run(
  plan: readonly Plan[],
  [dialer, listener]: readonly [Session, Session],
  settled?: () => Promise<void>,
): Promise<Outcome> {
  try {
    const outcome = await Promise.all([
      ...plan.map((it, i) => open(it, i, dialer, listener)),
      serve(plan, "dialer", dialer),
      serve(plan, "listener", listener),
    ]);
    await settled?.();
    return outcome.flat();
  } finally {
    await Promise.all([dialer.close(), listener.close()]);
  }
}

async function open(
  { opener, there, back }: Plan,
  index: number,
  dialer: Session,
  listener: Session,
): Promise<string[]> {
  const session = opener === "dialer" ? dialer : listener;
  const channel = await session.open();
  // The first byte says which one it is, however they are ordered.
  const [, hash] = await Promise.all([
    send(channel, there, index),
    receive(channel, back),
  ]);
  await channel.closed;
  return [`${index} back ${hash}`];
}

/** Answers the channels that the other side opens. */
async function serve(
  plan: readonly Plan[],
  side: "dialer" | "listener",
  session: Session,
): Promise<string[]> {
  const expected = plan.filter(({ opener }) => opener !== side).length;
  if (expected === 0) return [];
  const hashes: Promise<string>[] = [];
  for await (const channel of session) {
    hashes.push(answer(plan, channel));
    if (hashes.length === expected) break;
  }
  return (await Promise.all(hashes)).sort();
}

async function answer(
  plan: readonly Plan[],
  channel: Channel,
): Promise<string> {
  const reader = channel.readable.getReader();
  const first = await reader.read();
  const index = first.value![0]!;
  reader.releaseLock();
  const { there, back } = plan[index]!;
  const [, hash] = await Promise.all([
    send(channel, back),
    receive(channel, there, first.value!.subarray(1)),
  ]);
  await channel.closed;
  return `${index} there ${hash}`;
}

async function send(
  { writable }: Channel,
  { chunks, salt }: Stream,
  first?: number,
): Promise<void> {
  const writer = writable.getWriter();
  if (first !== undefined) await writer.write(new Uint8Array([first]));
  let at = 0;
  for (const size of chunks) {
    const chunk = new Uint8Array(size);
    for (let i = 0; i < size; i++) chunk[i] = byteAt(salt, at + i);
    at += size;
    await writer.write(chunk);
  }
  await writer.close();
}

/** Receives a direction, checks every byte, and returns its hash. */
async function receive(
  { readable }: Channel,
  { chunks, salt }: Stream,
  first: Uint8Array = new Uint8Array(0),
): Promise<string> {
  const expected = chunks.reduce((sum, size) => sum + size, 0);
  const bytes = new Uint8Array(expected);
  let at = 0;
  const take = (chunk: Uint8Array) => {
    for (const [i, byte] of chunk.entries()) {
      if (byte !== byteAt(salt, at + i)) {
        throw new Error(`Byte ${at + i} is another`);
      }
    }
    if (at + chunk.length > expected) {
      throw new Error("There are too many bytes");
    }
    bytes.set(chunk, at);
    at += chunk.length;
  };
  take(first);
  for await (const chunk of readable) take(chunk);
  if (at !== expected) throw new Error(`${at} of ${expected} bytes arrived`);
  return toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
}

function byteAt(salt: number, at: number): number {
  return (salt + at * 31 + (at >> 8) * 7) & 0xff;
}
