// The client process of a Deno peer:
// `client.ts PEER MEASURE ADDRESS SECONDS WARMUP BYTES`.

import {
  CHUNK_SIZE,
  ECHO_VALUE,
  type MeasureName,
  MEASURES,
  type Sample,
} from "./measures.ts";
import { type Connection, loadDenoPeer } from "./peer.ts";

const [file, name, address, ...numbers] = Deno.args as [
  string,
  MeasureName,
  string,
  ...string[],
];
const [seconds, warmup, bytes] = numbers.map(Number) as [
  number,
  number,
  number,
];

/** Keeps `inflight` calls going; returns the milliseconds of each. */
async function callFor(
  { call }: Connection,
  inflight: number,
  seconds: number,
): Promise<{ times: Float64Array; elapsed: number }> {
  const times: number[] = [];
  const start = performance.now();
  const until = start + seconds * 1_000;
  async function worker() {
    for (let begin = performance.now(); begin < until;) {
      const value = await call!(ECHO_VALUE);
      if (value !== ECHO_VALUE) throw new Error(`The echo is ${value}`);
      const now = performance.now();
      times.push(now - begin);
      begin = now;
    }
  }
  await Promise.all(Array.from({ length: inflight }, worker));
  const elapsed = performance.now() - start;
  return { times: Float64Array.from(times).sort(), elapsed };
}

async function measureCalls(
  connection: Connection,
  inflight: number,
): Promise<Sample> {
  await callFor(connection, inflight, warmup);
  const { times, elapsed } = await callFor(connection, inflight, seconds);
  const quantile = (q: number) =>
    times[Math.floor(q * (times.length - 1))]! * 1_000;
  return {
    value: times.length / elapsed * 1_000,
    p50: quantile(0.5),
    p99: quantile(0.99),
  };
}

/** From the first byte sent until the other side has counted the last. */
async function measureBytes(connection: Connection): Promise<Sample> {
  const chunk = new Uint8Array(CHUNK_SIZE);
  await connection.send!(Math.min(bytes, 64 * 1024 * 1024), chunk);
  const start = performance.now();
  const counted = await connection.send!(bytes, chunk);
  const elapsed = performance.now() - start;
  if (counted !== bytes) {
    throw new Error(`The other side counted ${counted} of ${bytes} bytes`);
  }
  return { value: bytes / 1024 / 1024 / elapsed * 1_000 };
}

const peer = await loadDenoPeer(file);
const connection = await peer.connect(address);
const measure = MEASURES[name];
const sample = "inflight" in measure
  ? await measureCalls(connection, measure.inflight)
  : await measureBytes(connection);
console.log(JSON.stringify(sample));
await connection.close();
// Some libraries leave something behind that would keep the process.
Deno.exit(0);
