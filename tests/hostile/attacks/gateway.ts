/**
 * One client of a `forward()` whose backend others share.
 *
 * @module
 */
import type { Attack } from "../attack.ts";
import { GATEWAY } from "../bounds.ts";
import { honest, often } from "../honest_client.ts";
import { leaveOne, NOT_TAKEN } from "../leaving.ts";

/** More calls than a session has channels. */
const CALLS = 2_100;

/** One attack each. */
export const attacks: readonly Attack[] = [
  {
    ...honest,
    name: "gateway-left-early",
    about:
      "2,100 streams left after a value through a forward() that others share",
    setup: { service: "gateway" },
    memory: GATEWAY,
    run: async (it) => {
      const peer = await it.dial();
      await often(CALLS, 16, () => leaveOne(peer, NOT_TAKEN[0]!));
      await peer.close();
      const answer = await (await it.dial()).call("ping", []).catch(String);
      it.check("others are served when it has left", answer === "pong", answer);
    },
  },
  {
    ...honest,
    name: "gateway-hoarder",
    about: "1,024 waiting calls through a forward() that others share",
    setup: { service: "gateway" },
    memory: GATEWAY,
    ms: 4_000,
    run: async (it) => {
      const peer = await it.dial();
      const calls = Array.from(
        { length: 1_024 },
        () => peer.call("hang", [0]).catch(() => {}),
      );
      // The healthy client must be served while these wait.
      await Promise.race([
        Promise.all(calls),
        new Promise((resolve) => setTimeout(resolve, it.ms - 1_000)),
      ]);
    },
  },
];
