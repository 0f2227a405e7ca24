/** Sessions that move from one connection to another, all in memory. */
import { handlerFrom, Peer } from "@qtalk/qtalk";
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  type AbortableTransport,
  memoryTransports,
  type PeerTransport,
  sessionOver,
  type Transport,
} from "../../../mux/internal.ts";
import { type Harness, test } from "../../../tests/support/harness.ts";
import { turn, until } from "../../../tests/support/within.ts";
import { beginMoving, MovableSessions, PAUSES } from "./moving.ts";

const ANN = `sha256:${"0a".repeat(32)}`;
const EVE = `sha256:${"0e".repeat(32)}`;

/**
 * A connection that fails when the test says so. As a network does, and a pair in
 * memory does not, it copies what is written.
 */
class Cuttable implements AbortableTransport {
  readonly #inner: Transport;
  readonly #cut = Promise.withResolvers<never>();
  /** Whether it was closed. */
  closed = false;

  constructor(inner: Transport) {
    this.#inner = inner;
    this.#cut.promise.catch(() => {});
  }

  cut(error: Error): void {
    this.#cut.reject(error);
  }

  read(): Promise<Uint8Array | null> {
    return Promise.race([this.#inner.read(), this.#cut.promise]);
  }

  write(bytes: Uint8Array): Promise<void> {
    return Promise.race([this.#inner.write(bytes.slice()), this.#cut.promise]);
  }

  closeWrite(): Promise<void> {
    return this.#inner.closeWrite();
  }

  async close(): Promise<void> {
    this.closed = true;
    await this.#inner.close();
  }

  abort(): void {
    void this.close();
  }
}

function pair(): [Cuttable, Cuttable] {
  const [near, far] = memoryTransports();
  return [new Cuttable(near), new Cuttable(far)];
}

/** The dialing end of a connection on which the answer of the other end waits. */
function heldAnswer(
  near: Cuttable,
  onAnswer: () => void,
  promise: Promise<void>,
): Transport {
  let reads = 0;
  return {
    async read() {
      const chunk = await near.read();
      if (reads++ === 0) {
        onAnswer();
        await promise;
      }
      return chunk;
    },
    write: (bytes) => near.write(bytes),
    closeWrite: () => near.closeWrite(),
    close: () => near.close(),
  };
}

/** Two peers on the relayed way; what `connect` gives them next is up to the test. */
async function relayed(
  t: Harness,
  connect: (
    sessions: MovableSessions,
    signal: AbortSignal,
  ) => Promise<Transport>,
  pauses: readonly number[] = [0],
) {
  const sessions = new MovableSessions(undefined);
  const [near, far] = pair();
  const events: string[] = [];
  const waited: number[] = [];
  const [dialing, listening] = await Promise.all([
    beginMoving(near, {
      pauses,
      keepAlive: undefined,
      connect: (signal) => connect(sessions, signal),
      async wait(ms) {
        waited.push(ms);
        await turn();
      },
      onMoved: () => void events.push("moved"),
      onClosed: () => void events.push("closed"),
    }),
    sessions.begin(far, ANN),
  ]);
  const handler = handlerFrom({ echo: (text: string) => text });
  const options = { handler, onError() {} };
  const peerOver = (transport: PeerTransport) =>
    new Peer(sessionOver(transport), options);
  const peers = [peerOver(dialing), peerOver(listening)] as const;
  for (const peer of peers) t.defer(() => peer.close());
  return {
    sessions,
    near,
    far,
    events,
    waited,
    peers,
    ways: () => [dialing.way, listening.way],
  };
}

test("beginMoving(): a session moves, and closes the relayed connection", async (t) => {
  const opened = Promise.withResolvers<void>();
  const one = await relayed(t, async (sessions) => {
    await opened.promise;
    const [near, far] = pair();
    void sessions.move(far, ANN);
    return near;
  });
  const [ann, bob] = one.peers;
  assertEquals(one.ways(), ["relayed", "relayed"]);
  assertEquals(await ann.call("echo", ["a"]), "a");
  opened.resolve();
  await until(() => one.events.length > 0);
  assertEquals(await bob.call("echo", ["b"]), "b");
  assertEquals(one.ways(), ["direct", "direct"]);
  assertEquals([one.near.closed, one.far.closed], [true, true]);
  await ann.close();
  await until(() => one.events.length >= 2);
  assertEquals(one.events, ["moved", "closed"]);
  await bob.closed;
  assertEquals(one.sessions.size, 0);
});

test("beginMoving(): an attempt that fails is followed by another, and the session goes on", async (t) => {
  let attempts = 0;
  const one = await relayed(t, async (sessions) => {
    attempts++;
    if (attempts <= 2) throw new Error("no way");
    const [near, far] = pair();
    if (attempts === 3) {
      // It is cut before the session was continued.
      far.cut(new Error("cut"));
      await sessions.move(far, ANN).catch(() => {});
      near.cut(new Error("cut"));
      return near;
    }
    void sessions.move(far, ANN);
    return near;
  }, [1, 2, 3, 4, 5]);
  await until(() => one.events.length > 0);
  const [ann] = one.peers;
  assertEquals(await ann.call("echo", ["a"]), "a");
  assertEquals(one.ways(), ["direct", "direct"]);
  assertEquals([attempts, one.waited], [4, [1, 2, 3, 4]]);
});

test("beginMoving(): without a direct way, the session stays relayed after the last attempt", async (t) => {
  let attempts = 0;
  const one = await relayed(t, () => {
    attempts++;
    return Promise.reject(new Error("no way"));
  }, [1, 2]);
  await until(() => attempts >= 2);
  await turn();
  assertEquals([attempts, one.waited, one.ways()], [
    2,
    [1, 2],
    ["relayed", "relayed"],
  ]);
  const [, bob] = one.peers;
  assertEquals(await bob.call("echo", ["a"]), "a");
});

test("PAUSES: they grow, and are limited", () => {
  assertEquals(PAUSES.slice(0, 8), [
    5_000,
    10_000,
    20_000,
    40_000,
    80_000,
    160_000,
    300_000,
    300_000,
  ]);
  assertEquals(PAUSES.length, 20);
});

for (const side of ["dialing", "listening"] as const) {
  test(`beginMoving(): a session whose connection is lost ends with that error (${side})`, async (t) => {
    const one = await relayed(t, (_, signal) => {
      const given = Promise.withResolvers<Transport>();
      signal.addEventListener("abort", () => given.reject(signal.reason));
      return given.promise;
    });
    const [ann, bob] = one.peers;
    assertEquals(await ann.call("echo", ["a"]), "a");
    const lost = new Error("the relay has ended");
    const here = side === "dialing" ? ann : bob;
    (side === "dialing" ? one.near : one.far).cut(lost);
    const error = await assertRejects(() => here.closed);
    assertEquals((error as { code?: unknown }).code, "connection-lost");
    assertEquals((error as Error).cause, lost);
    const there = side === "dialing" ? bob : ann;
    await assertRejects(() => there.closed);
    await until(() => one.events.length > 0);
    assertEquals([one.events, one.sessions.size], [["closed"], 0]);
  });
}

/** A relayed session that has begun to move, and moves on when `go` says so. */
async function movingSoon(t: Harness) {
  const reached = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  const one = await relayed(t, (sessions) => {
    const [near, far] = pair();
    void sessions.move(far, ANN);
    return Promise.resolve(heldAnswer(near, reached.resolve, go.promise));
  });
  await reached.promise;
  return { one, go };
}

test("beginMoving(): what is sent while a session moves arrives once", async (t) => {
  const { one, go } = await movingSoon(t);
  // The relayed connection works, and both ends use it.
  const calls = one.peers.flatMap((peer) =>
    ["a", "b", "c"].map((text) => peer.call("echo", [text.repeat(1_000)]))
  );
  for (let i = 0; i < 10; i++) await turn();
  assertEquals(one.ways(), ["relayed", "relayed"]);
  go.resolve();
  assertEquals(
    await Promise.all(calls),
    ["a", "b", "c", "a", "b", "c"].map((text) => text.repeat(1_000)),
  );
  assertEquals(one.ways(), ["direct", "direct"]);
});

test("beginMoving(): a session goes on if its relayed connection is lost while it moves", async (t) => {
  const { one, go } = await movingSoon(t);
  const [ann, bob] = one.peers;
  const calls = [ann.call("echo", ["a"]), bob.call("echo", ["b"])];
  one.near.cut(new Error("the relay has ended"));
  one.far.cut(new Error("the relay has ended"));
  for (let i = 0; i < 5; i++) await turn();
  go.resolve();
  assertEquals(await Promise.all(calls), ["a", "b"]);
  assertEquals(one.ways(), ["direct", "direct"]);
});

test("MovableSessions: a session that was closed while it moved ends without an error", async (t) => {
  const answered = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  const moves: Promise<void>[] = [];
  const one = await relayed(t, (sessions) => {
    const [near, far] = pair();
    moves.push(sessions.move(far, ANN).finally(() => far.close()));
    return Promise.resolve(heldAnswer(near, answered.resolve, go.promise));
  });
  await answered.promise;
  const [ann, bob] = one.peers;
  const closing = bob.close();
  await until(() => one.sessions.size === 0);
  go.resolve();
  await ann.closed;
  await closing;
  await assertRejects(() => moves[0]!);
});

test("beginMoving(): it ends with the error of the relayed connection if moving fails then", async (t) => {
  const reached = Promise.withResolvers<void>();
  let direct: [Cuttable, Cuttable] | undefined;
  const one = await relayed(t, () => {
    // Nothing answers.
    direct = pair();
    void direct[1].read().then(() => reached.resolve());
    return Promise.resolve(direct[0]);
  });
  await reached.promise;
  const lost = new Error("the relay has ended");
  one.near.cut(lost);
  for (let i = 0; i < 5; i++) await turn();
  const [ann, bob] = one.peers;
  for (const end of direct!) end.cut(new Error("no way"));
  const error = await assertRejects(() => ann.closed);
  assertEquals((error as Error).cause, lost);
  await assertRejects(() => bob.closed);
  assertEquals(one.ways(), ["relayed", "relayed"]);
});

test("MovableSessions: a session is continued only by the peer that has begun it", async (t) => {
  let fingerprint = EVE;
  const refused: unknown[] = [];
  const one = await relayed(t, (sessions) => {
    const [near, far] = pair();
    sessions.move(far, fingerprint).catch(async (error) => {
      refused.push(error);
      await far.close();
    });
    if (fingerprint === EVE) fingerprint = ANN;
    return Promise.resolve(near);
  }, [0, 0]);
  await until(() => one.events.length > 0);
  assertEquals(refused.length, 1);
  const [ann] = one.peers;
  assertEquals(await ann.call("echo", ["a"]), "a");
  assertEquals(one.ways(), ["direct", "direct"]);
});

test("MovableSessions: a direct connection that begins a session is refused", async () => {
  const sessions = new MovableSessions(undefined);
  const [near, far] = pair();
  const beginning = beginMoving(near, {
    pauses: [],
    keepAlive: undefined,
    connect: () => Promise.reject(new Error("no way")),
    wait: () => Promise.resolve(),
    onMoved() {},
    onClosed() {},
  });
  const error = await assertRejects(() => sessions.move(far, ANN));
  assert(error instanceof Error);
  assertEquals(sessions.size, 0);
  near.cut(new Error("closed"));
  await Promise.allSettled([beginning]);
  await far.close();
  await near.close();
});
