/**
 * What a client process does to see how cost grows.
 *
 * @module
 */
import type { Sample } from "./measures.ts";
import type { EchoChannel } from "./peer.ts";
import type { Assignment } from "./tasks.ts";

/** How many are opened at once, so that none waits long. */
const BATCH = 100;
/** Milliseconds after which what is not used counts as idle. */
const IDLE = 3_000;
/** Round trips of which the median counts. */
const ROUND_TRIPS = 200;

/** Opens channels; then, how long a round trip takes on one beside them. */
export async function measureChannels(
  { connect, size }: Assignment,
): Promise<Sample> {
  const connection = await connect();
  const open = () => connection.open!();
  const channel = await open();
  await roundTrips(channel, ROUND_TRIPS);
  const start = performance.now();
  const channels = await openMany(size, open);
  const each = (performance.now() - start) / size * 1_000;
  const times = await roundTrips(channel, ROUND_TRIPS);
  if (channels.length !== size) throw new Error("Channels are missing");
  return { value: each, p50: times[times.length >> 1]! };
}

/**
 * Bytes by which the process grows for each of `size` more, from a fifth as
 * many on: what the first ones set up for all is not counted.
 */
export async function measureMemory(
  size: number,
  open: () => Promise<unknown>,
): Promise<Sample> {
  const held = await openMany(size / 5, open);
  const before = await residentBytes();
  held.push(...await openMany(size, open));
  const grown = await residentBytes() - before;
  if (held.length !== size * 1.2) throw new Error("Some are missing");
  return { value: grown / size };
}

async function openMany<T>(
  count: number,
  open: () => Promise<T>,
): Promise<T[]> {
  const opened: T[] = [];
  while (opened.length < count) {
    const length = Math.min(BATCH, count - opened.length);
    opened.push(...await Promise.all(Array.from({ length }, open)));
  }
  return opened;
}

/** Microseconds of each round trip of one byte, the shortest first. */
async function roundTrips(
  { readable, writable }: EchoChannel,
  count: number,
): Promise<number[]> {
  const reader = readable.getReader();
  const writer = writable.getWriter();
  const times: number[] = [];
  while (times.length < count) {
    const begin = performance.now();
    await writer.write(Uint8Array.of(1));
    await reader.read();
    times.push((performance.now() - begin) * 1_000);
  }
  reader.releaseLock();
  writer.releaseLock();
  return times.sort((a, b) => a - b);
}

/**
 * Memory of this process when it has become idle, its garbage is gone, and the
 * rest has moved together, as V8 does when memory is short. Else the pages that
 * garbage was on count, and whose that was is chance.
 */
async function residentBytes(): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, IDLE));
  const { gc } = globalThis as { gc?: (how: object) => void };
  for (let i = 0; i < 3; i++) {
    gc!({ type: "major", flavor: "last-resort", execution: "sync" });
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return Deno.memoryUsage().rss;
}
