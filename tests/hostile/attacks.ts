/**
 * All attacks, by group.
 *
 * @module
 */
import type { Attack } from "./attack.ts";
import { attacks as withAnswers } from "./attacks/answers.ts";
import { attacks as withArguments } from "./attacks/arguments.ts";
import { attacks as bursts } from "./attacks/bursts.ts";
import { attacks as withBytes } from "./attacks/bytes.ts";
import { attacks as crowds } from "./attacks/crowd.ts";
import { attacks as faults } from "./attacks/faults.ts";
import { attacks as frames } from "./attacks/frames.ts";
import { attacks as gateways } from "./attacks/gateway.ts";
import { attacks as peersOfGo } from "./attacks/peers_of_go.ts";
import { attacks as places } from "./attacks/places.ts";
import { attacks as overQuic } from "./attacks/quic.ts";
import { attacks as rendezvous } from "./attacks/rendezvous.ts";
import { attacks as resuming } from "./attacks/resume.ts";
import { attacks as withValues } from "./attacks/values.ts";
import { attacks as webSockets } from "./attacks/websocket.ts";
import { attacks as words } from "./attacks/words.ts";

/** The control run: the attacker only loads the other core. */
export const CONTROL: Attack = {
  name: "control",
  about: "no attack: the attacker only keeps the other core busy",
  memory: Infinity,
  outcome: "lives",
  ms: 3_000,
  run: async ({ signal }) => {
    while (!signal.aborted) {
      const end = performance.now() + 50;
      while (performance.now() < end) { /* That is all. */ }
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  },
};

/** In the order in which they are run. */
export const ATTACKS: readonly Attack[] = [
  ...withArguments,
  ...withAnswers,
  ...withBytes,
  ...withValues,
  ...frames,
  ...peersOfGo,
  ...webSockets,
  ...places,
  ...bursts,
  ...gateways,
  ...resuming,
  ...rendezvous,
  ...overQuic,
  ...words,
  ...faults,
  ...crowds,
];

/**
 * The attacks of the short form and their durations in milliseconds. Attacks on
 * the same setup follow each other, since they share a server.
 */
export const SHORT_FORM: ReadonlyMap<string, number> = new Map([
  ["selectors", 2_000],
  ["broken-rules", 2_000],
  ["half-values", 1_500],
  ["unread-answers", 1_500],
  ["json-long-integer", 1_500],
  ["one-byte-data", 1_500],
  ["empty-data-flood", 1_500],
  ["open-close-flood", 1_500],
  ["burst-1600", 5_000],
  ["ws-endless-message", 1_500],
]);

/** Finds an attack, or the control run. */
export function attackNamed(name: string): Attack {
  const found = [CONTROL, ...ATTACKS].find((attack) => attack.name === name);
  if (found === undefined) {
    throw new TypeError(`Cannot find attack: there is no "${name}"`);
  }
  return found;
}
