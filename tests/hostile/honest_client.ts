/**
 * What honest clients do and expect.
 *
 * @module
 */
import type { Peer } from "../../mod.ts";
import type { Attacker } from "./attacker_side.ts";
import { SMALL } from "./bounds.ts";
import { turn } from "./line.ts";

/** Channels that may be open without a call, ahead of need. */
const SPARES = 512;

/** What honest clients have in common. */
export const honest = { memory: SMALL, outcome: "lives", ms: 20_000 } as const;

/** Repeats an action, several at a time; returns the failures. */
export async function often(
  count: number,
  atOnce: number,
  act: () => Promise<unknown>,
): Promise<string[]> {
  const failures: string[] = [];
  let left = count;
  const work = async () => {
    while (left-- > 0) {
      await act().catch((error) => failures.push(String(error)));
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return failures;
}

/** Checks that no call failed, the next one succeeds, and slots are free. */
export async function checkPlaces(
  it: Attacker,
  peer: Peer,
  failures: string[],
): Promise<void> {
  it.check(
    "every call succeeds",
    failures.length === 0,
    `${failures.length} failed: ${failures[0]}`,
  );
  const answer = await peer.call("ping", []).catch(String);
  it.check("the next call succeeds", answer === "pong", answer);
  const end = performance.now() + 2_000;
  while (
    peer.session.usage.channels > SPARES && performance.now() < end &&
    !it.signal.aborted
  ) await turn();
  const { channels } = peer.session.usage;
  it.check("its channels are closed", channels <= SPARES, `${channels} open`);
}
