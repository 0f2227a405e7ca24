import {
  type Call,
  CallError,
  catchAll,
  forward,
  handlerFrom,
  type HandlerFunction,
  type Middleware,
  Router,
  RpcError,
  type RpcResponse,
  withCall,
  withMiddleware,
} from "@qtalk/qtalk";
import { RemoteError } from "@qtalk/qtalk";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type Harness, test } from "../../tests/support/harness.ts";
import { turn, until } from "../../tests/support/within.ts";

const service = {
  double: (n: number) => 2 * n,
  nothing: () => {},
  later: async (n: number) => {
    await turn();
    return n;
  },
  fail: (code: string) => {
    throw new CallError("No", { code });
  },
  bug: () => {
    throw new TypeError("A bug");
  },
  returned: () => new Error("Returned"),
  async *ticks(to: number, fails = false) {
    for (let n = 1; n <= to; n++) yield n;
    if (fails) throw new CallError("Enough");
  },
  stream: () => ReadableStream.from(["a", "b"]),
  echo: () => new TransformStream<Uint8Array, Uint8Array>(),
  ask: withCall((call: Call) => call.caller.call("hello")),
};

/** A client, and what middleware at the server has seen. */
function serve(t: Harness) {
  const seen: unknown[] = [];
  const errors: unknown[] = [];
  const [client, server] = t.pair({}, {
    handler: handlerFrom(service),
    onError: (error) => errors.push(error),
  });
  server.use(async (call, next) => {
    try {
      const result = await next();
      seen.push([call.selector, result]);
      return result;
    } catch (error) {
      seen.push([call.selector, error]);
      throw error;
    }
  });
  return { client, server, seen, errors, api: client.remote<typeof service>() };
}

test("Peer.use: middleware sees the call, and its result", async (t) => {
  const { client, api, seen } = serve(t);
  assertEquals(await api.double(2), 4);
  assertEquals(await api.later(3), 3);
  assertEquals(await client.call("nothing"), null);
  assertEquals(seen, [["/double", 4], ["/later", 3], ["/nothing", null]]);
});

test("Peer.use: middleware sees what the handler throws, and what nothing answers", async (t) => {
  const { client, api, seen, errors } = serve(t);
  const error = await assertRejects(() => api.fail("x"), RemoteError, "No");
  assertEquals(error.code, "x");
  await assertRejects(() => api.bug(), RemoteError, "A bug");
  await assertRejects(() => client.call("returned"), RemoteError, "Returned");
  const missing = await assertRejects(() => client.call("none"), RemoteError);
  assertEquals(missing.code, "not-found");
  assertEquals(
    seen.map((one) => (one as [string, Error])[1].message),
    ["No", "A bug", "Returned", "not found: /none"],
  );
  // As without middleware: what is thrown and is not for the caller is a bug.
  assertEquals(errors.map((error) => (error as Error).message), ["A bug"]);
});

test("Peer.use: streams are streams for middleware, which can replace them", async (t) => {
  const { api, server, seen } = serve(t);
  assertEquals(await Array.fromAsync(api.ticks(3)), [1, 2, 3]);
  assertEquals(await Array.fromAsync(api.stream()), ["a", "b"]);
  assert(Symbol.asyncIterator in (seen[0] as [string, object])[1]);
  assert((seen[1] as unknown[])[1] instanceof ReadableStream);
  server.use("ticks", async (_call, next) => {
    const values = await next() as AsyncIterable<number>;
    return (async function* () {
      for await (const n of values) yield 10 * n;
    })();
  });
  assertEquals(await Array.fromAsync(api.ticks(2)), [10, 20]);
  const failing = Array.fromAsync(api.ticks(2, true));
  await assertRejects(() => failing, RemoteError, "Enough");
});

test("Peer.use: bytes in both directions pass", async (t) => {
  const { api, seen } = serve(t);
  await using bytes = await api.echo();
  await new Blob(["bytes"]).stream().pipeTo(bytes.writable);
  assertEquals(await new Response(bytes.readable).text(), "bytes");
  assert("readable" in (seen[0] as [string, object])[1]);
});

test("Peer.use: what middleware returns is the answer, and undefined leaves it", async (t) => {
  const [client, server] = t.pair({}, { handler: handlerFrom(service) });
  const api = client.remote<typeof service>();
  let how: Middleware = () => "cached";
  server.use((call, next) => how(call, next));
  assertEquals(await client.call("none"), "cached");
  how = async (_call, next) => void await next();
  assertEquals(await api.double(1), 2);
  how = (_call, next) => void next();
  assertEquals(await api.double(2), 4);
  how = async (_call, next) => (await next() as number) + 1;
  assertEquals(await api.double(3), 7);
  how = async (_call, next) => {
    await next();
    return null;
  };
  assertEquals(await api.double(4), null as unknown);
  how = async (_call, next) => {
    await next().catch(() => {});
  };
  await assertRejects(() => api.fail("still"), RemoteError, "No");
  how = (_call, next) => next().catch(() => "caught");
  assertEquals(await client.call("fail"), "caught");
  how = () => service.ticks(2);
  assertEquals(await Array.fromAsync(api.ticks(9)), [1, 2]);
});

test("Peer.use: what middleware throws is taken for what a handler throws", async (t) => {
  const { client, server, errors } = serve(t);
  server.use("double", () => {
    throw new CallError("Go away", { code: "permission-denied" });
  });
  server.use("later", () => Promise.reject(new TypeError("A mistake")));
  const error = await assertRejects(() => client.call("double"), RemoteError);
  assertEquals(error.code, "permission-denied");
  await assertRejects(() => client.call("later"), RemoteError, "A mistake");
  assertEquals(errors.map((error) => (error as Error).message), ["A mistake"]);
});

test("Peer.use: next() can be called once", async (t) => {
  const [client, server] = t.pair({}, { handler: handlerFrom(service) });
  let again: unknown;
  server.use(async (_call, next) => {
    const result = await next();
    again = await next().catch((error) => error);
    return result;
  });
  assertEquals(await client.call("double", [1]), 2);
  assert(again instanceof RpcError);
  assertEquals(again.code, "invalid-state");
});

test("Peer.use: middleware runs in order, the first outermost, and can be removed", async (t) => {
  const [client, server] = t.pair({}, { handler: handlerFrom(service) });
  const log: string[] = [];
  const named = (name: string): Middleware => async (_call, next) => {
    log.push(name);
    const result = await next();
    log.push(`/${name}`);
    return result;
  };
  server.use(named("a"));
  const second = server.use(named("b"));
  await client.call("double", [1]);
  second[Symbol.dispose]();
  await client.call("double", [1]);
  assertEquals(log, ["a", "b", "/b", "/a", "a", "/a"]);
});

test("Peer.use: a pattern is one method, or all below a prefix", async (t) => {
  const log: string[] = [];
  const [client, server] = t.pair({}, {
    handler: handlerFrom({
      [catchAll]: ((_call, respond) => respond.return(null)) as HandlerFunction,
    }),
  });
  const logged = (name: string): Middleware => (call, next) => {
    log.push(`${name} ${call.selector}`);
    return next();
  };
  server.use("admin.stop", logged("one"));
  server.use("admin.", logged("subtree"));
  server.use("", logged("all"));
  const selectors = ["admin.stop", "/admin/go", "administer", "admin"];
  for (const one of selectors) await client.call(one);
  assertEquals(log, [
    "one /admin/stop",
    "subtree /admin/stop",
    "all /admin/stop",
    "subtree /admin/go",
    "all /admin/go",
    "all /administer",
    "all /admin",
  ]);
});

test("Router.use: it is around its subtree, within the middleware of the router above", async (t) => {
  const log: string[] = [];
  const logged = (name: string): Middleware => (call, next) => {
    log.push(`${name} ${call.selector}`);
    return next();
  };
  const inner = new Router();
  inner.handle("stop", handlerFrom(() => "stopped"));
  inner.use(logged("inner"));
  inner.use("stop", logged("stop"));
  const outer = new Router();
  outer.handle("admin", inner);
  outer.handle("hello", handlerFrom(() => "hello"));
  const [client, server] = t.pair({}, { handler: outer });
  assertEquals(await client.call("admin.stop"), "stopped");
  outer.use(logged("outer"));
  assertEquals(await client.call("admin.stop"), "stopped");
  assertEquals(await client.call("hello"), "hello");
  await assertRejects(
    () => client.call("admin.none"),
    RemoteError,
    "not found",
  );
  await assertRejects(() => client.call("none"), RemoteError, "not found");
  assertEquals(log, [
    "inner /admin/stop",
    "stop /admin/stop",
    "outer /admin/stop",
    "inner /admin/stop",
    "stop /admin/stop",
    "outer /hello",
    "outer /admin/none",
    "inner /admin/none",
    "outer /none",
  ]);
  server.handle("mine", outer);
  log.length = 0;
  assertEquals(await client.call("mine.admin.stop"), "stopped");
  assertEquals(log, [
    "outer /mine/admin/stop",
    "inner /mine/admin/stop",
    "stop /mine/admin/stop",
  ]);
  assertEquals(outer.match("none"), undefined);
});

test("withMiddleware(): it is around one handler", async (t) => {
  const log: string[] = [];
  const [client, server] = t.pair();
  const handler = handlerFrom(service.double);
  server.handle(
    "logged",
    withMiddleware(
      handler,
      (_call, next) => (log.push("a"), next()),
      (_call, next) => (log.push("b"), next()),
    ),
  );
  server.handle("plain", handler);
  assertEquals(await client.call("logged", [1]), 2);
  assertEquals(await client.call("plain", [1]), 2);
  assertEquals(log, ["a", "b"]);
});

test("Peer.use: a handler that continues its call by itself answers before next() resolves", async (t) => {
  const log: unknown[] = [];
  const [client, server] = t.pair({}, {
    handler: async (_call, respond) => {
      const channel = await respond.continue("begun");
      await respond.send(1);
      await channel.close();
      log.push("handler");
    },
  });
  server.use(async (_call, next) => {
    log.push(await next());
    return "ignored";
  });
  const response = await client.request("x");
  assertEquals(response.value, "begun");
  assertEquals(await Array.fromAsync(response), [1]);
  await until(() => log.length >= 2);
  assertEquals(log, ["handler", undefined]);
});

test("Peer.use: several values are an RpcResponse, and none is null", async (t) => {
  const results: unknown[] = [];
  const [client, server] = t.pair({}, {
    handler: async (call, respond) => {
      if (call.selector === "/many") await respond.return(1, "two");
    },
  });
  server.use(async (_call, next) => {
    const result = await next();
    results.push(result);
    return result;
  });
  assertEquals((await client.request("many")).values, [1, "two"]);
  assertEquals((await client.request("none")).values, [null]);
  assertEquals((results[0] as RpcResponse).values, [1, "two"]);
  assertEquals(results[1], null);
});

test("Peer.use: a handler goes on after its answer, and an error then is reported", async (t) => {
  const errors: unknown[] = [];
  const [client, server] = t.pair({}, {
    onError: (error) => errors.push((error as Error).message),
    handler: async (_call, respond) => {
      await respond.return("answer");
      throw new TypeError("Too late");
    },
  });
  server.use((_call, next) => next());
  assertEquals(await client.call("x"), "answer");
  await until(() => errors.length > 0);
  assertEquals(errors, ["Too late"]);
});

test("Peer.use: a function that belongs into handlerFrom() is an error with middleware, too", async (t) => {
  const errors: unknown[] = [];
  const [client, server] = t.pair({}, {
    onError: (error) => errors.push(error),
    handler: (() => 5) as unknown as HandlerFunction,
  });
  server.use((_call, next) => next());
  await assertRejects(() => client.call("x"), RemoteError, "write handlerFrom");
  assertEquals(errors.length, 1);
});

test("Peer.use: calls are forwarded through middleware", async (t) => {
  const [middle] = t.pair({}, { handler: handlerFrom(service) });
  const [client, front] = t.pair({}, { handler: forward(middle) });
  const log: string[] = [];
  front.use((call, next) => (log.push(call.selector), next()));
  const api = client.remote<typeof service>();
  assertEquals(await api.double(2), 4);
  assertEquals(await Array.fromAsync(api.ticks(2)), [1, 2]);
  assertEquals(log, ["/double", "/ticks"]);
});

test("Peer.use: calls of callbacks do not pass middleware, and callbacks work", async (t) => {
  const log: string[] = [];
  const [client, server] = t.pair({}, {
    handler: handlerFrom({
      each: async (values: number[], fn: (n: number) => Promise<void>) => {
        for (const n of values) await fn(n);
      },
      hello: () => "hello",
    }),
  });
  for (const peer of [client, server]) {
    peer.use((call, next) => (log.push(call.selector), next()));
  }
  const got: number[] = [];
  await client.call("each", [[1, 2], (n: number) => void got.push(n)]);
  assertEquals([got, log], [[1, 2], ["/each"]]);
});

test("Peer.use: with metadata and deadline, middleware decides who may call what", async (t) => {
  const [client, server] = t.pair({}, { handler: handlerFrom(service) });
  server.use(async (call: Call<{ name: string } | undefined>, next) => {
    if (call.meta["token"] !== "secret") {
      throw new CallError("Who are you?", { code: "unauthenticated" });
    }
    assert(call.deadline !== undefined);
    call.responseMeta["seen"] = true;
    return await next();
  });
  const error = await assertRejects(() => client.call("double"), RemoteError);
  assertEquals(error.code, "unauthenticated");
  const options = { meta: { token: "secret" }, timeout: 50_000 };
  const response = await client.request("double", [2], options);
  assertEquals([response.value, response.meta], [4, { seen: true }]);
});

test("Peer.use: what is no middleware is a TypeError", (t) => {
  const [, server] = t.pair();
  const use = server.use.bind(server) as (...args: unknown[]) => void;
  assertThrows(
    () => use({}),
    TypeError,
    "Cannot use middleware: an object is not a function",
  );
  assertThrows(() => use("x"), TypeError, "a string is not a function");
  assertThrows(
    () => use(5, () => {}),
    TypeError,
    "is not a string; write use(",
  );
  assertThrows(
    () => new Router().use(null as never),
    TypeError,
    "null is not a function",
  );
  assertThrows(
    () => withMiddleware(handlerFrom(() => {}), "x" as never),
    TypeError,
    "a string is not a function",
  );
});
