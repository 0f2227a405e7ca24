/**
 * Many clients, and one of them hostile.
 *
 * @module
 */
import type { Peer } from "../../../mod.ts";
import type { Attack } from "../attack.ts";
import { MANY_SESSIONS, PROCESS_BUDGET } from "../bounds.ts";

const SESSIONS = 1_000;

/** One attack each. */
export const attacks: readonly Attack[] = [
  {
    name: "thousand-sessions",
    about: "1,000 honest sessions that call, beside one-byte-data",
    memory: MANY_SESSIONS,
    held: PROCESS_BUDGET,
    outcome: "lives",
    ms: 15_000,
    beside: "one-byte-data",
    run: async (it) => {
      const failures: string[] = [];
      let answers = 0;
      const fail = (error: unknown) => void failures.push(String(error));
      const peers: (Peer | void)[] = [];
      for (let i = 0; i < SESSIONS; i++) {
        peers.push(await it.dial().catch(fail));
      }
      const client = async (peer: Peer | void, i: number) => {
        for (let round = 0; round < 3; round++) {
          const value = i * 10 + round;
          const answer = await (peer as Peer | undefined)?.call("echo", [value])
            .catch(fail);
          if (answer === value) answers++;
          await new Promise((resolve) => setTimeout(resolve, 1_000));
        }
      };
      await Promise.all(peers.map(client));
      it.check(
        "every call is answered",
        answers === 3 * SESSIONS,
        `${answers} answers; ${failures.length} failed: ${failures[0]}`,
      );
    },
  },
  {
    name: "ten-thousand-calls",
    about: "10,000 calls at once on one connection, beside adjust-flood",
    memory: MANY_SESSIONS,
    held: PROCESS_BUDGET,
    outcome: "lives",
    ms: 15_000,
    beside: "adjust-flood",
    run: async (it) => {
      const peer = await it.dial();
      const failures: string[] = [];
      const calls = Array.from({ length: 10_000 }, async (_, i) => {
        const answer = await peer.call("echo", [i]).catch((error) => {
          failures.push(String(error));
        });
        return answer === i;
      });
      const answered = (await Promise.all(calls)).filter(Boolean).length;
      it.check(
        "every call is answered",
        answered === 10_000,
        `${answered} answers; ${failures.length} failed: ${failures[0]}`,
      );
    },
  },
];
