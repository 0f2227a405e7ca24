/**
 * What an attack is: the server that it needs, the bounds that must hold, and
 * the code that runs it.
 *
 * @module
 */
import type { Attacker } from "./attacker_side.ts";

/** How the server under attack is set up. */
export interface Setup {
  /**
   * What it listens on. `serve` is `serveWebSocket()` in a `Deno.serve()`.
   * Default: `tcp`.
   */
  transport?: "tcp" | "ws" | "serve" | "quic" | "wt";
  /** How values travel. Default: `json`. */
  codec?: "json" | "cbor" | "msgpack";
  /**
   * What answers: the service itself, a `forward()` to a backend that has it, or
   * that of a rendezvous beside it. Default: `plain`.
   */
  service?: "plain" | "gateway" | "rendezvous";
  /** Whether sessions may survive their connection. Default: they may not. */
  resume?: boolean;
  /** Whether `quic` takes clients of qtalk-go. Default: it does not. */
  plainStreams?: boolean;
}

/** Where the server is. */
export interface Place {
  address: string;
  /** The fingerprint by which to trust it, if it has a certificate. */
  pin?: string;
}

/** What must happen to the attacking session. */
export type Outcome =
  /** The server reports a typed error and ends the session. */
  | "session ends"
  /** Backpressure is enough; if the session ends, then with a typed error. */
  | "may end"
  /** It begins none, or the attack checks what happens to it. */
  | "not judged"
  /** It does nothing wrong: its session must stay open, without errors. */
  | "lives";

/** One attack, or an honest use that must not be taken for one. */
export interface Attack {
  /** The name that `--only` takes. */
  readonly name: string;
  /** What it does, in a sentence. */
  readonly about: string;
  /** Default: JSON over TCP, answered by the service itself. */
  readonly setup?: Setup;
  /** Bytes by which the server process may grow. */
  readonly memory: number;
  /**
   * Bytes that may be alive while the attacker is connected. Default: the
   * budget of one session.
   */
  readonly held?: number;
  /**
   * Bytes that may be alive when the attacker has left. Default: a little garbage.
   */
  readonly left?: number;
  /** What must happen to the session. */
  readonly outcome: Outcome;
  /** Duration in milliseconds. Default: 3,000. */
  readonly ms?: number;
  /** The name of an attack to run at the same time, from another process. */
  readonly beside?: string;
  /**
   * Why the bound cannot hold, as the docs say: a failure is shown and not
   * counted.
   */
  readonly documented?: string;
  /** Runs in the attacker's process. */
  run(it: Attacker): Promise<void>;
}

/** An expectation of an attack, and whether it was met. */
export interface Check {
  what: string;
  holds: boolean;
  /** What was seen instead. */
  saw?: string;
}

/** What the attacker's process reports. */
export interface Findings {
  /** Bytes sent over raw connections. */
  sent: number;
  /** The number of raw connections in each state. */
  lines: Record<string, number>;
  checks: Check[];
  /** The exact error codes that the server must report, if known. */
  expectedErrors?: string[];
}

/** One row of the table. */
export interface Measured {
  attack: string;
  about: string;
  bound: number;
  /** Bytes by which the process grew at its peak. */
  peak: number | undefined;
  /** Bytes alive with the attacker connected, and after it has left. */
  held: number | undefined;
  left: number | undefined;
  /** `session.usage` of the server's sessions with the attacker connected. */
  usage: unknown;
  healthy: HealthyReport | undefined;
  /** How the server ended, if it did. */
  died: string | undefined;
  /** The number of errors that the server reported, by code. */
  errors: Record<string, number>;
  findings: Findings | undefined;
  /** The cores that other processes of the machine have used meanwhile. */
  others: number | undefined;
  /** What failed. */
  problems: string[];
  /** Why a failure is not counted. */
  documented?: string;
  /** Whether other processes kept the machine too busy to judge it. */
  disturbed?: boolean;
}

/** What the healthy client measured; times are in milliseconds. */
export interface HealthyReport {
  calls: number;
  failures: Record<string, number>;
  p50: number;
  p99: number;
  max: number;
  /** The longest time for a new connection and its first call. */
  connectMax: number;
  connects: number;
}
