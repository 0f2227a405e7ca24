import { assert, assertEquals, assertThrows } from "@std/assert";
import { RpcError } from "../errors.ts";
import type { Caller } from "../types.ts";
import { Random } from "../../tests/support/random.ts";
import { newId, newPrefix, RandomDigits } from "./pointers.ts";
import { type CallbackFunction, RemoteFunctions } from "./remote_function.ts";

const ID = newId(newPrefix(), "function", new RandomDigits());

/** Functions of a peer that notes what is released, and answers when told to. */
function script({ peerExtended = true } = {}) {
  const released: unknown[] = [];
  const answers: (() => void)[] = [];
  const caller = {
    call(_selector: string, count: unknown) {
      released.push(count);
      return Promise.resolve(null);
    },
    request() {
      const { promise, resolve } = Promise.withResolvers<unknown>();
      answers.push(() => resolve({ value: null, continued: false }));
      return promise;
    },
  } as unknown as Caller;
  const functions = new RemoteFunctions({ peerExtended, onError() {} });
  const remote = functions.get(ID, caller, "/a");
  const fn = remote.value() as CallbackFunction;
  return {
    functions,
    remote,
    fn,
    released,
    async answerAll() {
      for (const answer of answers.splice(0)) answer();
      await Promise.resolve();
      await Promise.resolve();
    },
  };
}

Deno.test("RemoteFunction: there is one object for an ID", () => {
  const it = script();
  const again = it.functions.get(ID, {} as Caller, "/b");
  assert(again === it.remote);
  assert(again.value() === it.fn);
});

Deno.test("RemoteFunction: what came with several responses is released at once, with their count", () => {
  const it = script();
  for (let i = 0; i < 3; i++) it.remote.grant();
  it.fn.release();
  it.fn[Symbol.dispose]();
  assertEquals(it.released, []);
  it.fn.release();
  assertEquals(it.released, [3]);
  it.fn.release();
  assertEquals(it.released, [3]);
});

Deno.test("RemoteFunction: each retain() is a holder", () => {
  const it = script();
  it.remote.lend(false);
  it.fn.retain();
  it.fn.retain();
  it.fn.release();
  assertEquals(it.remote.isKept(true), true);
  it.remote.answered(true);
  it.remote.ended();
  assertEquals(it.released, []);
  it.fn.release();
  assertEquals(it.released, [1]);
});

Deno.test("RemoteFunction: of several calls that lend it, one answer names it", () => {
  const it = script();
  it.remote.lend(false);
  it.remote.lend(false);
  it.fn.retain();
  assertEquals(it.remote.isKept(true), true);
  it.remote.answered(true);
  it.remote.ended();
  assertEquals(it.remote.isKept(true), false);
  it.remote.answered(false);
  it.remote.ended();
  it.fn.release();
  assertEquals(it.released, [1]);
});

Deno.test("RemoteFunction: release() without a holder does not end what a call lends", async () => {
  const it = script();
  it.remote.lend(false);
  it.fn.release();
  const call = it.fn();
  await it.answerAll();
  assertEquals(await call, null);
});

Deno.test("RemoteFunction: it is released when its last call has been answered", async () => {
  const it = script();
  it.remote.grant();
  const call = it.fn();
  it.fn.release();
  assertEquals(it.released, []);
  await it.answerAll();
  assertEquals(await call, null);
  assertEquals(it.released, [1]);
});

Deno.test("RemoteFunction: a peer that is not extended gets no release", () => {
  const it = script({ peerExtended: false });
  it.remote.grant();
  it.fn.release();
  assertEquals(it.released, []);
});

Deno.test("RemoteFunction: it cannot be retained when no answer can name it", () => {
  const it = script();
  it.remote.lend(true);
  assertThrows(() => it.fn.retain(), RpcError, "it was released");
  it.remote.ended();
  assertThrows(() => it.fn.retain(), RpcError, "it was released");
});

Deno.test("RemoteFunction: in any order of events, everything granted is released, once", async () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = new Random(seed);
    const it = script();
    let granted = 0, holds = 0, pending = 0, continued = 0;
    const answer = (ends: boolean) => {
      pending--;
      const kept = it.remote.isKept(ends);
      if (kept) granted++;
      it.remote.answered(kept);
      if (ends) it.remote.ended();
      else continued++;
    };
    const given = () => it.released.reduce<number>((n, m) => n + Number(m), 0);
    for (let step = 0; step < 40; step++) {
      const event = random.int(0, 6);
      if (event === 0) {
        it.remote.lend(false);
        pending++;
      } else if (event === 1 && pending > 0) answer(random.int(0, 1) === 0);
      else if (event === 2 && continued > 0) {
        continued--;
        it.remote.ended();
      } else if (event === 3) {
        it.remote.grant();
        granted++;
        holds++;
      } else if (event === 4) {
        try {
          it.fn.retain();
          holds++;
        } catch {
          assertEquals(pending, 0);
          assertEquals(granted, given());
        }
      } else if (event === 5) {
        it.fn.release();
        holds = Math.max(0, holds - 1);
      } else void it.fn().catch(() => {});
      assert(given() <= granted);
      // A holder can always call it.
      if (holds > 0) it.remote.check("call");
      if (holds > 0 && pending === 0) assert(given() < granted, `seed ${seed}`);
    }
    while (pending > 0) answer(true);
    while (continued-- > 0) it.remote.ended();
    while (holds-- > 0) it.fn.release();
    await it.answerAll();
    assertEquals(given(), granted, `seed ${seed}`);
  }
});
