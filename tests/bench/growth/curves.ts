/**
 * What main.ts measures: for each curve, how large something is made, and what
 * it then costs.
 *
 * @module
 */
import {
  dial,
  dialSession,
  type Handler,
  type Peer,
  Router,
} from "@qtalk/qtalk";
import { callWhile } from "../timing.ts";
import { LIMITS, SESSION_LIMITS } from "./limits.ts";
import type { GrowthService } from "./server.ts";

/** One point of a curve. */
export interface Point {
  size: number;
  /** In the unit of the curve. */
  value: number;
  /** MiB that the client process holds then, garbage excluded. */
  memory: number;
}

/** One curve: a title, units, and what makes its points. */
export interface Curve {
  title: string;
  /** What `size` counts. */
  sizes: string;
  unit: "µs" | "ms";
  /**
   * - `flat`: the value stays as it is, however large the size.
   * - `linear`: it grows as the size does, and no faster.
   */
  wanted: "flat" | "linear";
  /** Yields the points, from the smallest size to the largest. */
  measure(address: string): AsyncGenerator<Point>;
}

/** Connections or channels opened at once. */
const BATCH = 50;
/** Milliseconds that a point is measured for, at least. */
const DURATION = 400;
const MIB = 1024 * 1024;

/** The curves, by the names that client.ts takes. */
export const CURVES = {
  connections: {
    title: "a call, 64 in flight, over more and more connections",
    sizes: "connections",
    unit: "µs",
    wanted: "flat",
    async *measure(address) {
      const peers: Peer[] = [];
      for (const size of [1, 10, 100, 1_000, 9_000]) {
        await fill(peers, size, () => dial(address, LIMITS));
        const connections = peers.map((peer) => ({
          call: (value: unknown) => peer.call("same", [value]),
          close() {},
        }));
        // Each connection is used before the calls that count.
        let left = Math.max(size, 5_000);
        await callWhile(connections, 64, () => left-- > 0, 42);
        const until = performance.now() + 1_000;
        const going = () => performance.now() < until;
        const { times, elapsed } = await callWhile(connections, 64, going, 42);
        yield point(size, elapsed / times.length * 1_000);
      }
    },
  },
  channels: {
    title: "opening channels, all of them",
    sizes: "channels",
    unit: "ms",
    wanted: "linear",
    async *measure(address) {
      for (const size of [1, 10, 100, 1_000, 10_000, 100_000]) {
        await using session = await dialSession(address, SESSION_LIMITS);
        const times: number[] = [];
        const channels: unknown[] = [];
        for (let i = 0; i < (size < 1_000 ? 5 : 1); i++) {
          const begin = performance.now();
          await fill(channels, channels.length + size, () => session.open());
          times.push(performance.now() - begin);
        }
        yield point(size, Math.min(...times));
      }
    },
  },
  values: {
    title: "a text there and back",
    sizes: "bytes",
    unit: "µs",
    wanted: "linear",
    async *measure(address) {
      await using peer = await dial(address, LIMITS);
      for (const size of [16, 256, 4_096, 65_536, MIB, 16 * MIB, 64 * MIB]) {
        const text = "x".repeat(size);
        yield point(size, await usual(() => peer.call("same", [text])));
      }
    },
  },
  patterns: {
    title: "finding a handler among patterns",
    sizes: "patterns",
    unit: "µs",
    wanted: "flat",
    async *measure() {
      const handler: Handler = (_call, respond) => respond.return();
      for (const size of [1, 10, 100, 1_000, 10_000, 100_000]) {
        const router = new Router();
        const selectors = Array.from({ length: size }, (_, i) => {
          // Every second pattern is a prefix.
          router.handle(i % 2 === 0 ? `/a${i}/b` : `/a${i}/`, handler);
          return `/a${i}/b`;
        });
        const REPEATS = 100_000;
        const each = await usual(() => {
          for (let i = 0; i < REPEATS; i++) {
            router.match(selectors[(i * 7_919) % size]!);
          }
        });
        yield point(size, each / REPEATS);
      }
    },
  },
  callbacks: {
    title: "passing and calling a callback, among others that are held",
    sizes: "callbacks",
    unit: "µs",
    wanted: "flat",
    async *measure(address) {
      await using peer = await dial(address, LIMITS);
      const api = peer.remote<GrowthService>();
      for (const size of [1, 16, 256, 4_096]) {
        const functions = Array.from(
          { length: size },
          (_, i) => (value: number) => value + i,
        );
        yield point(size, await usual(() => api.each(functions)) / size);
      }
    },
  },
  nesting: {
    title: "a value nested deeply, there and back",
    sizes: "levels",
    unit: "µs",
    wanted: "linear",
    async *measure(address) {
      await using peer = await dial(address, LIMITS);
      // The array of the arguments is a level, too.
      for (const size of [1, 8, 64, 256, 511]) {
        let value: unknown = 1;
        for (let level = 0; level < size; level++) value = [value];
        yield point(size, await usual(() => peer.call("same", [value])));
      }
    },
  },
} as const satisfies Record<string, Curve>;

/** The name of a curve. */
export type CurveName = keyof typeof CURVES;

async function fill<T>(
  all: T[],
  size: number,
  open: () => Promise<T>,
): Promise<void> {
  while (all.length < size) {
    const length = Math.min(BATCH, size - all.length);
    all.push(...await Promise.all(Array.from({ length }, open)));
  }
}

/** The median of what `run` takes once it is warm, in microseconds. */
async function usual(run: () => unknown): Promise<number> {
  const times: number[] = [];
  for (const count of [0, 5]) {
    times.length = 0;
    const until = performance.now() + DURATION;
    while (performance.now() < until || times.length < count) {
      const begin = performance.now();
      await run();
      times.push((performance.now() - begin) * 1_000);
    }
  }
  times.sort((a, b) => a - b);
  return times[times.length >> 1]!;
}

function point(size: number, value: number): Point {
  (globalThis as { gc?: () => void }).gc!();
  const { heapUsed, external } = Deno.memoryUsage();
  return { size, value, memory: (heapUsed + external) / MIB };
}
