/**
 * What every session does, whatever carries it: one suite as a function of a
 * factory, run by the files beside it for each kind of session.
 *
 * @module
 */
import type { Harness } from "../support/harness.ts";
import { within } from "../support/within.ts";
import { type Behaviour, type Exceptions, registerSuite } from "./behaviour.ts";
import { testClosing } from "./closing.ts";
import { testEnding } from "./ending.ts";
import { testFlow } from "./flow.ts";
import { testOpening } from "./opening.ts";
import { Lab, type MakePair, type PairOptions } from "./session_pair.ts";

/** A behaviour of sessions. */
export type SessionBehaviour = Behaviour<Lab, PairOptions>;

/** The suite. */
export function sessionBehaviours(): SessionBehaviour[] {
  const behaviours: SessionBehaviour[] = [];
  for (const testPart of [testOpening, testFlow, testClosing, testEnding]) {
    testPart((name, body, options = {}) => {
      behaviours.push({ name, body, options });
    });
  }
  return behaviours;
}

/** Registers the suite for sessions that `makePair` makes. */
export function testSession(
  name: string,
  makePair: MakePair,
  exceptions: Exceptions = {},
): void {
  registerSuite(
    name,
    sessionBehaviours(),
    (behaviour, t) => tryOut(behaviour, makePair, t),
    exceptions,
  );
}

/** Tries one behaviour out on a new pair. */
async function tryOut(
  { name, body, options }: SessionBehaviour,
  makePair: MakePair,
  t: Harness,
): Promise<void> {
  const pair = await makePair(options);
  t.defer(() => pair.close());
  t.watchBoth(pair.a, pair.b);
  await within(body(new Lab(pair)), name);
  // Bodies end with channels open. Once those are closed nothing may be left.
  await within(t.closeChannels(), "the channels to close");
}
