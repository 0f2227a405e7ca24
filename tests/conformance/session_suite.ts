/**
 * What every session does, whatever carries it: one suite as a function of a
 * factory, run by the files beside it for each kind of session.
 *
 * @module
 */
import { testClosing } from "./closing.ts";
import { testEnding } from "./ending.ts";
import { testFlow } from "./flow.ts";
import { testOpening } from "./opening.ts";
import { type MakePair, sessionTest } from "./session_pair.ts";

/** Registers the suite for sessions that `makePair` makes. */
export function testSession(name: string, makePair: MakePair): void {
  const test = sessionTest(name, makePair);
  testOpening(test);
  testFlow(test);
  testClosing(test);
  testEnding(test);
}
