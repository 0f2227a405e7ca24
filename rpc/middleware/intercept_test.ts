import {
  type Call,
  CallError,
  forward,
  handlerFrom,
  RemoteError,
  RpcError,
  RpcResponse,
  withCall,
  withStream,
} from "@qtalk/qtalk";
import {
  intercept,
  type Interceptor,
  type OutgoingCall,
} from "@qtalk/qtalk/middleware";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type Harness, test } from "../../tests/support/harness.ts";

const service = {
  double: (n: number) => 2 * n,
  meta: withCall((call: Call) => {
    call.responseMeta["node"] = "a";
    return call.meta;
  }),
  fail: () => {
    throw new CallError("No", { code: "no" });
  },
  async *ticks(to: number) {
    for (let n = 1; n <= to; n++) yield n;
  },
  sum: withStream(async (numbers: AsyncIterable<number>) => {
    let sum = 0;
    for await (const n of numbers) sum += n;
    return sum;
  }),
};

function intercepted(t: Harness, ...interceptors: Interceptor[]) {
  const [client] = t.pair({}, { handler: handlerFrom(service) });
  const caller = intercept(client, ...interceptors);
  return { client, caller, api: caller.remote<typeof service>() };
}

test("intercept(): an interceptor sees each call, and its response", async (t) => {
  const calls: OutgoingCall[] = [];
  const responses: RpcResponse[] = [];
  const { client, caller, api } = intercepted(t, async (call, next) => {
    calls.push(call);
    const response = await next();
    responses.push(response);
    return response;
  });
  const options = { timeout: 50_000 };
  assertEquals(await caller.call("double", [2], options), 4);
  assertEquals((await caller.request("double", [3])).value, 6);
  assertEquals(await api.double(4), 8);
  await caller.call("meta");
  assertEquals(calls.map(({ selector, args }) => [selector, args]), [
    ["double", [2]],
    ["double", [3]],
    ["double", [4]],
    ["meta", null],
  ]);
  assertEquals(calls[0]!.options, options);
  assert(calls[0]!.caller === client);
  assertEquals(responses.map(({ value }) => value), [4, 6, 8, {}]);
  assertEquals(responses[3]!.meta, { node: "a" });
});

test("intercept(): streams are streams, in both directions", async (t) => {
  const seen: unknown[] = [];
  const { caller, api } = intercepted(t, async (call, next) => {
    const response = await next();
    seen.push(call.args, response.continued);
    return response;
  });
  assertEquals(await Array.fromAsync(api.ticks(3)), [1, 2, 3]);
  const numbers = ReadableStream.from([1, 2, 3]);
  assertEquals(await caller.call("sum", numbers), 6);
  assertEquals(seen, [[3], true, numbers, false]);
});

test("intercept(): what a call throws is what next() rejects with", async (t) => {
  const seen: unknown[] = [];
  const { caller, api } = intercepted(t, async (_call, next) => {
    try {
      return await next();
    } catch (error) {
      seen.push(error);
      throw error;
    }
  });
  const error = await assertRejects(() => api.fail(), RemoteError, "No");
  assert(seen[0] === error);
  await assertRejects(() => caller.call("none"), RemoteError, "not found");
});

test("intercept(): next() takes changes, and can be called again", async (t) => {
  const { caller } = intercepted(
    t,
    ({ options }, next) =>
      next({ options: { ...options, meta: { ...options.meta, token: "t" } } }),
    async (call, next) => {
      if (call.selector !== "twice") return await next();
      const first = await next({ selector: "double" });
      return await next({ selector: "double", args: [first.value] });
    },
  );
  assertEquals(await caller.call("meta", null, { meta: { a: 1 } }), {
    a: 1,
    token: "t",
  });
  assertEquals(await caller.call("twice", [3]), 12);
});

test("intercept(): the first interceptor is the outermost, and may answer by itself", async (t) => {
  const log: string[] = [];
  const { caller } = intercepted(
    t,
    (_call, next) => (log.push("a"), next()),
    (call, next) => {
      log.push("b");
      return call.selector === "cached"
        ? Promise.resolve(new RpcResponse(["from the cache"]))
        : next();
    },
    (_call, next) => (log.push("c"), next()),
  );
  assertEquals(await caller.call("cached"), "from the cache");
  assertEquals(log, ["a", "b"]);
  await caller.call("double", [1]);
  assertEquals(log, ["a", "b", "a", "b", "c"]);
});

test("intercept(): call() rejects for a stream, as without interceptors", async (t) => {
  const { caller } = intercepted(t, (_call, next) => next());
  const error = await assertRejects(
    () => caller.call("ticks", [1]),
    RpcError,
    "its response is a stream",
  );
  assertEquals(error.code, "invalid-state");
});

test("intercept(): what an interceptor throws rejects the call", async (t) => {
  const { caller } = intercepted(t, () => {
    throw new TypeError("A mistake");
  });
  await assertRejects(() => caller.call("double", [1]), TypeError, "A mistake");
  await assertRejects(() => caller.request("double", [1]), TypeError);
});

test("intercept(): what is no interceptor is a TypeError, and the caller no target of forward()", (t) => {
  const [client] = t.pair();
  assertThrows(
    () => intercept(client, {} as Interceptor),
    TypeError,
    "Cannot use interceptor: an object is not a function",
  );
  assertThrows(() => handlerFrom(intercept(client)), TypeError, "it is a peer");
  // Forwarded calls would not go through the interceptors.
  assertThrows(
    () => forward(intercept(client)),
    TypeError,
    "target is neither",
  );
});
