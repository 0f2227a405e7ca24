/**
 * Calls, and how long each takes.
 *
 * @module
 */
import { CpuMeter, type CpuTime } from "./cpu_time.ts";
import { ECHO_VALUE, type MeasureOptions, type Sample } from "./measures.ts";
import type { Connection } from "./peer.ts";

/** Calls and how long each took, in microseconds, the shortest first. */
export interface Calls {
  times: Float64Array;
  /** Milliseconds for all of them. */
  elapsed: number;
  /** CPU time per 100,000 of them. */
  cpu?: CpuTime | undefined;
}

/** Calls to which their CPU time is given. */
const CALLS = 100_000;

/** Keeps `inflight` calls going, after some that do not count. */
export async function timeCalls(
  connections: readonly Connection[],
  inflight: number,
  { seconds, warmup, serverId }: MeasureOptions,
  value: unknown = ECHO_VALUE,
): Promise<Calls> {
  const callFor = (duration: number) => {
    const until = performance.now() + duration * 1_000;
    const going = () => performance.now() < until;
    return callWhile(connections, inflight, going, value);
  };
  await callFor(warmup);
  const meter = new CpuMeter(serverId);
  const calls = await callFor(seconds);
  return { ...calls, cpu: meter.stop(calls.times.length / CALLS) };
}

/** Every one of `inflight` workers makes at least one call. */
export async function callWhile(
  connections: readonly Connection[],
  inflight: number,
  going: () => boolean,
  value: unknown,
): Promise<Calls> {
  const times: number[] = [];
  let next = 0;
  const start = performance.now();
  async function worker(): Promise<void> {
    do {
      const begin = performance.now();
      const connection = connections[next++ % connections.length]!;
      if (await connection.call!(value) !== value) {
        throw new Error("The echo differs from what was sent");
      }
      times.push((performance.now() - begin) * 1_000);
    } while (going());
  }
  await Promise.all(Array.from({ length: inflight }, worker));
  const elapsed = performance.now() - start;
  return { times: Float64Array.from(times).sort(), elapsed };
}

/** As a sample of calls per second. */
export function rate({ times, elapsed, cpu }: Calls): Sample {
  return { value: times.length / elapsed * 1_000, ...quantiles(times), cpu };
}

/** What a share of the times stays under. */
export function quantile(sorted: Float64Array, q: number): number {
  return sorted[Math.floor(q * (sorted.length - 1))]!;
}

/** What a sample has beside its value. */
export function quantiles(sorted: Float64Array) {
  return { p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99) };
}
