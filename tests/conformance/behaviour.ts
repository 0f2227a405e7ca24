/**
 * Suites as lists, so that one can also be run where its subject is: in a
 * process of its own.
 *
 * @module
 */

import { type Harness, test } from "../support/harness.ts";

/** What every subject of a suite does. */
export interface Behaviour<Subject, Options = void> {
  /** A sentence. */
  name: string;
  /** Fails if it does not hold. */
  body(subject: Subject): Promise<void>;
  /** How the subject has to be made. */
  options: Options;
}

/** Behaviours that a subject cannot have, each with the reason. */
export type Exceptions = Readonly<Record<string, string>>;

/**
 * Registers a test for each behaviour. An exception is a test too, one that is
 * skipped and whose name says why: what is missing shows in every run.
 */
export function registerSuite<B extends { name: string }>(
  subject: string,
  behaviours: readonly B[],
  run: (behaviour: B, t: Harness) => Promise<void>,
  exceptions: Exceptions = {},
): void {
  const unknown = new Set(Object.keys(exceptions));
  for (const behaviour of behaviours) {
    const name = `${subject}: ${behaviour.name}`;
    const reason = exceptions[behaviour.name];
    unknown.delete(behaviour.name);
    test(
      reason === undefined ? name : `${name} (not here: ${reason})`,
      { ignore: reason !== undefined },
      (t) => run(behaviour, t),
    );
  }
  if (unknown.size > 0) {
    throw new Error(`No behaviour is named "${[...unknown].join('", "')}"`);
  }
}
