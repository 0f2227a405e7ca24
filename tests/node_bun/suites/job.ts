/**
 * What suites.ts and the processes that run tests for it say to each other.
 *
 * @module
 */

/** What is run. */
export interface Job {
  /** Files, as paths within the project. */
  files: string[];
  /** Tests to leave out, or the only ones to run. */
  listed: { tests: string[]; run: "others" | "these" };
  /** How many tests of the first file have run before. */
  done: number;
  /** Milliseconds that a test has. */
  patience: number;
}

/** What is said of a test. */
export interface Said {
  /** The file and the name. */
  test: string;
  /** How it ended; undefined when it begins. */
  outcome?: "passed" | "failed" | "ignored" | "left out";
  /** Why it failed. */
  error?: string;
  /** Milliseconds that it took. */
  ms?: number;
}

/** What lines that this program writes begin with. */
export const MARK = "\u0001";

/** The code of a process that ends after a test that did not end in its time. */
export const LATE = 75;
