import type { Caller } from "../../../rpc/internal.ts";
import { channelOf } from "./interop_checks.ts";

/** The rate and the latencies of calls. */
export interface CallFigures {
  /** Calls that were answered per second. */
  readonly callsPerSecond: number;
  /** The median latency, in microseconds. */
  readonly p50: number;
  /** The 99th percentile of the latencies, in microseconds. */
  readonly p99: number;
}

/** Is called with the completed share of a measurement, from 0 to 1. */
export type OnProgress = (share: number) => void;

/** Makes the call that is measured. */
export type MakeCall = () => Promise<unknown>;

/** Seconds of warming up for each second of measuring. */
const WARM_UP = 0.25;

/** Measures calls, with `inFlight` of them at a time, for some seconds. */
export async function measureCalls(
  makeCall: MakeCall,
  inFlight: number,
  seconds: number,
  onProgress: OnProgress,
): Promise<CallFigures> {
  // A child that was just started answers once it is ready.
  await makeCall();
  await callFor(makeCall, inFlight, seconds * WARM_UP, () => {});
  const { took, elapsed } = await callFor(
    makeCall,
    inFlight,
    seconds,
    onProgress,
  );
  took.sort((a, b) => a - b);
  const share = (part: number) => took[Math.floor(took.length * part)]! * 1_000;
  return {
    callsPerSecond: took.length / (elapsed / 1_000),
    p50: share(0.5),
    p99: share(0.99),
  };
}

/** Makes calls for some seconds; resolves to the times in milliseconds. */
async function callFor(
  makeCall: MakeCall,
  inFlight: number,
  seconds: number,
  onProgress: OnProgress,
): Promise<{ took: number[]; elapsed: number }> {
  const start = performance.now();
  const took: number[] = [];
  let elapsed = 0;
  const callOn = async () => {
    while (elapsed < seconds * 1_000) {
      const before = performance.now();
      await makeCall();
      const now = performance.now();
      took.push(now - before);
      elapsed = now - start;
      onProgress(Math.min(1, elapsed / (seconds * 1_000)));
    }
  };
  await Promise.all(Array.from({ length: inFlight }, callOn));
  return { took, elapsed };
}

/** Bytes in each write. */
const CHUNK_SIZE = 64 * 1024;

/**
 * Sends bytes through the service's `Bytes` and receives them again; resolves
 * to bytes per second.
 *
 * @throws {Error} if the number of received bytes differs
 */
export async function measureBytes(
  caller: Caller,
  size: number,
  onProgress: OnProgress,
): Promise<number> {
  await using response = await caller.request("Bytes", null);
  const { readable, writable } = channelOf(response);
  const start = performance.now();
  const send = async () => {
    const chunk = new Uint8Array(CHUNK_SIZE);
    const writer = writable.getWriter();
    for (let left = size; left > 0; left -= CHUNK_SIZE) {
      await writer.write(chunk.subarray(0, Math.min(left, CHUNK_SIZE)));
    }
    await writer.close();
  };
  const receive = async () => {
    let received = 0;
    for await (const chunk of readable) {
      received += chunk.length;
      onProgress(received / size);
    }
    return received;
  };
  const [received] = await Promise.all([receive(), send()]);
  if (received !== size) {
    throw new Error(`Expected ${size} bytes back, got ${received}`);
  }
  return size / ((performance.now() - start) / 1_000);
}
