/**
 * What a client process does, once for all peers.
 *
 * @module
 */
import {
  CHUNK_SIZE,
  ECHO_VALUE,
  LINK,
  type MeasureOptions,
  type Sample,
  type TaskName,
} from "./measures.ts";
import { measureChannels, measureMemory } from "./growth_tasks.ts";
import type { Connection } from "./peer.ts";
import { CpuMeter } from "./cpu_time.ts";
import { callWhile, quantile, quantiles, rate, timeCalls } from "./timing.ts";

/** What a task is given. */
export interface Assignment {
  connect(): Promise<Connection>;
  /** The measure's. */
  size: number;
  /** What calls carry. */
  value: unknown;
  options: MeasureOptions;
}

/** Bytes sent before those that count. */
const BYTES_BEFORE = 64 * 1024 * 1024;
/** Connections made at once. */
const DIALS_AT_ONCE = 50;

/** What measures name; what has no function here has a program of its own. */
export const TASKS: Record<
  TaskName,
  (assignment: Assignment) => Promise<Sample>
> = {
  async calls({ connect, size, value, options }) {
    return rate(await timeCalls([await connect()], size, options, value));
  },

  async callsOverConnections({ connect, size, options }) {
    const connections: Connection[] = [];
    while (connections.length < size) {
      const dials = Array.from({ length: DIALS_AT_ONCE }, connect);
      connections.push(...await Promise.all(dials));
    }
    return rate(await timeCalls(connections, 64, options));
  },

  async payload({ connect, size, options }) {
    const text = "x".repeat(size);
    const calls = await timeCalls([await connect()], 1, options, text);
    return { value: quantile(calls.times, 0.5), cpu: calls.cpu };
  },

  async roundTrips({ connect, options }) {
    const { times } = await timeCalls([await connect()], 1, options);
    return { value: quantile(times, 0.5) / 1_000 / LINK.roundTrip };
  },

  async send({ connect, options }) {
    const transfer = await sending(await connect());
    await transfer(Math.min(options.bytes, BYTES_BEFORE));
    return await speed(options.bytes, transfer, options);
  },

  async echo({ connect, size, options }) {
    const connection = await connect();
    const chunk = new Uint8Array(CHUNK_SIZE);
    async function transfer(bytes: number): Promise<void> {
      const each = bytes / size;
      const counted = await Promise.all(
        Array.from({ length: size }, () => connection.echo!(each, chunk)),
      );
      for (const count of counted) check(count, each);
    }
    await transfer(Math.min(options.echoBytes, BYTES_BEFORE));
    return await speed(options.echoBytes, transfer, options);
  },

  /** What comes after the first second, two seconds long at the link's rate. */
  async receive({ connect }) {
    const connection = await connect();
    const start = performance.now() + 1_000;
    let late = 0;
    await connection.receive!(3 * LINK.rate, (size) => {
      if (performance.now() > start) late += size;
    });
    return { value: late / 1_000 / (performance.now() - start) };
  },

  async besideSend({ connect, options }) {
    const connection = await connect();
    return await callBeside(connection, options, await sending(connection));
  },

  async besideReceive({ connect, options }) {
    const connection = await connect();
    return await callBeside(connection, options, async (bytes) => {
      let counted = 0;
      await connection.receive!(bytes, (size) => counted += size);
      check(counted, bytes);
    });
  },

  channelTime: measureChannels,
  async channelMemory({ connect, size }) {
    const connection = await connect();
    return await measureMemory(size, () => connection.open!());
  },
  connectionMemory: ({ connect, size }) =>
    measureMemory(size, async () => {
      const connection = await connect();
      // One that was used, and has been idle since.
      await connection.call!(ECHO_VALUE);
      return connection;
    }),

  startup: hasItsOwnProgram,
  parallel: hasItsOwnProgram,
};

function hasItsOwnProgram(): Promise<Sample> {
  return Promise.reject(new Error("Cannot measure this by tasks.ts"));
}

/** Bulk, and calls one at a time for as long as it goes on. */
async function callBeside(
  connection: Connection,
  options: MeasureOptions,
  transfer: (bytes: number) => Promise<void>,
): Promise<Sample> {
  const { echoBytes } = options;
  async function both(bytes: number) {
    let going = true;
    const bulk = speed(bytes, transfer, options).finally(() => going = false);
    const calls = callWhile([connection], 1, () => going, ECHO_VALUE);
    return { ...await bulk, ...quantiles((await calls).times) };
  }
  await both(Math.min(echoBytes, BYTES_BEFORE));
  return await both(echoBytes);
}

function sending(connection: Connection) {
  const chunk = new Uint8Array(CHUNK_SIZE);
  return async (bytes: number) =>
    check(await connection.send!(bytes, chunk), bytes);
}

/** MB/s, from the first byte until the other side has counted the last. */
async function speed(
  bytes: number,
  transfer: (bytes: number) => Promise<void>,
  { serverId }: MeasureOptions,
): Promise<Sample> {
  const meter = new CpuMeter(serverId);
  const start = performance.now();
  await transfer(bytes);
  const value = bytes / 1_000 / (performance.now() - start);
  return { value, cpu: meter.stop(bytes / 1e9) };
}

function check(counted: number, bytes: number): void {
  if (counted === bytes) return;
  throw new Error(`The other side counted ${counted} of ${bytes} bytes`);
}
