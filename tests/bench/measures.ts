/**
 * What is measured, and in which unit.
 *
 * @module
 */

/** What a client process is told to do. */
export interface MeasureOptions {
  /** How long to call. */
  seconds: number;
  /** Seconds of calls before those that count. */
  warmup: number;
  /** Bytes to send. */
  bytes: number;
}

/** What a client process prints, as one line of JSON. */
export interface Sample {
  /** In the unit of the measure. */
  value: number;
  /** Microseconds that half of the calls, and 99 %, stayed under. */
  p50?: number;
  p99?: number;
}

/** A measure: what it is about, and the unit that more of is better. */
export interface Measure {
  title: string;
  unit: "calls/s" | "MiB/s";
  /** Calls in flight; undefined if it is about bytes. */
  inflight?: number;
}

/** All measures, by the names that the command line takes. */
export const MEASURES = {
  "unary-1": {
    title: "unary calls, one after the other",
    unit: "calls/s",
    inflight: 1,
  },
  "unary-64": {
    title: "unary calls, 64 in flight",
    unit: "calls/s",
    inflight: 64,
  },
  "bytes": { title: "one-way bytes through one channel", unit: "MiB/s" },
} as const satisfies Record<string, Measure>;

/** The name of a measure. */
export type MeasureName = keyof typeof MEASURES;

/** Bytes in each write. */
export const CHUNK_SIZE = 64 * 1024;
/** What a unary call sends and gets back. */
export const ECHO_VALUE = 42;
