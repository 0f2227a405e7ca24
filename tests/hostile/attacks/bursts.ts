/**
 * Bursts of calls, each of which needs a slot.
 *
 * @module
 */
import type { Attack } from "../attack.ts";
import type { Attacker } from "../attacker_side.ts";
import { WITH_VALUES } from "../bounds.ts";
import { checkPlaces, honest, often } from "../honest_client.ts";

/** Calls all at once, on a connection that was used before and is idle. */
async function burst(it: Attacker, count: number, times = 1): Promise<void> {
  const peer = await it.dial();
  // This leaves channels open ahead of need, which must give way.
  await often(600, 600, () => peer.call("echo", [0]));
  const failures: string[] = [];
  for (let i = 0; i < times; i++) {
    failures.push(
      ...await often(count, count, () => peer.call("echo", [i])),
    );
  }
  await checkPlaces(it, peer, failures);
}

/** One attack each. */
export const attacks: readonly Attack[] = [
  {
    ...honest,
    name: "burst-1600",
    about: "1,600 calls at once on an idle connection",
    run: (it) => burst(it, 1_600),
  },
  {
    ...honest,
    name: "burst-10000",
    about: "10,000 calls at once on an idle connection, twice",
    memory: WITH_VALUES,
    run: (it) => burst(it, 10_000, 2),
  },
  {
    ...honest,
    name: "nested-burst",
    about: "2,000 calls at once, each calling its caller back",
    run: async (it) => {
      const { handlerFrom } = it.library;
      const peer = await it.dial({
        handler: handlerFrom({ answer: () => 42 }),
      });
      const failures = await often(2_000, 2_000, async () => {
        const answer = await peer.call("ask", [], { timeout: 15_000 });
        if (answer !== 42) throw new Error(`answered ${answer}`);
      });
      await checkPlaces(it, peer, failures);
    },
  },
];
