/**
 * The one way to write a test that makes sessions or peers. The test fails on
 * what it leaves behind: open channels, callbacks that were not released, memory
 * that a session holds after its end, timers, listeners on an AbortSignal, and
 * promises that reject unhandled.
 *
 *     test("peer.call(): returns what the handler returns", async (t) => {
 *       const [client, server] = t.pair();
 *       server.handle("one", (_call, respond) => respond.return(1));
 *       assertEquals(await client.call("one"), 1);
 *     });
 *
 * The harness closes what it made, after the check. A test closes a session
 * itself only if it is about closing: what is closed leaves no channels to count.
 *
 * @module
 */
import type { Session, SessionOptions, Transport } from "../../mux/mod.ts";
import { memoryTransports, qmux } from "../../mux/mod.ts";
import { Peer, type PeerOptions } from "../../talk/mod.ts";
import { FakeTime } from "./fake_time.ts";
import { AmbientWatch } from "./leaks/ambient.ts";
import type { Leak, Leaves } from "./leaks/leak.ts";
import { EndWatch, type Watchable } from "./leaks/sessions.ts";
import { RawPeer } from "./raw_peer.ts";
import { testNameProblem } from "./test_name.ts";

/** Choices for a test. */
export interface TestOptions {
  /** Whether the test is skipped. */
  ignore?: boolean;
  /**
   * What the test leaves behind on purpose, each with the reason. The test fails
   * if it does not leave it.
   */
  leaves?: Leaves;
  /** Turns of the event loop that leaks have to go away. Default: 1,000. */
  turns?: number;
}

/** The options of one end of a pair. */
export type PairOptions = PeerOptions & { session?: SessionOptions };

/** Not part of what a test can call. */
const finish: unique symbol = Symbol("finish");

/** What the body of a test is given: it makes what the harness watches. */
export class Harness {
  readonly #ends: EndWatch;
  readonly #cleanups: (() => unknown)[] = [];
  readonly #clocks: FakeTime[] = [];
  readonly #errors: Leak[] = [];

  /** Made by {@linkcode test}. */
  constructor(ends: EndWatch) {
    this.#ends = ends;
  }

  /**
   * Two peers, connected in memory. An error of a peer without an
   * `onError` of its own fails the test.
   */
  pair(client: PairOptions = {}, server: PairOptions = {}): [Peer, Peer] {
    const [left, right] = memoryTransports();
    const peers: [Peer, Peer] = [
      this.#peer(left, client, "client"),
      this.#peer(right, server, "server"),
    ];
    this.#ends.add(peers, ["client", "server"]);
    return peers;
  }

  /** Two sessions without RPC, connected in memory. */
  sessions(
    client: SessionOptions = {},
    server: SessionOptions = {},
  ): [Session, Session] {
    const [left, right] = memoryTransports();
    const sessions: [Session, Session] = [
      qmux(left, client),
      qmux(right, server),
    ];
    this.#ends.add(sessions, ["client", "server"]);
    return sessions;
  }

  /** A session and a scripted end of it. */
  script(
    options: SessionOptions = {},
    raw: { reading?: boolean } = {},
  ): { session: Session; raw: RawPeer } {
    const [left, right] = memoryTransports();
    const script = new RawPeer(right, raw);
    const session = qmux(left, options);
    this.#ends.add([session], ["session"], script);
    return { session, raw: script };
  }

  /** A peer and a scripted end of its session; errors as in {@linkcode pair}. */
  scriptedPeer(
    options: PairOptions = {},
    raw: { reading?: boolean } = {},
  ): { peer: Peer; raw: RawPeer } {
    const [left, right] = memoryTransports();
    const script = new RawPeer(right, raw);
    const peer = this.#peer(left, options, "peer");
    this.#ends.add([peer], ["peer"], script);
    return { peer, raw: script };
  }

  /**
   * Watches a peer, a session or a listener that the test made, and closes it
   * at the end. What a listener accepts is watched, too.
   *
   * @param item what was made
   * @param name what a failure calls it
   */
  watch<T extends Watchable>(item: T, name?: string): T {
    this.#ends.add([item], [name]);
    return item;
  }

  /** Watches the two ends of a session, each a peer or a session. */
  watchBoth(client: Peer | Session, server: Peer | Session): void {
    this.#ends.add([client, server], ["client", "server"]);
  }

  /** Time that passes when the test says so; its timers have to run or go. */
  time(shortest?: number): FakeTime {
    const clock = new FakeTime(shortest);
    this.#clocks.push(clock);
    return clock;
  }

  /** Runs when the body has ended and its sessions are closed, last one first. */
  defer(cleanup: () => unknown): void {
    this.#cleanups.push(cleanup);
  }

  /**
   * Closes every channel that a session of this test has given the body, at both
   * ends: for bodies that end while they use them.
   */
  async closeChannels(): Promise<void> {
    await this.#ends.closeChannels();
  }

  #peer(transport: Transport, options: PairOptions, name: string): Peer {
    const onError = (error: unknown) => {
      const text = `an error of "${name}" was reported: ${error}`;
      this.#errors.push({ kind: "errors", text });
    };
    return new Peer(qmux(transport, options.session), { onError, ...options });
  }

  /** Ends what the test made, and returns what it left behind. */
  async [finish](turns: number, leaves: Leaves): Promise<Leak[]> {
    const leaks = await this.#ends.finish(turns, leaves);
    for (const cleanup of this.#cleanups.reverse()) await cleanup();
    for (const clock of this.#clocks.reverse()) {
      if (clock.waiting > 0) {
        leaks.push({
          kind: "timers",
          text: `timers of the fake clock still waiting: ${clock.waiting}`,
        });
      }
      clock[Symbol.dispose]();
    }
    return [...leaks, ...this.#errors];
  }
}

/** The body of a test. */
export type TestBody = (t: Harness) => void | Promise<void>;

/**
 * Registers a test.
 *
 * @param name the symbol or feature, a colon, and a sentence
 * @param options may be left out
 * @param body the test
 * @throws {TypeError} if the name is not of that form
 */
export function test(name: string, body: TestBody): void;
export function test(name: string, options: TestOptions, body: TestBody): void;
export function test(
  name: string,
  ...rest: [TestBody] | [TestOptions, TestBody]
): void {
  const problem = testNameProblem(name);
  if (problem !== undefined) {
    throw new TypeError(`Cannot register test "${name}": ${problem}`);
  }
  const body = rest[rest.length - 1] as TestBody;
  register(name, rest.length === 2 ? rest[0] : {}, body);
}

/**
 * What {@linkcode test} does, without a look at the name: for functions that
 * register tests for others, whose names tests/test_rules_test.ts checks.
 */
export function register(
  name: string,
  options: TestOptions,
  body: TestBody,
): void {
  Deno.test({
    name,
    ignore: options.ignore ?? false,
    fn: () => runTest(body, options),
  });
}

/**
 * Runs the body of a test, and fails with its error or, if it has none, with
 * what it left behind.
 */
export async function runTest(
  body: TestBody,
  options: TestOptions = {},
): Promise<void> {
  const { turns = 1_000, leaves = {} } = options;
  const ambient = new AmbientWatch();
  const ends = new EndWatch();
  const harness = new Harness(ends);
  let leaks: Leak[] = [];
  try {
    try {
      await body(harness);
    } catch (error) {
      // Its own error is the cause of what it left.
      await harness[finish](0, leaves).catch(() => {});
      throw error;
    }
    leaks = await harness[finish](turns, leaves);
    leaks.push(...await ambient.leaks(turns, leaves));
  } finally {
    ambient.stop();
  }
  const problems = leaks.filter(({ kind }) => leaves[kind] === undefined)
    .map(({ text }) => text);
  for (const [kind, reason] of Object.entries(leaves)) {
    if (leaks.some((leak) => leak.kind === kind)) continue;
    problems.push(`no ${kind} are left, though the test says "${reason}"`);
  }
  if (problems.length > 0) {
    throw new Error(`The test left something behind:\n${problems.join("\n")}`);
  }
}
