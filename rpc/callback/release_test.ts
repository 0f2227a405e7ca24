import { MuxError, type MuxErrorCode } from "@qtalk/qtalk/mux";
import { assertEquals, assertRejects } from "@std/assert";
import { test } from "../../tests/support/harness.ts";
import { rawAccept } from "../../tests/support/raw_call.ts";
import { failure } from "../../tests/support/wire.ts";
import { turn, until } from "../../tests/support/within.ts";
import { channelPool } from "../client/pool_key.ts";
import { CallError, markUnsent, RemoteError } from "../errors.ts";
import type { Caller } from "../types.ts";
import { release, releaseSoon } from "./release.ts";

/** A caller whose calls fail with what `failure` returns, as long as it returns some. */
function failingCaller(failure: () => Error | undefined, ended = false) {
  const calls: [selector: string, count: unknown][] = [];
  const caller = {
    [channelPool]: { session: { ended, onEnd: () => () => {} } },
    call: (selector: string, count: unknown) => {
      calls.push([selector, count]);
      const error = failure();
      return error === undefined
        ? Promise.resolve(null)
        : Promise.reject(error);
    },
  } as unknown as Caller;
  return { caller, calls };
}

function unsent(code: MuxErrorCode): MuxError {
  const error = new MuxError(code, "Cannot open channel: told by the test");
  markUnsent(error);
  return error;
}

const busy = () => new RemoteError("busy", "busy");

const REFUSALS = {
  "the peer refuses the channel": () => unsent("open-refused"),
  "this side has no room for the channel": () => unsent("limit-exceeded"),
  "the peer is busy": busy,
};

for (const [when, refusal] of Object.entries(REFUSALS)) {
  test(`release: it is made later when ${when}`, async (t) => {
    const clock = t.time();
    const refusals = [refusal(), refusal()];
    const { caller, calls } = failingCaller(() => refusals.shift());
    await release("_a", caller, 2);
    await release("_a", caller, 3);
    clock.tick(1_000);
    await turn();
    assertEquals(calls, [
      ["/_qtalk/release/_a", 2],
      ["/_qtalk/release/_a", 3],
      ["/_qtalk/release/_a", 5],
    ]);
  });
}

const ENDS: readonly MuxErrorCode[] = [
  "connection-lost",
  "session-closed",
  "protocol-error",
  "limit-exceeded",
];

for (const code of ENDS) {
  test(`release: it is dropped when the session has ended with ${code}`, async (t) => {
    t.time();
    const { caller, calls } = failingCaller(() => unsent(code), true);
    await assertRejects(() => release("_a", caller), MuxError);
    assertEquals(calls.length, 1);
  });
}

test("release: a call that was begun is not made again", async (t) => {
  t.time();
  const { caller } = failingCaller(() => new CallError("failed"));
  await assertRejects(() => release("_a", caller), CallError, "failed");
});

test("release: while a peer refuses, one of those that wait is made each second", async (t) => {
  const clock = t.time();
  let isBusy = true;
  const { caller, calls } = failingCaller(() => isBusy ? busy() : undefined);
  const second = async () => {
    calls.length = 0;
    clock.tick(1_000);
    await turn();
    return calls.map(([selector]) => selector.at(-1)).sort();
  };
  for (const id of ["_a", "_b", "_c"]) await release(id, caller);
  const tried = [await second(), await second(), await second()];
  // Each has its turn.
  assertEquals(tried.flat().sort(), ["a", "b", "c"]);
  isBusy = false;
  assertEquals(await second(), ["a", "b", "c"]);
});

test("release: one that gets no answer holds up the others for a second", async (t) => {
  const clock = t.time();
  let isBusy = true;
  const selectors: string[] = [];
  const caller = {
    call: (selector: string) => {
      selectors.push(selector);
      return isBusy ? Promise.reject(busy()) : new Promise(() => {});
    },
  } as unknown as Caller;
  for (const id of ["_a", "_b", "_c"]) await release(id, caller);
  isBusy = false;
  selectors.length = 0;
  clock.tick(1_000);
  await turn();
  assertEquals(selectors.length, 1);
  clock.tick(1_000);
  await turn();
  assertEquals(selectors.length, 3);
});

test("release: 4,096 functions of a peer wait to be released at most", async (t) => {
  const clock = t.time();
  const most = 4_096;
  let isBusy = true;
  const { caller, calls } = failingCaller(() => isBusy ? busy() : undefined);
  const idOf = (i: number) => `_${i}`;
  for (let i = 0; i < most; i++) await release(idOf(i), caller);
  await assertRejects(() => release(idOf(most), caller), RemoteError, "busy");
  // Those that wait already can be given back more often.
  await release(idOf(0), caller, 2);
  isBusy = false;
  calls.length = 0;
  clock.tick(1_000);
  await turn();
  assertEquals(calls.length, most);
  const [, count] = calls.find(([selector]) => selector.endsWith("/_0"))!;
  assertEquals(count, 3);
  // Then there is room for others.
  releaseSoon(idOf(most), caller);
  assertEquals(calls.length, most + 1);
});

test("release: a peer that has refused a channel gets the release once it accepts channels again", async (t) => {
  const clock = t.time();
  const { peer, raw } = t.scriptedPeer();
  const id = "_0123450000000000001";
  const asking = peer.call("lend");
  const call = await rawAccept(raw);
  await call.read(2);
  await call.values({ Continue: false, Q: { v: 1, lends: "_012345" } }, {
    $fnptr: id,
  });
  await call.eof();
  const given = await asking as { release(): void };
  await call.close();
  given.release();
  const { sender } = await raw.find("open");
  await raw.send(failure(sender));
  await until(() => clock.waiting > 0, "the next attempt to be planned");
  clock.tick(1_000);
  const release = await rawAccept(raw, 1);
  const [{ Selector }] = await release.read(2) as [{ Selector: string }];
  assertEquals(Selector, `/_qtalk/release/${id}`);
  await release.values({ Continue: false, Q: { v: 1 } }, null);
  await release.eof();
  await release.close();
});

test("release: none waits for a session that has ended", async (t) => {
  const clock = t.time();
  const ends = new Set<() => void>();
  const session = {
    ended: false,
    onEnd: (callback: () => void) => {
      ends.add(callback);
      return () => ends.delete(callback);
    },
  };
  const caller = {
    [channelPool]: { session },
    call: () => Promise.reject(busy()),
  } as unknown as Caller;
  await release("_a", caller);
  await release("_b", caller);
  for (let i = 0; i < 3; i++) {
    assertEquals([clock.waiting, ends.size], [1, 1]);
    clock.tick(1_000);
    await turn();
  }
  session.ended = true;
  for (const end of ends) end();
  assertEquals(clock.waiting, 0);
  await assertRejects(() => release("_c", caller), RemoteError, "busy");
  assertEquals(clock.waiting, 0);
});
