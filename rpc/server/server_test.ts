import {
  type Channel,
  type Handler,
  memoryPair,
  type PeerOptions,
} from "@qtalk/qtalk";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { CodecError } from "../../codec/errors.ts";
import { msgpack } from "../../codec/msgpack/msgpack.ts";
import { DEFAULT_SESSION_OPTIONS } from "../../mux/options.ts";
import { FakeTime } from "../../tests/support/fake_time.ts";
import {
  rawCall,
  rawOpen,
  scriptedPeer,
} from "../../tests/support/raw_call.ts";
import { concat, framed, utf8, values } from "../../tests/support/wire.ts";
import { test } from "../../tests/support/harness.ts";
import { turn, until, within } from "../../tests/support/within.ts";
import { RemoteError, RpcError } from "../errors.ts";
import { READING_TIME } from "./incoming_call.ts";

/** Waits until what was sent has arrived and been handled. */
async function settled(): Promise<void> {
  for (let i = 0; i < 50; i++) await turn();
}

/** Collects what onError is called with. */
class Errors {
  readonly #reported: [unknown, string | undefined][] = [];
  #waiting: (() => void) | undefined;

  readonly onError: NonNullable<PeerOptions["onError"]> = (error, context) => {
    this.#reported.push([error, context.selector]);
    this.#waiting?.();
  };

  get count(): number {
    return this.#reported.length;
  }

  async next(): Promise<[unknown, string | undefined]> {
    if (this.#reported.length === 0) {
      await within(
        new Promise<void>((resolve) => this.#waiting = resolve),
        "onError",
      );
    }
    return this.#reported.shift()!;
  }
}

const boom = () => {
  throw new Error("boom");
};

Deno.test("Server: an error of a handler that has not responded is an error response", async () => {
  const errors = new Errors();
  const handlers: Handler[] = [
    boom,
    async () => {
      await turn();
      boom();
    },
    { respond: boom },
    () => Promise.reject("boom"),
  ];
  for (const handler of handlers) {
    const [client] = memoryPair({}, { handler, onError: errors.onError });
    await using _ = client;
    const error = await assertRejects(() => client.call("x"), RemoteError);
    assertEquals(error.text, "boom");
  }
  assertEquals(errors.count, handlers.length, "they are bugs, too");
});

Deno.test("Server: an error of a handler that has responded is reported to onError", async () => {
  const errors = new Errors();
  const [client] = memoryPair({}, {
    handler: async (_call, respond) => {
      await respond.return("answered");
      boom();
    },
    onError: errors.onError,
  });
  await using _ = client;
  assertEquals(await client.call("some.thing"), "answered");
  const [error, selector] = await errors.next();
  assertEquals((error as Error).message, "boom");
  assertEquals(selector, "/some/thing");
});

Deno.test("Server: an error of a handler that has continued closes the channel and is reported to onError", async () => {
  const errors = new Errors();
  const [client] = memoryPair({}, {
    handler: async (_call, respond) => {
      await respond.continue("open");
      await respond.send("more");
      boom();
    },
    onError: errors.onError,
  });
  await using _ = client;
  const response = await client.request("x");
  assertEquals(await response.receive(), "more");
  const cut = await assertRejects(() => response.receive(), RpcError);
  assertEquals(cut.code, "incomplete");
  await within(response.channel!.closed, "the channel to close");
  const [error, selector] = await errors.next();
  assertEquals((error as Error).message, "boom");
  assertEquals(selector, "/x");
});

Deno.test("Server: a continued call stays open after its handler has returned", async () => {
  const [client] = memoryPair({}, {
    handler: async (call, respond) => {
      const channel = await respond.continue("open");
      void (async () => {
        await call.receive();
        for await (const value of call) await respond.send(value);
        await channel.close();
      })();
    },
  });
  await using _ = client;
  await using response = await client.request("x");
  for (const value of [1, 2, 3]) {
    await turn();
    await response.send(value);
    assertEquals(await response.receive(), value);
  }
});

Deno.test("Server: the answer of a handler that does not respond is null", async () => {
  const handlers: Handler[] = [
    () => {},
    async () => {
      await turn();
    },
    async (call) => {
      await call.receive();
    },
  ];
  for (const handler of handlers) {
    const [client] = memoryPair({}, { handler });
    await using _ = client;
    assertEquals(await client.call("x", "never read"), null);
  }
});

Deno.test("Server: a handler that never answers does not affect other calls", async () => {
  using time = new FakeTime();
  const [client, server] = memoryPair();
  await using _ = client;
  const called = Promise.withResolvers<void>();
  server.handle("never", () => {
    called.resolve();
    return new Promise(() => {});
  });
  server.handle("other", (_call, respond) => respond.return("fine"));
  const never = client.call("never", null, { timeout: 1_000 });
  await within(called.promise, "the call");
  time.tick(1_000);
  const error = await assertRejects(() => never, RpcError);
  assertEquals(error.code, "timeout");
  assertEquals(await client.call("other"), "fine");
});

/** A byte stream of which the handler reads one byte, and then nothing. */
async function halfRead() {
  const channels = Promise.withResolvers<Channel>();
  const [client, server] = memoryPair({}, {
    handler: async (call, respond) => {
      await call.receive();
      channels.resolve(await respond.continue());
      await new Promise(() => {});
    },
  });
  const response = await client.request("x");
  const writer = response.channel!.writable.getWriter();
  const reader = (await channels.promise).readable.getReader();
  await writer.write(utf8("1"));
  await within(reader.read(), "a byte");
  await writer.write(new Uint8Array(20_000));
  await writer.write(new Uint8Array(20_000));
  await until(() => server.stats.bytes.received >= 40_000);
  return { client, server, writer, reader, response };
}

Deno.test("Server: bytes that the caller has cut off are dropped if the handler does not read them for a while", async () => {
  for (const how of ["abort", "session"]) {
    using time = new FakeTime();
    const { client, server, writer, reader } = await halfRead();
    await using _ = client, __ = server;
    const { session } = server;
    const { slots, channels } = session.usage;
    if (how === "abort") await writer.abort(new Error("left"));
    else await client.close();
    await until(() => session.usage.channels !== channels);
    time.tick(9_900);
    assertEquals(session.usage.slots, how === "abort" ? slots : 1);
    time.tick(100);
    assertEquals(session.usage.slots, how === "abort" ? slots - 1 : 0);
    const readAll = async () => {
      while (!(await reader.read()).done);
    };
    const error = await assertRejects(readAll, Error);
    assertEquals(
      (error as Error & { code?: string }).code,
      how === "abort" ? "cancelled" : "connection-lost",
    );
  }
});

Deno.test("Server: a handler that only writes to the channel of its call occupies no slot", async () => {
  for (const how of ["close()", "writable.close()", "abort"]) {
    const [client, server] = memoryPair({}, {
      handler: async (_call, respond) => {
        const { writable } = await respond.continue();
        const writer = writable.getWriter();
        await writer.write(utf8("bytes"));
        await writer.close();
      },
    });
    await using _ = client, __ = server;
    for (let i = 0; i < 20; i++) {
      const response = await client.request("x");
      const { channel } = response;
      for await (const _ of response.readable);
      if (how === "close()") await response.close();
      else if (how === "abort") await channel!.writable.abort();
      else await channel!.writable.close();
    }
    const { usage } = server.session;
    await until(() => server.session.usage.slots <= usage.channels);
    await client.close();
    await within(server.closed.catch(() => {}), "the end");
    assertEquals(server.session.usage.held.total, 0);
  }
});

Deno.test("Server: what is left of a call whose argument was never read has no clean end", async () => {
  using time = new FakeTime();
  for (const how of ["receive", "readable"]) {
    const late = Promise.withResolvers<() => Promise<unknown>>();
    const [client, server] = memoryPair({}, {
      handler: async (call, respond) => {
        const { readable, writable } = await respond.continue();
        await writable.getWriter().write(utf8("bytes"));
        late.resolve(
          how === "receive"
            ? () => call.receive()
            : () => new Response(readable).bytes(),
        );
      },
    });
    await using _ = client, __ = server;
    const response = await client.request("x", "important");
    const read = await late.promise;
    await response.channel!.writable.close();
    await response.close();
    await settled();
    assertEquals(server.session.usage.slots, 1);
    time.tick(READING_TIME);
    await settled();
    assertEquals(server.session.usage.slots, 0);
    await assertRejects(read, RpcError, "closed by the caller");
  }
});

Deno.test("Server: receive() that waits for memory rejects a while after its caller has cut the value off", async () => {
  using time = new FakeTime();
  const waiting = Promise.withResolvers<unknown>();
  const free = Promise.withResolvers<void>();
  const [client, server] = memoryPair({}, {
    session: { maxHeldSize: 4 * 1024 * 1024 },
    onError: () => {},
    handler: async (call, respond) => {
      await call.receive();
      if (call.selector === "/hold") {
        await free.promise;
        return respond.return();
      }
      await respond.continue();
      const receiving = call.receive();
      receiving.catch(() => {});
      waiting.resolve(receiving);
      await receiving;
    },
  });
  await using _ = client, __ = server;
  const big = "x".repeat(900_000);
  const holding: Promise<unknown>[] = [];
  for (let i = 0; i < 4; i++) {
    holding.push(client.call("hold", big));
    await settled();
  }
  const response = await client.request("stream", 1);
  response.send(big).catch(() => {});
  await settled();
  await response.channel!.writable.abort(new Error("left"));
  await settled();
  time.tick(10_000);
  await within(assertRejects(() => waiting.promise, RpcError), "receive()");
  free.resolve();
  await within(Promise.all(holding), "the other calls");
});

Deno.test("Server: a value that never completes gives its memory back when the caller has left, though the handler does not look", async () => {
  for (const answers of [false, true]) {
    for (const leave of ["CLOSE", "EOF", "session"]) {
      const gaveUp = Promise.withResolvers<unknown>();
      const lookAgain = Promise.withResolvers<void>();
      const looked = Promise.withResolvers<unknown>();
      const { peer, raw } = scriptedPeer({
        handler: async (call, respond) => {
          await call.receive();
          if (answers) await respond.continue();
          const abort = new AbortController();
          const receiving = call.receive(abort);
          await until(() => peer.session.usage.held.values > 0);
          abort.abort(new Error("too slow"));
          await receiving.catch(gaveUp.resolve);
          await lookAgain.promise;
          await call.receive().catch(looked.resolve);
        },
        onError: () => {},
      });
      await using _ = peer;
      const channel = await rawOpen(raw);
      await channel.data(values({ Selector: "x", Q: {} }, 1));
      await channel.data(new Uint8Array([0, 13, 0, 0, 1, 2, 3]));
      await within(gaveUp.promise, "the handler to give up");
      if (leave === "EOF") await channel.eof();
      if (leave === "session") await raw.close();
      else await channel.close();
      await until(() => peer.session.usage.held.values === 0);
      lookAgain.resolve();
      assert(await within(looked.promise, "the error") instanceof Error);
    }
  }
});

Deno.test("Server: what a lost session leaves unread is dropped after a while, whoever the caller was and however it is read", async () => {
  for (const header of [{ Selector: "x" }, { Selector: "x", Q: {} }]) {
    for (const streams of [false, true]) {
      using time = new FakeTime();
      const began = Promise.withResolvers<void>();
      const { peer, raw } = scriptedPeer({
        handler: async (call) => {
          if (streams) call.channel.readable;
          else await call.receive();
          began.resolve();
          await new Promise(() => {});
        },
      });
      await using _ = peer;
      const channel = await rawOpen(raw);
      await channel.data(values(header, 1, "x".repeat(20_000)));
      await within(began.promise, "the handler");
      await raw.close();
      await within(peer.closed.catch(() => {}), "the end");
      assert(peer.session.usage.held.windows > 20_000);
      time.tick(10_000);
      assertEquals(peer.session.usage.held.total, 0);
    }
  }
});

Deno.test("Server: bytes that the caller has ended stay for as long as the handler takes", async () => {
  using time = new FakeTime();
  const { client, server, writer, reader, response } = await halfRead();
  await using _ = client, __ = server;
  await writer.close();
  await response.close();
  await within(response.channel!.closed, "CLOSE");
  for (let i = 0; i < 10; i++) await turn();
  time.tick(60_000);
  let size = 0;
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    size += value.length;
  }
  assertEquals(size, 40_000);
});

Deno.test("Server: a call does not depend on how its bytes are split", async () => {
  const { peer, raw } = scriptedPeer({
    handler: async (call, respond) => {
      await respond.return([call.selector, await call.receive()]);
    },
  });
  await using _ = peer;
  const bytes = values({ Selector: "a.b", Ignored: [{}] }, { arg: 1 });
  for (const size of [1, 2, 3, 5, 8, bytes.length - 1]) {
    const channel = await rawOpen(raw);
    for (let at = 0; at < bytes.length; at += size) {
      await channel.data(bytes.slice(at, at + size));
    }
    assertEquals((await channel.read(2))[1], ["/a/b", { arg: 1 }]);
  }
});

const MALFORMED: Record<string, Uint8Array> = {
  "no JSON": framed(utf8("{Selector}")),
  "MessagePack": framed(msgpack().encode({ Selector: "x" })),
  "no map": framed(utf8('["x"]')),
  "a number for a selector": framed(utf8('{"Selector":1}')),
  "larger than the limit": new Uint8Array([0, 1, 0, 1]),
  "an empty value": framed(new Uint8Array(0)),
};

for (const [what, bytes] of Object.entries(MALFORMED)) {
  Deno.test(`Server: a header that is ${what} closes its channel and is reported to onError`, async () => {
    const errors = new Errors();
    const { peer, raw } = scriptedPeer({
      handler: (_call, respond) => respond.return("fine"),
      onError: errors.onError,
      maxValueSize: 1_000,
    });
    await using _ = peer;
    const channel = await rawOpen(raw);
    await channel.data(bytes);
    // What is known to be another codec gets an answer.
    if (what === "MessagePack") await raw.expect("data");
    if (what === "MessagePack") await raw.expect("eof");
    await raw.expect("close");
    await channel.close();
    const [error, selector] = await errors.next();
    assert(error instanceof RpcError || error instanceof CodecError);
    assertEquals(selector, undefined);
    const next = await rawCall(raw, "x", null);
    assertEquals((await next.read(2))[1], "fine", "the session continues");
  });
}

Deno.test("Server: a truncated header is reported to onError", async () => {
  const errors = new Errors();
  const { peer, raw } = scriptedPeer({ onError: errors.onError });
  await using _ = peer;
  const channel = await rawOpen(raw);
  await channel.data(new Uint8Array([0, 0]));
  await channel.eof();
  await raw.expect("close");
  const [error] = await errors.next();
  assertEquals((error as CodecError).code, "truncated");
});

Deno.test("Server: a channel that closes without a header is no call and no error", async () => {
  const errors = new Errors();
  let calls = 0;
  const { peer, raw } = scriptedPeer({
    handler: () => void calls++,
    onError: errors.onError,
  });
  for (const end of ["eof", "close"] as const) {
    const channel = await rawOpen(raw);
    await channel[end]();
    await raw.find("close");
  }
  const waiting = await rawOpen(raw);
  assert(waiting.remote >= 0);
  await raw.close();
  await peer.close();
  assertEquals([calls, errors.count], [0, 0]);
});

Deno.test("Server: calls above maxConcurrentCalls and maxQueuedCalls are answered with busy", async () => {
  const release = Promise.withResolvers<void>();
  const [client] = memoryPair({}, {
    maxConcurrentCalls: 2,
    maxQueuedCalls: 0,
    handler: async (_call, respond) => {
      await release.promise;
      await respond.return("done");
    },
  });
  await using _ = client;
  const running = [client.call("a"), client.call("b")];
  const error = await assertRejects(() => client.call("c"), RemoteError);
  assertEquals(
    error.text,
    'busy: 2 calls are running, the limit of "maxConcurrentCalls"; cannot call "/c"',
  );
  release.resolve();
  assertEquals(await Promise.all(running), ["done", "done"]);
  assertEquals(await client.call("c"), "done", "there is room again");
});

Deno.test("Server: a call that failed makes room for another", async () => {
  const [client] = memoryPair({}, {
    maxConcurrentCalls: 1,
    handler: async () => {
      await turn();
      boom();
    },
  });
  await using _ = client;
  for (let i = 0; i < 3; i++) {
    const error = await assertRejects(() => client.call("x"), RemoteError);
    assertEquals(error.text, "boom");
  }
});

Deno.test("Server: arguments that cannot be decoded are an error response", async () => {
  const { peer, raw } = scriptedPeer({
    handler: async (call, respond) => {
      await respond.return(await call.receive());
    },
  });
  await using _ = peer;
  const channel = await rawOpen(raw);
  await channel.data(concat(values({ Selector: "x" }), framed(utf8("{"))));
  const [header] = await channel.read(1);
  const { Error: text } = header as { Error: string };
  assert(text.startsWith("Cannot decode value as JSON"), text);
});

Deno.test("Server: arguments larger than maxValueSize are an error response", async () => {
  const [client] = memoryPair({}, {
    maxValueSize: 1_000,
    handler: async (call, respond) => {
      await respond.return(await call.receive());
    },
  });
  await using _ = client;
  const error = await assertRejects(
    () => client.call("x", "x".repeat(1_000)),
    RemoteError,
  );
  assertEquals(
    error.text,
    'Cannot read value: its 1002 bytes exceed the limit of 1000 bytes (option "maxValueSize"), in call "/x"',
  );
});

Deno.test("Server: an onError that throws is an uncaught error, and the session continues", async () => {
  const uncaught: unknown[] = [];
  const listen = (event: ErrorEvent) => {
    event.preventDefault();
    uncaught.push(event.error);
  };
  addEventListener("error", listen);
  try {
    const mine = new Error("onError's own");
    const { peer, raw } = scriptedPeer({
      handler: (_call, respond) => respond.return("fine"),
      onError: () => {
        throw mine;
      },
    });
    await using _ = peer;
    const broken = await rawOpen(raw);
    await broken.data(framed(utf8("{")));
    const channel = await rawCall(raw, "x", null);
    assertEquals((await channel.read(2))[1], "fine");
    await turn();
    assertEquals(uncaught, [mine]);
  } finally {
    removeEventListener("error", listen);
  }
});

Deno.test("Server: a thousand calls from each side are answered at the same time", async () => {
  const [a, b] = memoryPair();
  await using _ = a;
  for (const peer of [a, b]) {
    peer.handle("echo", async (call, respond) => {
      const value = await call.receive();
      await turn();
      await respond.return(value);
    });
  }
  const numbers = Array.from({ length: 1_000 }, (_, i) => i);
  const [fromA, fromB] = await Promise.all([
    Promise.all(numbers.map((n) => a.call("echo", n))),
    Promise.all(numbers.map((n) => b.call("echo", -n - 1))),
  ]);
  assertEquals(fromA, numbers);
  assertEquals(fromB, numbers.map((n) => -n - 1));
});

Deno.test("Server: the credit for a large argument costs one round trip", async () => {
  const { peer, raw } = scriptedPeer({
    handler: async (call, respond) => {
      await respond.return((await call.receive() as string).length);
    },
  });
  await using _ = peer;
  const channel = await rawOpen(raw);
  const message = concat(
    values({ Selector: "length" }),
    values("x".repeat(1_000_000)),
  );
  const begin = message.subarray(0, 60_000);
  await channel.data(begin);
  const { bytes } = await raw.find("window-adjust");
  // The credit covers the whole rest.
  assert(
    bytes >= message.length - DEFAULT_SESSION_OPTIONS.initialWindowSize,
    `${bytes} bytes were granted`,
  );
  await channel.data(message.subarray(begin.length));
  assertEquals((await channel.read(2))[1], 1_000_000);
});

test("Server: a selector with an empty segment reaches no handler", async (t) => {
  const called: string[] = [];
  const [client] = t.pair({}, {
    handler: (call, respond) => {
      called.push(call.selector);
      return respond.return(true);
    },
  });
  for (
    const [selector, clean] of [
      ["admin//stop", "/admin//stop"],
      ["admin..stop", "/admin//stop"],
      ["admin./stop", "/admin//stop"],
      [".", "//"],
    ] as const
  ) {
    await assertRejects(
      () => client.call(selector),
      RemoteError,
      `remote: not found: ${clean}`,
    );
  }
  assertEquals(called, []);
  for (const selector of ["", "/", "admin/", "admin.stop."]) {
    assertEquals(await client.call(selector), true);
  }
  assertEquals(called, ["/", "/", "/admin/", "/admin/stop/"]);
});

test("Server: the selector in not found is cut, and its control characters are escaped", async (t) => {
  const [client] = t.pair();
  await assertRejects(
    () => client.call("a\x1b[2J\n\x9b\u202eb"),
    RemoteError,
    "remote: not found: /a\\u001b[2J\\n\\u009b\\u202eb",
  );
  const error = await assertRejects(
    () => client.call("x".repeat(20_000)),
    RemoteError,
    "not found: /xxx",
  );
  assertEquals(error.text.length, 4_096);
});
