/**
 * The tests that a runtime cannot pass, and why. One that passes all the same
 * fails the suites, so that this list stays true.
 *
 * @module
 */
import type { Runtimes } from "./runtimes.ts";

/** Tests that fail on some runtimes. */
export interface Exception {
  /** Where they fail. */
  on: readonly (keyof Runtimes)[];
  /** The tests, by file and name. */
  tests: RegExp;
  /** Why they fail. */
  reason: string;
  /** Where the runtime's own fault is reported. */
  issue?: string;
  /** Whether some runs pass: then nothing is said about that. */
  sometimes?: true;
}

/** All of them. */
export const EXCEPTIONS: readonly Exception[] = [];
