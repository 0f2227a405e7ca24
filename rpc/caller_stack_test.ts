import {
  type Callback,
  CallError,
  CodecError,
  handlerFrom,
  MuxError,
  type Peer,
  RemoteError,
  RpcError,
} from "@qtalk/qtalk";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { type Harness, test } from "../tests/support/harness.ts";
import { rawAccept } from "../tests/support/raw_call.ts";
import { turn, until } from "../tests/support/within.ts";

class Mistake extends Error {}

const service = {
  fail: (text: string): never => {
    throw new CallError(text);
  },
  async *fails() {
    yield 1;
    await turn();
    throw new CallError("later");
  },
  hang: () => new Promise<void>(() => {}),
  big: () => "x".repeat(10_000),
};

function pair(t: Harness) {
  const [client] = t.pair({ maxValueSize: 1_000 }, {
    handler: handlerFrom(service),
  });
  return { client, api: client.remote<typeof service>() };
}

/** The error that a function rejects with, whose stack names the function. */
async function stackOf(
  program: () => Promise<unknown>,
): Promise<Error> {
  const error = await program().then(
    () => undefined,
    (error) => error,
  ) as Error;
  assert(error instanceof Error, `${program.name} does not reject`);
  const stack = error.stack ?? "";
  assert(stack.includes(program.name), `${program.name} is not in ${stack}`);
  assert(stack.includes(import.meta.url), stack);
  assert(stack.startsWith(`${error.name}: ${error.message}\n`), stack);
  return error;
}

test("stacks: that of a remote call leads to the caller", async (t) => {
  const { api } = pair(t);
  async function awaits() {
    await api.fail("no");
  }
  async function catches() {
    throw await api.fail("no").catch((error) => error);
  }
  async function waitsForAll() {
    await Promise.all([api.fail("no"), api.fail("no")]);
  }
  async function races() {
    await Promise.race([api.fail("no")]);
  }
  async function cleansUp() {
    await api.fail("no").finally(() => {});
  }
  async function outer() {
    await inner();
  }
  async function inner() {
    return await api.fail("no");
  }
  const programs = [awaits, catches, waitsForAll, races, cleansUp, outer];
  for (const program of programs) {
    const error = await stackOf(program);
    assert(error instanceof RemoteError);
  }
});

test("stacks: that of call() and request() leads to the caller", async (t) => {
  const { client } = pair(t);
  async function calls() {
    await client.call("fail", ["no"]);
  }
  async function requests() {
    await client.request("fail", ["no"]);
  }
  async function catches() {
    throw await client.call("fail", ["no"]).catch((error) => error);
  }
  async function times() {
    await client.call("hang", [], { timeout: 1 });
  }
  async function readsMuch() {
    await client.call("big");
  }
  async function sendsNothing() {
    await client.call("big", [Symbol("unsupported")]);
  }
  const kinds = [];
  for (
    const program of [calls, requests, catches, times, readsMuch, sendsNothing]
  ) {
    const error = await stackOf(program);
    kinds.push(error.constructor);
  }
  assertEquals(kinds, [
    RemoteError,
    RemoteError,
    RemoteError,
    RpcError,
    CodecError,
    CodecError,
  ]);
});

test("stacks: that of a loop leads to it", async (t) => {
  const { api, client } = pair(t);
  async function loops() {
    for await (const _ of api.fails());
  }
  async function loopsAtOnce() {
    const failing = api.fail("no") as unknown as AsyncIterable<never>;
    for await (const _ of failing);
  }
  async function receives() {
    const response = await client.request("fails");
    for (;;) await response.receive();
  }
  for (const program of [loops, loopsAtOnce, receives]) {
    assert(await stackOf(program) instanceof RemoteError);
  }
});

test("stacks: that of a callback's call leads to it", async (t) => {
  const errors: Error[] = [];
  const [client] = t.pair({}, {
    handler: handlerFrom({
      async run(fn: Callback<() => void>) {
        async function callsBack() {
          await fn();
        }
        errors.push(await stackOf(callsBack));
      },
    }),
  });
  await client.call("run", [() => {
    throw new CallError("no");
  }]);
  assertEquals(errors.length, 1);
});

test("stacks: each call has its own when a session ends", async (t) => {
  const { client } = pair(t);
  async function first() {
    await client.call("hang");
  }
  async function second() {
    await client.call("hang");
  }
  const both = Promise.all([stackOf(first), stackOf(second)]);
  await client.close();
  const [a, b] = await both;
  for (const error of [a, b]) {
    assert(error instanceof MuxError);
    assertEquals(error.code, "session-closed");
  }
  assert(!a.stack!.includes("second"), a.stack);
  assert(!b.stack!.includes("first"), b.stack);
});

test("stacks: an error of the program is passed on as it is", async (t) => {
  const { client, api } = pair(t);
  // The reason may even be an error of this package.
  for (const reason of [new Mistake("m"), new MuxError("timeout", "t"), "x"]) {
    const before = (reason as Error).stack;
    for (
      const call of [
        (peer: Peer, signal: AbortSignal) => peer.call("hang", [], { signal }),
        (peer: Peer, signal: AbortSignal) =>
          peer.remote<typeof service>({ signal }).hang(),
        (peer: Peer, signal: AbortSignal) =>
          Array.fromAsync(peer.remote<typeof service>({ signal }).fails()),
      ]
    ) {
      for (const late of [true, false]) {
        const controller = new AbortController();
        if (!late) controller.abort(reason);
        const rejected = assertRejects(() =>
          Promise.resolve(call(client, controller.signal))
        );
        controller.abort(reason);
        assert(Object.is(await rejected.catch(() => reason), reason));
        assertEquals((reason as Error).stack, before);
      }
    }
  }
  async function uses() {
    await api.fail("no");
  }
  await stackOf(uses);
});

test("stacks: a call that gets no answer has one", async (t) => {
  const { peer, raw } = t.scriptedPeer();
  async function waits() {
    await peer.call("x");
  }
  const error = stackOf(waits);
  const channel = await rawAccept(raw);
  await channel.close();
  assertEquals((await error as RpcError).code, "no-response");
  await raw.end();
});

test("PeerOptions.callStacks: the stack says where the call was made", {
  leaves: { rejections: "nothing awaits the calls" },
}, async (t) => {
  const rejections: Error[] = [];
  const onRejection = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    rejections.push(event.reason as Error);
  };
  addEventListener("unhandledrejection", onRejection);
  t.defer(() => removeEventListener("unhandledrejection", onRejection));
  for (const callStacks of [false, true]) {
    const [client] = t.pair({ callStacks }, { handler: handlerFrom(service) });
    const api = client.remote<typeof service>();
    const doesNotAwait = () => {
      void api.fail("a");
      void client.call("fail", ["b"]);
      void client.request("fail", ["c"]);
    };
    doesNotAwait();
    await until(() => rejections.length >= 3);
    for (const { stack = "" } of rejections.splice(0)) {
      assertEquals(stack.includes("doesNotAwait"), callStacks, stack);
    }
    const awaits = async () => {
      const call = api.fail("no");
      await call;
    };
    const calls = async () => void await client.call("fail", ["no"]);
    await stackOf(awaits);
    await stackOf(calls);
  }
});
