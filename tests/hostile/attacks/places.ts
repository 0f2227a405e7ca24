/**
 * Slots that must become free again.
 *
 * @module
 */
import type { Attack } from "../attack.ts";
import type { Attacker } from "../attacker_side.ts";
import { checkPlaces, honest, often } from "../honest_client.ts";
import {
  BOTH_STREAM,
  leaveOne,
  NOT_TAKEN,
  type Streaming,
} from "../leaving.ts";

/** More calls than a session has channels. */
const CALLS = 2_100;

/** The streams of the service. */
interface Streams {
  rows(): AsyncIterable<string>;
}

/** Leaves many streams, of each method in turn. */
async function leave(it: Attacker, methods: Streaming[]): Promise<void> {
  const peer = await it.dial();
  let next = 0;
  const failures = await often(
    CALLS,
    16,
    () => leaveOne(peer, methods[next++ % methods.length]!),
  );
  await checkPlaces(it, peer, failures);
}

/** One attack each. */
export const attacks: readonly Attack[] = [
  {
    ...honest,
    name: "generators-left-early",
    about:
      "2,100 calls that stream both ways, left after a value; then one more",
    run: (it) => leave(it, BOTH_STREAM),
  },
  {
    ...honest,
    name: "generators-not-taken",
    about: "2,100 streams left after a value, arguments unread; then one more",
    run: (it) => leave(it, NOT_TAKEN),
  },
  {
    ...honest,
    name: "streams-left-early",
    about: "2,100 streams that are left after a value; then one more call",
    run: async (it) => {
      const peer = await it.dial();
      const failures = await often(CALLS, 16, async () => {
        for await (const _ of peer.remote<Streams>().rows()) break;
      });
      await checkPlaces(it, peer, failures);
    },
  },
  {
    ...honest,
    name: "given-up-calls",
    about: "1,200 calls given up whose handlers never settle; then one more",
    run: async (it) => {
      const peer = await it.dial();
      await often(
        1_200,
        100,
        () => peer.call("deaf", [], { timeout: 300 }),
      );
      await checkPlaces(it, peer, []);
    },
  },
];
