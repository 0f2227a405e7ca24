/**
 * What is measured, and in which unit.
 *
 * @module
 */
import type { CpuTime } from "./cpu_time.ts";

/** What a client process is told to do. */
export interface MeasureOptions {
  /** How long to call. */
  seconds: number;
  /** Seconds of calls before those that count. */
  warmup: number;
  /** Bytes of a transfer one way. */
  bytes: number;
  /** Bytes of a transfer that is echoed, or that calls go beside. */
  echoBytes: number;
  /** The server process, if the client does not start it. */
  serverId?: number | undefined;
}

/** What a client process prints, as one line of JSON. */
export interface Sample {
  /** In the unit of the measure. */
  value: number;
  /** Microseconds that half of the calls, and 99 %, stayed under. */
  p50?: number;
  p99?: number;
  /** CPU time per GB of a transfer, or per 100,000 calls. */
  cpu?: CpuTime | undefined;
}

/**
 * What carries the bytes between the two processes; over `worker`, messages
 * between the client process and its worker, which is the server.
 */
export type Transport = "tcp" | "unix" | "stdio" | "ws" | "worker";

/** What a client process does: a function of tasks.ts, startup.ts or parallel.ts. */
export type TaskName =
  | "calls"
  | "callsOverConnections"
  | "payload"
  | "roundTrips"
  | "send"
  | "receive"
  | "echo"
  | "besideSend"
  | "besideReceive"
  | "channelTime"
  | "channelMemory"
  | "connectionMemory"
  | "startup"
  | "parallel";

/** Of these, fewer are better. */
const LESS = ["µs", "ms", "B", "round trips"];

/** A measure: what it is about, how, and in which unit. */
export interface Measure {
  title: string;
  unit: "calls/s" | "MB/s" | "µs" | "ms" | "B" | "round trips";
  task: TaskName;
  /** Calls in flight, channels, connections or bytes, as the task has it. */
  size?: number;
  /** Default: `tcp`. */
  transport?: Transport;
  /** Characters of the text that calls carry, in place of a small number. */
  characters?: number;
  /** Whether a slow, distant link lies in between (relay.ts). */
  relay?: boolean;
  /** How often each peer's turn comes in a round. Default: once. */
  turns?: number;
}

/** The link of measures with `relay`: its round trip, and bytes per second. */
export const LINK = { roundTrip: 50, rate: 100 * 1024 * 1024 } as const;

function calls(size: number): Measure {
  return {
    title: `unary calls, ${size === 1 ? "one at a time" : `${size} in flight`}`,
    unit: "calls/s",
    task: "calls",
    size,
  };
}

/** As titles say it. */
const TRANSPORTS = {
  tcp: "TCP",
  unix: "Unix socket",
  stdio: "stdio",
  ws: "WebSocket",
  worker: "worker",
} as const satisfies Record<Transport, string>;

function over(transport: Transport, measure: Measure): Measure {
  const title = `${measure.title}, ${TRANSPORTS[transport]}`;
  return { ...measure, title, transport };
}

const SEND: Measure = {
  title: "bytes one way through one channel",
  unit: "MB/s",
  task: "send",
};

function payload(size: number, name: string): Measure {
  const title = `time of a call with ${name} there and back`;
  return { title, unit: "µs", task: "payload", size };
}

function channelTime(size: number): Measure {
  const title = `opening ${
    size.toLocaleString("en")
  }: time of each; round trip beside`;
  return { title, unit: "µs", task: "channelTime", size };
}

function parallel(size: number): Measure {
  const workers = size === 1 ? "1 worker" : `${size} workers`;
  return {
    title: `calls of 2 ms of computing, \`qtalk serve\` with ${workers}`,
    unit: "calls/s",
    task: "parallel",
    size,
  };
}

/** All measures, by the names that the command line takes. */
export const MEASURES = {
  "unary-1": over("tcp", calls(1)),
  "unary-64": over("tcp", calls(64)),
  "unary-1000": over("tcp", calls(1_000)),
  "unix-1": over("unix", calls(1)),
  "unix-64": over("unix", calls(64)),
  "stdio-1": over("stdio", calls(1)),
  "stdio-64": over("stdio", calls(64)),
  "ws-1": over("ws", calls(1)),
  "ws-64": over("ws", calls(64)),
  // Deno's own client takes 44 ms for a message of more than 1,024 bytes.
  "ws-1k": over("ws", {
    ...calls(1),
    title: "unary calls of 1,100 B, one at a time",
    characters: 1_100,
  }),
  "worker-1": over("worker", calls(1)),
  "worker-64": over("worker", calls(64)),
  "bytes": SEND,
  "unix-bytes": over("unix", SEND),
  "stdio-bytes": over("stdio", SEND),
  "echo": {
    title: "bytes echoed through one channel",
    unit: "MB/s",
    task: "echo",
    size: 1,
  },
  "echo-8": {
    title: "bytes echoed through 8 channels, in sum",
    unit: "MB/s",
    task: "echo",
    size: 8,
  },
  "relay-bytes": {
    title: "bytes through one channel over 50 ms, 100 MiB/s, from 1 s on",
    unit: "MB/s",
    task: "receive",
    relay: true,
  },
  "relay-call": {
    title: "a warm call over 50 ms",
    unit: "round trips",
    task: "roundTrips",
    relay: true,
  },
  "beside-send": {
    title: "bytes sent while calls go beside, and those calls",
    unit: "MB/s",
    task: "besideSend",
  },
  "beside-receive": {
    title: "bytes received while calls go beside, and those calls",
    unit: "MB/s",
    task: "besideReceive",
  },
  "payload-16": payload(16, "16 B"),
  "payload-1k": payload(1024, "1 KiB"),
  "payload-64k": payload(64 * 1024, "64 KiB"),
  "payload-1m": payload(1024 ** 2, "1 MiB"),
  "payload-16m": payload(16 * 1024 ** 2, "16 MiB"),
  "payload-64m": payload(64 * 1024 ** 2, "64 MiB"),
  "channels-1": channelTime(1),
  "channels-100": channelTime(100),
  "channels-10000": channelTime(10_000),
  "channels-100000": channelTime(100_000),
  "channel-memory": {
    title: "memory of an idle channel, of 10,000",
    unit: "B",
    task: "channelMemory",
    size: 10_000,
  },
  "channel-memory-100000": {
    title: "memory of an idle channel, of 100,000",
    unit: "B",
    task: "channelMemory",
    size: 100_000,
  },
  "connections-1000": {
    title: "unary calls, 64 in flight, over 1,000 connections",
    unit: "calls/s",
    task: "callsOverConnections",
    size: 1_000,
  },
  "connection-memory": {
    title: "memory of an idle connection, one end, of 1,000",
    unit: "B",
    task: "connectionMemory",
    size: 1_000,
  },
  "startup": {
    title: "`deno run` of a program whose first call is answered",
    unit: "ms",
    task: "startup",
    turns: 4,
  },
  "parallel-1": parallel(1),
  "parallel-2": parallel(2),
} as const satisfies Record<string, Measure>;

/** The name of a measure. */
export type MeasureName = keyof typeof MEASURES;

/** The measure of that name. */
export function measureOf(name: MeasureName): Measure {
  return MEASURES[name];
}

/** Whether less of it is better. */
export function isBetterLow({ unit }: Measure): boolean {
  return LESS.includes(unit);
}

/** Bytes in each write. */
export const CHUNK_SIZE = 64 * 1024;
/** What a unary call sends and gets back. */
export const ECHO_VALUE = 42;
