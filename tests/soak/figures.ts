/**
 * What a process of a soak run holds while nothing is going on.
 *
 * @module
 */
import type { Peer } from "@qtalk/qtalk";
import { timers } from "./timers.ts";

/** The figures of one process. Sizes are in bytes. */
export interface Figures {
  /** Objects, and buffers outside the heap, after collecting garbage. */
  alive: number;
  /** Resident size. */
  rss: number;
  /** Open files, sockets included; 0 where the system does not say. */
  files: number;
  /** Entries of the runtime's table of resources. */
  resources: number;
  /** Timers that have not run. */
  timers: number;
  /** Sessions. */
  peers: number;
  /** Channels whose ID is in use. */
  channels: number;
  /** Channels that count towards `maxChannels`. */
  slots: number;
  /** Functions and streams that the other ends can use. */
  callbacks: number;
  /** What the accounts hold, apart from the headers that are remembered. */
  held: number;
  /** Handlers that have not ended, and listeners on a signal that lives on. */
  running: number;
}

/** Those that are 0 when nothing is going on. */
export const IDLE = [
  "channels",
  "slots",
  "callbacks",
  "held",
  "running",
] as const satisfies (keyof Figures)[];

/**
 * How long a process may take to let go of everything, in milliseconds. The last spare
 * channel of a session takes up to 13 s, and more on a busy machine.
 */
const PATIENCE = 30_000;

/** What is inside of the runtime. */
interface Core {
  resources(): Record<string, string>;
}

const { internal } = Deno as unknown as { internal: symbol };
const { core } = (Deno as unknown as Record<symbol, { core: Core }>)[internal]!;

function collectGarbage(): void {
  const { gc } = globalThis as { gc?: () => void };
  if (gc === undefined) throw new Error("--v8-flags=--expose-gc is missing");
  gc();
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** What these peers hold now. */
function heldBy(peers: Iterable<Peer>) {
  const sum = { peers: 0, channels: 0, slots: 0, callbacks: 0, held: 0 };
  for (const peer of peers) {
    const { channels, slots, held } = peer.session.usage;
    sum.peers++;
    sum.channels += channels;
    sum.slots += slots;
    sum.callbacks += peer.callbackCount;
    sum.held += held.total - held.headers;
  }
  return sum;
}

async function countFiles(): Promise<number> {
  try {
    const entries = await Array.fromAsync(Deno.readDir("/proc/self/fd"));
    // One of them is the directory that is being read.
    return entries.length - 1;
  } catch {
    return 0;
  }
}

/**
 * Waits until nothing is going on, and counts what is held then. Channels that
 * are open ahead of need go after some seconds without calls, and callbacks that
 * were forgotten when garbage has been collected at the other end.
 *
 * @param peers those of this process, as they are at any time
 * @param running how many handlers and listeners there are
 */
export async function figuresAtRest(
  peers: () => Iterable<Peer>,
  running: () => number,
): Promise<Figures> {
  const end = performance.now() + PATIENCE;
  for (;;) {
    collectGarbage();
    await pause(100);
    const now = { ...heldBy(peers()), running: running() };
    const left = IDLE.some((name) => now[name] > 0);
    if (left && performance.now() < end) continue;
    collectGarbage();
    const { heapUsed, external, rss } = Deno.memoryUsage();
    return {
      alive: heapUsed + external,
      rss,
      files: await countFiles(),
      resources: Object.keys(core.resources()).length,
      timers: timers.count,
      ...now,
    };
  }
}
