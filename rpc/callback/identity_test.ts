/**
 * One function is one callback within a session.
 *
 * @module
 */
import {
  type Callback,
  callback,
  handlerFrom,
  memoryPair,
  type Peer,
} from "@qtalk/qtalk";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { test } from "../../tests/support/harness.ts";
import { collectGarbage } from "../../tests/support/memory.ts";
import { rawAccept, rawOpen } from "../../tests/support/raw_call.ts";
import { turn, until } from "../../tests/support/within.ts";
import { RpcError } from "../errors.ts";

type Fn = Callback<(...args: unknown[]) => unknown>;

/** Waits until a peer lends that many functions. */
async function held(peer: Peer, count: number): Promise<void> {
  await until(
    () => peer.callbackCount === count,
    `${count} callbacks to be held (${peer.callbackCount} are)`,
  );
}

test("callbacks: a function that is sent twice is one object, in one call or in several", async (t) => {
  const seen = new Set<Fn>();
  const [client, server] = t.pair({}, {
    handler: handlerFrom({
      same: (a: Fn, { b }: { b: Fn }) => a === b,
      add(fn: Fn) {
        seen.add(fn);
        return seen.size;
      },
    }),
  });
  const fn = () => 1;
  assertEquals(await client.call("same", [fn, { b: fn }]), true);
  assertEquals(await client.call("same", [fn, { b: () => 1 }]), false);
  // Neither retained nor called.
  assertEquals(await client.call("add", [fn]), 1);
  assertEquals(await client.call("add", [fn]), 1);
  assertEquals(await client.call("add", [() => 1]), 2);
  assertEquals([client.callbackCount, server.callbackCount], [0, 0]);
});

test("callbacks: off(fn) finds what on(fn) retained", async (t) => {
  const listeners = new Set<Fn>();
  const [client] = t.pair({}, {
    handler: handlerFrom({
      on: (fn: Fn) => void listeners.add(fn.retain()),
      off(fn: Fn) {
        if (!listeners.delete(fn)) return false;
        fn.release();
        return true;
      },
    }),
  });
  const heard: unknown[] = [];
  const fn = (value: unknown) => void heard.push(value);
  await client.call("on", [fn]);
  await Promise.all([...listeners].map((listener) => listener("a")));
  assertEquals(heard, ["a"]);
  assertEquals(client.callbackCount, 1);
  assertEquals(await client.call("off", [fn]), true);
  assertEquals(listeners.size, 0);
  await held(client, 0);
  assertEquals(await client.call("off", [fn]), false);
});

test("callbacks: a function in several results is one object, released by its last holder", async (t) => {
  const fn = () => "called";
  const [client, server] = t.pair({}, {
    handler: handlerFrom({ one: () => fn, two: () => [fn, fn] }),
  });
  const a = await client.call("one") as Fn;
  const [b, c] = await client.call("two") as [Fn, Fn];
  assert(a === b && b === c);
  assertEquals(server.callbackCount, 1);
  a.release();
  {
    using _b = b;
  }
  assertEquals(await c(), "called");
  assertEquals(server.callbackCount, 1);
  c.release();
  await held(server, 0);
  await assertRejects(async () => await a(), RpcError, "it was released");
  const again = await client.call("one") as Fn;
  assertEquals(await again(), "called");
  again.release();
  await held(server, 0);
});

test("callbacks: one handler's using does not end another's callback", async (t) => {
  const go = Promise.withResolvers<void>();
  const kept: Fn[] = [];
  const [client] = t.pair({}, {
    handler: handlerFrom({
      keep: (fn: Fn) => void kept.push(fn.retain()),
      async slow(fn: Fn) {
        using held = fn.retain();
        await go.promise;
        return await held("slow");
      },
      async quick(fn: Fn) {
        using held = fn.retain();
        return await held("quick");
      },
    }),
  });
  const fn = (text: unknown) => `heard ${text}`;
  const slow = client.call("slow", [fn]);
  assertEquals(await client.call("quick", [fn]), "heard quick");
  await client.call("keep", [fn]);
  assertEquals(await client.call("quick", [fn]), "heard quick");
  go.resolve();
  assertEquals(await slow, "heard slow");
  assertEquals(await kept[0]!("kept"), "heard kept");
  assertEquals(client.callbackCount, 1);
  kept[0]!.release();
  await held(client, 0);
});

test("callbacks: each retain() takes a release()", async (t) => {
  const kept: Fn[] = [];
  const [client] = t.pair({}, {
    handler: handlerFrom((fn: Fn) => void kept.push(fn.retain(), fn.retain())),
  });
  await client.call("", [() => 1]);
  kept[0]!.release();
  assertEquals(await kept[1]!(), 1);
  kept[1]!.release();
  await held(client, 0);
  await assertRejects(
    async () => await kept[0]!(),
    RpcError,
    "it was released",
  );
});

test("callbacks: a function that is given back to its owner is the function itself", async (t) => {
  const kept: Fn[] = [];
  const [client, server] = t.pair({}, {
    handler: handlerFrom({
      echo: (fn: Fn) => fn,
      nested: (fn: Fn) => ({ list: [fn] }),
      keep: (fn: Fn) => void kept.push(fn.retain()),
      kept: () => kept[0],
      async through(ask: Callback<(fn: unknown) => unknown>) {
        const own = () => "of the server";
        return await ask(own) === own;
      },
    }),
  });
  const fn = () => "of the client";
  assert(await client.call("echo", [fn]) === fn);
  const { list } = await client.call("nested", [fn]) as { list: unknown[] };
  assert(list[0] === fn);
  await client.call("keep", [fn]);
  assert(await client.call("kept") === fn);
  {
    // Its type is that of a callback, though there is nothing to release.
    using back = await client.call("kept") as Fn;
    assertEquals(back.retain()(), "of the client" as never);
  }
  assertEquals(client.callbackCount, 1);
  assertEquals(await client.call("through", [(fn: unknown) => fn]), true);
  kept[0]!.release();
  await held(client, 0);
  await held(server, 0);
  using forever = callback(fn);
  assert(await client.call("echo", [forever]) === forever);
});

test("callbacks: a released function cannot be given back to its owner", async (t) => {
  let lost: Fn | undefined;
  const errors: unknown[] = [];
  const [client] = t.pair({}, {
    handler: handlerFrom({
      lose: (fn: Fn) => void (lost = fn),
      lost: () => lost,
    }),
    onError: (error) => errors.push(error),
  });
  await client.call("lose", [() => 1]);
  await assertRejects(
    () => client.call("lost"),
    Error,
    "it was released",
  );
  assertEquals(errors.length, 1, "a bug of the handler");
});

test("callbacks: a function is another one in another session", async (t) => {
  const [one] = t.pair({}, { handler: handlerFrom((fn: Fn) => fn(1)) });
  const [other] = t.pair({}, {
    handler: handlerFrom(async (fn: Fn) => await one.call("", [fn])),
  });
  assertEquals(await other.call("", [(n: number) => n + 1]), 2);
});

test("callbacks: the release says how many times the function was granted", async (t) => {
  const { peer, raw } = t.scriptedPeer();
  const id = "_0123450000000000001";
  const fns: Fn[] = [];
  for (let i = 0; i < 2; i++) {
    const answer = peer.call("x");
    const channel = await rawAccept(raw, i);
    await channel.read(2);
    await channel.values(
      { Continue: false, Q: { v: 1 } },
      { $fnptr: id },
    );
    await channel.eof();
    await channel.close();
    fns.push(await answer as Fn);
  }
  assert(fns[0] === fns[1]);
  fns[0]!.release();
  fns[1]!.release();
  const release = await rawAccept(raw, 7);
  const [header, count] = await release.read(2);
  const { Selector } = header as { Selector: string };
  assertEquals([Selector, count], [`/_qtalk/release/${id}`, 2]);
  await release.answer(null);
  await release.close();
});

test("callbacks: a release without a count, and one of more than there are, are understood", async (t) => {
  const { peer, raw } = t.scriptedPeer({
    handler: handlerFrom(() => fn),
  });
  const fn = () => 1;
  const call = async (selector: string, ...args: unknown[]) => {
    const channel = await rawOpen(raw);
    await channel.values({ Selector: selector }, ...args);
    const [, value] = await channel.read(2);
    await raw.expect("eof");
    await raw.expect("close");
    await channel.close();
    return value;
  };
  let id = "";
  for (let i = 0; i < 3; i++) {
    ({ $fnptr: id } = await call("x", null) as { $fnptr: string });
  }
  assertEquals(peer.callbackCount, 1);
  await call(`/_qtalk/release/${id}`, null);
  assertEquals(peer.callbackCount, 1);
  await call(`/_qtalk/release/${id}`, -5);
  assertEquals(peer.callbackCount, 1);
  await call(`/_qtalk/release/${id}`, 1e9);
  assertEquals(peer.callbackCount, 0);
  await call(`/_qtalk/release/${id}`, 1);
});

Deno.test("callbacks: a function of a result that becomes unreachable is released", async () => {
  const [client, server] = memoryPair({}, {
    handler: handlerFrom({
      make: () => () => 1,
      stream: () => [new ReadableStream()],
    }),
  });
  await using _ = client;
  await client.call("make");
  await client.call("stream");
  assertEquals(server.callbackCount, 2);
  await until(() => server.callbackCount === 0, "the release", () => {
    collectGarbage();
    return turn();
  });
});
