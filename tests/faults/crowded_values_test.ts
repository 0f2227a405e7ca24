/**
 * Values that together need more memory than a session may hold: they wait for
 * each other, and none waits forever.
 *
 * @module
 */
import { assertEquals, assertLessOrEqual } from "@std/assert";
import { handlerFrom, type Peer } from "@qtalk/qtalk";
import { rawSession } from "../../mux/session.ts";
import { type Harness, type PairOptions, test } from "../support/harness.ts";
import { data, open } from "../support/wire.ts";
import { until, within } from "../support/within.ts";

const KIB = 1024, MIB = 1024 * KIB;
const LIMITS: PairOptions = {
  maxValueSize: 4 * MIB,
  session: { maxHeldSize: MIB },
};

/** The most that this side's partly received values took at any time. */
function watchValues(peer: Peer): { most: number } {
  const { account } = rawSession(peer.session);
  const seen = { most: 0 };
  for (const kind of [account.values, account.values.reserved]) {
    const take = kind.take.bind(kind);
    kind.take = (bytes) => {
      take(bytes);
      seen.most = Math.max(seen.most, account.held);
    };
  }
  return seen;
}

function crowded(t: Harness): [Peer, Peer, { most: number }[]] {
  const [a, b] = t.pair(LIMITS, LIMITS);
  const seen = [a, b].map((peer) => {
    peer.handle("length", handlerFrom((text: string) => text.length));
    peer.handle("repeat", handlerFrom((n: number) => "x".repeat(n)));
    return watchValues(peer);
  });
  return [a, b, seen];
}

test("crowded values: arguments of more than half of the account, several at once both ways, all arrive", async (t) => {
  const [a, b, seen] = crowded(t);
  const text = "x".repeat(600 * KIB);
  const calls = [a, b].flatMap((peer) =>
    Array.from({ length: 5 }, () => peer.call("length", [text]))
  );
  const lengths = await within(Promise.all(calls), "the calls");
  assertEquals(lengths, Array(10).fill(text.length));
  for (const { most } of seen) assertLessOrEqual(most, MIB);
});

test("crowded values: responses of more than half of the account, several at once both ways, all arrive", async (t) => {
  const [a, b, seen] = crowded(t);
  const calls = [a, b].flatMap((peer) =>
    Array.from({ length: 5 }, () => peer.call("repeat", [600 * KIB]))
  );
  for (const text of await within(Promise.all(calls), "the calls")) {
    assertEquals((text as string).length, 600 * KIB);
  }
  // A response that waits to be sent counts, and one that arrives may exceed the
  // limit because it is larger than the reserve.
  for (const { most } of seen) assertLessOrEqual(most, MIB + 600 * KIB + 100);
});

test("crowded values: handlers that call back with such values, and wait for such responses, all return", async (t) => {
  const [a, b, seen] = crowded(t);
  const text = "x".repeat(600 * KIB);
  for (const peer of [a, b]) {
    peer.handle("both", async (call, respond) => {
      const [text] = await call.receive() as [string];
      const length = await call.caller.call("length", [text]);
      const repeated = await call.caller.call("repeat", [length]) as string;
      await respond.return(repeated);
    });
  }
  const calls = [a, b].flatMap((peer) =>
    Array.from({ length: 4 }, () => peer.call("both", [text]))
  );
  for (const repeated of await within(Promise.all(calls), "the calls")) {
    assertEquals((repeated as string).length, text.length);
  }
  // Of what is larger than the reserve, one value at a time may exceed the limit:
  // a decoded argument, which takes twice its bytes, and one that arrives.
  for (const { most } of seen) assertLessOrEqual(most, MIB + 3 * text.length);
});

test("crowded values: a value larger than the account arrives when it is alone", async (t) => {
  const [a] = crowded(t);
  const text = "x".repeat(3 * MIB);
  const calls = Array.from({ length: 3 }, () => a.call("length", [text]));
  const lengths = await within(Promise.all(calls), "the calls");
  assertEquals(lengths, Array(3).fill(text.length));
});

test("crowded values: a value that never completes stops others that do not fit beside it, until it ends", async (t) => {
  const { peer, raw } = t.scriptedPeer(LIMITS);
  peer.handle("length", handlerFrom((text: string) => text.length));
  const { account } = rawSession(peer.session);
  const ids: number[] = [];
  for (let i = 0; i < 2; i++) {
    await raw.send(open(i));
    ids.push((await raw.expect("open-confirm")).sender);
  }
  const header = new TextEncoder().encode('{"Selector":"length"}');
  const half = new Uint8Array(4 + header.length + 4 + 100);
  const view = new DataView(half.buffer);
  view.setUint32(0, header.length);
  half.set(header, 4);
  view.setUint32(4 + header.length, 600 * KIB);
  for (const id of ids) await raw.send(data(id, half));
  await until(() => account.values.held > 0 && account.awaited);
  assertEquals(account.values.held, 600 * KIB);
  // A call that needs little is not held up.
  assertEquals(account.values.canTake(1_000), true);
  await raw.end();
  await peer.closed;
  await until(() => account.held === 0);
});
