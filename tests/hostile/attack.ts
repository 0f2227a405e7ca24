/**
 * What an attack is: who runs it, against which server, and what has to hold
 * meanwhile.
 *
 * @module
 */
import type { Attacker } from "./attacker_side.ts";

/** How the server is set up that an attack runs against. */
export interface Setup {
  /**
   * What it listens on. `serve` is `serveWebSocket()` in a `Deno.serve()`.
   * Default: `tcp`.
   */
  transport?: "tcp" | "ws" | "serve";
  /** How values travel. Default: `json`. */
  codec?: "json" | "cbor" | "msgpack";
  /**
   * What answers: the service itself, or a `forward()` to a backend that has
   * it. Default: `plain`.
   */
  service?: "plain" | "gateway";
}

/** What has to become of the session that attacks. */
export type Outcome =
  /** The server reports a typed error and ends the session. */
  | "session ends"
  /** Backpressure is enough; if the session ends, then with a typed error. */
  | "may end"
  /** It does nothing wrong: its session lives, and no error is reported. */
  | "lives";

/** One attack, or an honest use that once looked like one. */
export interface Attack {
  /** What `--only` selects it by. */
  readonly name: string;
  /** What it does, in a sentence. */
  readonly about: string;
  /** Default: JSON over TCP, answered by the service itself. */
  readonly setup?: Setup;
  /** Bytes that the server process may grow by at its peak. */
  readonly memory: number;
  /**
   * Bytes that may be alive while the attacker is connected. Default: what one
   * session may make this side hold.
   */
  readonly held?: number;
  /** What has to become of the session. */
  readonly outcome: Outcome;
  /** Milliseconds that it goes on for. Default: 3,000. */
  readonly ms?: number;
  /** The name of an attack that goes on meanwhile, from a process of its own. */
  readonly beside?: string;
  /**
   * Why the bound cannot hold, where the docs say so: the row is shown and not
   * counted.
   */
  readonly documented?: string;
  /** Runs it, in the attacker's process. */
  run(it: Attacker): Promise<void>;
}

/** Something that an attack expects, and whether it was so. */
export interface Check {
  what: string;
  holds: boolean;
  /** What was seen instead. */
  saw?: string;
}

/** What the attacker's process says of an attack. */
export interface Findings {
  /** Bytes that it sent by raw connections. */
  sent: number;
  /** How many of its raw connections are in which state now. */
  lines: Record<string, number>;
  checks: Check[];
  /** The codes of the errors that the server must report, if just these. */
  expectedErrors?: string[];
}

/** What one row of the table is made of. */
export interface Measured {
  attack: string;
  about: string;
  bound: number;
  /** How much the process grew at its peak, in bytes. */
  peak: number | undefined;
  /** What was still alive, the attacker connected, and after it had left. */
  held: number | undefined;
  left: number | undefined;
  healthy: HealthyReport | undefined;
  /** How the server ended, if it did. */
  died: string | undefined;
  /** The codes of errors that the server reported, each with its number. */
  errors: Record<string, number>;
  findings: Findings | undefined;
  /** What does not hold. */
  problems: string[];
  /** Why that is not counted. */
  documented?: string;
}

/** What the healthy client saw; times are milliseconds. */
export interface HealthyReport {
  pings: number;
  failures: Record<string, number>;
  p50: number;
  p99: number;
  max: number;
  /** The longest that a new connection took, its first ping included. */
  connectMax: number;
  connects: number;
}
