import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { callback, dial, handlerFrom, listen } from "../../mod.ts";
import { rawSession } from "../../mux/internal.ts";
import { runTest, test, type TestBody, type TestOptions } from "./harness.ts";
import { assertUsage } from "./usage.ts";
import { open, utf8 } from "./wire.ts";

/** What a body that leaks is told, line by line, places replaced. */
async function complaints(
  body: TestBody,
  options: TestOptions = {},
): Promise<string[]> {
  const { message } = await assertRejects(
    () => runTest(body, { turns: 20, ...options }),
    Error,
  );
  const [first, ...lines] = message.split("\n");
  assertEquals(first, "The test left something behind:");
  return lines.map((line) =>
    line.replace(/tests\/support\/harness_test\.ts:\d+:\d+$/, "HERE")
  );
}

test("harness: a test that leaves nothing passes", async (t) => {
  const [client, server] = t.pair();
  server.handle("double", handlerFrom((n: number) => 2 * n));
  // After the first answer the client opens channels ahead of need.
  assertEquals(await client.call("double", [2]), 4);
  assertEquals(await client.call("double", [3]), 6);
});

test("harness: a channel that a call leaves open fails its test, at both ends", async () => {
  const lines = await complaints(async (t) => {
    const [client, server] = t.pair();
    server.handle("stream", async (_call, respond) => {
      await respond.continue();
    });
    await client.request("stream");
    await client.request("stream");
  });
  assertEquals(lines, [
    '2 channels of "client" are still open',
    '2 channels of "server" are still open',
  ]);
});

test("harness: a channel of a session without RPC fails its test if it is left open", async () => {
  const lines = await complaints(async (t) => {
    const [client, server] = t.sessions();
    server.accept(() => {});
    await client.open();
  });
  assertEquals(lines, [
    '1 channel of "client" is still open',
    '1 channel of "server" is still open',
  ]);
});

test("harness: closeChannels() closes what the body was given, in each way to be given a channel", async (t) => {
  const [client, server] = t.sessions();
  client.accept(() => {});
  const incoming = server[Symbol.asyncIterator]();
  await Promise.all([client.open(), incoming.next(), server.open()]);
  assertUsage(client, { channels: 2, slots: 2 });
  await t.closeChannels();
});

test("harness: a channel that is held after its session ended fails its test, at either end", async () => {
  const caller = await complaints(async (t) => {
    const [client, server] = t.pair();
    const { promise, resolve } = Promise.withResolvers<void>();
    server.handle("stream", async (_call, respond) => {
      await respond.continue();
      await respond.send("never read");
      resolve();
    });
    await client.request("stream");
    await promise;
    await server.close();
  });
  assertEquals(caller, [
    '1 channel of "client" is held after its session ended',
  ]);
  const responder = await complaints(async (t) => {
    const [client, server] = t.pair();
    const { promise, resolve } = Promise.withResolvers<void>();
    server.handle("stream", async (call, respond) => {
      await call.receive();
      const channel = await respond.continue();
      // The program has its streams, and may still read them.
      const { value } = await channel.readable.getReader().read();
      assertEquals(value, utf8("read"));
      resolve();
    });
    const { channel } = await client.request("stream");
    const writer = channel!.writable.getWriter();
    await writer.write(utf8("read"));
    await promise;
    await writer.write(utf8("never read"));
    // What it has not ended is dropped after a while.
    await writer.close();
    await client.close();
  });
  assertEquals(responder, [
    '1 channel of "server" is held after its session ended',
  ]);
});

test("harness: memory that is held after its session ended fails its test", async () => {
  const lines = await complaints(async (t) => {
    const [client, server] = t.sessions();
    await client.close();
    await server.closed;
    rawSession(server).account.headers.take(10);
  });
  assertEquals(lines, [
    'bytes of "server" are held after its session ended: 10 (headers), 10 (total)',
  ]);
});

test("harness: a callback that was not released fails its test", async () => {
  const lines = await complaints(async (t) => {
    const [client, server] = t.pair();
    server.handle("listen", handlerFrom(() => null));
    await client.call("listen", [callback(() => 1)]);
  });
  assertEquals(lines, ['1 callback of "client" was not released']);
});

test("harness: a timer that still runs fails its test, which says where it was set", async () => {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const lines = await complaints(() => {
    timer = setTimeout(() => {}, 60_000);
  });
  clearTimeout(timer);
  assertEquals(lines, ["a timer of 60000 ms is still running, set at HERE"]);
});

test("harness: a timer of the fake clock that still waits fails its test", async () => {
  const lines = await complaints((t) => {
    t.time();
    setTimeout(() => {}, 60_000);
  });
  assertEquals(lines, ["timers of the fake clock still waiting: 1"]);
});

test(
  "harness: a listener on a signal fails its test, which says where it was added",
  {
    leaves: { listeners: "the inner run leaves it, and must say so" },
  },
  async () => {
    const lines = await complaints(() => {
      const { signal } = new AbortController();
      signal.addEventListener("abort", () => {});
    });
    assertEquals(lines, [
      'a listener for "abort" is still on an AbortSignal, added at HERE',
    ]);
  },
);

test("harness: a signal whose calls have ended has no listeners left", async (t) => {
  const [client, server] = t.pair();
  server.handle("one", (_call, respond) => respond.return(1));
  const { signal } = new AbortController();
  const options = { signal, timeout: 60_000 };
  assertEquals(await client.call("one", null, options), 1);
  const channel = await client.session.open({ signal });
  await channel.close();
});

test("harness: a listener that was removed, or whose signal has aborted, is none", async () => {
  const controller = new AbortController();
  await runTest(() => {
    const inner = new AbortController();
    const listener = () => controller.abort();
    inner.signal.addEventListener("abort", listener);
    inner.signal.removeEventListener("abort", listener);
    const aborted = new AbortController();
    aborted.signal.addEventListener("abort", listener);
    aborted.abort();
  });
  assert(controller.signal.aborted);
});

test("harness: a promise that rejects without a handler fails its test", {
  leaves: { rejections: "the inner run leaves it, and must say so" },
}, async () => {
  const lines = await complaints(() => {
    void Promise.reject(new RangeError("unheard"));
  });
  assertEquals(
    lines[0],
    "a promise rejected without a handler: RangeError: unheard",
  );
});

test("harness: what is left on purpose is left out of the complaints", async (t) => {
  await runTest(async (inner) => {
    const [client, server] = inner.pair();
    server.handle("stream", (_call, respond) => void respond.continue());
    await client.request("stream");
  }, { leaves: { channels: "it is an example" } });
  const [client] = t.sessions();
  assertEquals(client.usage.channels, 0);
});

test("harness: what is said to be left and is not fails its test", async () => {
  const lines = await complaints(() => {}, {
    leaves: { channels: "there was one once" },
  });
  assertEquals(lines, [
    'no channels are left, though the test says "there was one once"',
  ]);
});

test("harness: the error of a body is the error of its test, whatever is left", async () => {
  const error = await assertRejects(
    () =>
      runTest(async (t) => {
        const [client, server] = t.sessions();
        server.accept(() => {});
        await client.open();
        throw new RangeError("mine");
      }),
    RangeError,
  );
  assertEquals(error.message, "mine");
});

test("harness: a scripted end may leave its channels open, since it ends with its test", async (t) => {
  const { session, raw } = t.script();
  session.accept(() => {});
  await raw.send(open(5));
  assertEquals((await raw.expect("open-confirm")).recipient, 5);
});

test("harness: what a listener accepts is watched, too", async () => {
  const lines = await complaints(async (t) => {
    const listener = t.watch(
      await listen("tcp://127.0.0.1:0", {
        handler: async (_call, respond) => void await respond.continue(),
      }),
    );
    const peer = t.watch(await dial(listener.addr), "dialled");
    await peer.request("stream");
  });
  assertEquals(lines, [
    '1 channel of "accepted" is still open',
    '1 channel of "dialled" is still open',
  ]);
});

test("harness: cleanups run after the sessions have ended, last one first", async () => {
  const order: string[] = [];
  await runTest((t) => {
    const [client] = t.sessions();
    void client.closed.then(() => order.push("closed"));
    t.defer(() => order.push("first"));
    t.defer(() => order.push("second"));
  });
  assertEquals(order, ["closed", "second", "first"]);
});

test("harness: a test that leaves something fails its run, with the name of what it left", async () => {
  const path = await Deno.makeTempFile({ suffix: "_test.ts" });
  const harness = new URL("harness.ts", import.meta.url);
  await Deno.writeTextFile(
    path,
    `import { test } from "${harness}";
    test("leak: one channel is left open", async (t) => {
      const [client, server] = t.sessions();
      server.accept(() => {});
      await client.open();
    });`,
  );
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["test", "--no-check", path],
    env: { NO_COLOR: "1" },
    stderr: "null",
  }).output();
  await Deno.remove(path);
  const output = new TextDecoder().decode(stdout);
  assertStringIncludes(output, '1 channel of "client" is still open');
  assertStringIncludes(output, "0 passed | 1 failed");
  assertEquals(code, 1);
});

test("harness: a name that is not a symbol and a sentence is refused", () => {
  const refused: Record<string, string> = {
    "peer closes its session": "there is no symbol or feature before a colon",
    "peer: closes": "the sentence is one word",
    "peer: Closes its session": "the sentence begins with a capital",
    "peer: closes its session.": "the sentence ends with a full stop",
    "a b c d e f g h i: is too much": "the feature has over eight words",
    "peer:  closes its session": "there is a line break or a gap",
  };
  const named = test;
  for (const [name, problem] of Object.entries(refused)) {
    assertThrows(() => named(name, () => {}), TypeError, problem);
  }
});
