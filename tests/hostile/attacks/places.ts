/**
 * Places that have to come back, and bursts that have to find one: what honest
 * clients do.
 *
 * @module
 */
import type { Peer } from "../../../mod.ts";
import type { Attack } from "../attack.ts";
import type { Attacker } from "../attacker_side.ts";
import { SMALL, WITH_VALUES } from "../bounds.ts";
import { turn } from "../line.ts";

/** More calls than a session has channels. */
const CALLS = 2_100;
/** Channels that may be open without a call, ahead of need. */
const SPARES = 512;

/** Values without an end, as a generator gives them. */
async function* endless(): AsyncGenerator<string> {
  for (;;) yield "x".repeat(1_000);
}

/** Does it so often, a few at once; gives the first failures. */
async function often(
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

/** No call failed, the next one succeeds, and the places have come back. */
async function checkPlaces(
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

/** A few values, as a generator gives them. */
async function* few(): AsyncGenerator<string> {
  for (let i = 0; i < 5; i++) yield "x".repeat(1_000);
}

/** A method that streams its answer, and what it is called with. */
type Streaming = readonly [selector: string, args: () => unknown];

/** Calls such a method, and leaves after the first value. */
async function leaveOne(peer: Peer, [selector, args]: Streaming) {
  const response = await peer.request(selector, args(), { timeout: 5_000 });
  for await (const _ of response) break;
}

/** Does so again and again, with one method after another. */
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

/** Both sides stream, and both have more to say when the caller leaves. */
const BOTH_STREAM: Streaming[] = [
  ["streamed", endless],
  ["streamed", few],
  ["streamed", () => ReadableStream.from(endless())],
];
/** The handler never looks at what it is called with. */
const NOT_TAKEN: Streaming[] = [
  ["unheard", () => null],
  ["unheard", () => ["x"]],
  ["unheard", endless],
];

/** All at once, on a connection that has been used before and is idle. */
async function burst(it: Attacker, count: number, times = 1): Promise<void> {
  const peer = await it.dial();
  // Channels ahead of need are ready after this, and must not be in the way.
  await often(600, 600, () => peer.call("echo", [0]));
  const failures: string[] = [];
  for (let i = 0; i < times; i++) {
    failures.push(
      ...await often(count, count, () => peer.call("echo", [i])),
    );
  }
  await checkPlaces(it, peer, failures);
}

const honest = { memory: SMALL, outcome: "lives", ms: 20_000 } as const;

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
    about: "1,100 calls given up whose handlers never settle; then one more",
    run: async (it) => {
      const peer = await it.dial();
      await often(
        1_100,
        200,
        () => peer.call("deaf", [], { timeout: 50 }),
      );
      await checkPlaces(it, peer, []);
    },
  },
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
  {
    ...honest,
    name: "gateway-left-early",
    about:
      "2,100 streams left after a value by way of a forward() that others share",
    setup: { service: "gateway" },
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
    about: "1,024 waiting calls by way of a forward() that others share",
    setup: { service: "gateway" },
    ms: 4_000,
    run: async (it) => {
      const peer = await it.dial();
      const calls = Array.from(
        { length: 1_024 },
        () => peer.call("hang", [0]).catch(() => {}),
      );
      // Others are to be served while these wait; then they are let go.
      await Promise.race([
        Promise.all(calls),
        new Promise((resolve) => setTimeout(resolve, it.ms - 1_000)),
      ]);
    },
  },
];

/** The streams of the service. */
interface Streams {
  rows(): AsyncIterable<string>;
}
