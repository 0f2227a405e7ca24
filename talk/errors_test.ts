// deno-lint-ignore-file no-console -- what is printed is what this tests
import {
  CallError,
  dial,
  handlerFrom,
  listen,
  memoryPair,
  RemoteError,
  RpcError,
  TalkError,
} from "@qtalk/qtalk";
import { serveWebSocket } from "@qtalk/qtalk/websocket";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { MuxError } from "../mux/errors.ts";
import { errorPrinter } from "./errors.ts";

/** A printer that keeps what it prints, and its clock. */
function printer() {
  const lines: string[] = [];
  const clock = { now: 0 };
  const report = errorPrinter((text) => lines.push(text), () => clock.now);
  return { lines, clock, report };
}

/** What is printed to the console while `use` runs. */
async function printed(use: () => Promise<unknown>): Promise<string[]> {
  const lines: string[] = [];
  const { error } = console;
  console.error = (text: string) => lines.push(text);
  try {
    await use();
  } finally {
    console.error = error;
  }
  return lines;
}

const service = handlerFrom({
  bug() {
    return (undefined as unknown as { x: number }).x;
  },
  refuse() {
    throw new CallError("no");
  },
});

Deno.test("errorPrinter(): it prints the selector, the stack, the causes and the errors inside", () => {
  const { lines, report } = printer();
  const cause = new Error("disk full");
  report(new TypeError("cannot save", { cause }), { selector: "/a/b" });
  report(new AggregateError([new Error("one")], "many"), { selector: "/c" });
  report({ message: "no Error" }, { selector: "/d" });
  assertMatch(
    lines[0]!,
    /^Error in the handler of "\/a\/b": TypeError: cannot/,
  );
  assertMatch(
    lines[0]!,
    /errors_test\.ts:\d+[\s\S]*Caused by: Error: disk/,
  );
  assertMatch(lines[1]!, /many[\s\S]*- Error: one/);
  assertEquals(lines[2], 'Error in the handler of "/d": no Error');
});

Deno.test("errorPrinter(): what the library reports outside a call is not printed", () => {
  const { lines, report } = printer();
  const outside = { selector: undefined };
  report(new MuxError("connection-lost", "lost"), outside);
  report(new RpcError("malformed-header", "bad"), outside);
  report(new TalkError("limit-exceeded", "full"), outside);
  assertEquals(lines, []);
  report(new Error("a hook"), outside);
  report(new RpcError("timeout", "late"), { selector: "/x" });
  assertEquals(lines.length, 2);
});

Deno.test("errorPrinter(): at most 20 errors are printed in ten seconds, and then how many were not", () => {
  const { lines, clock, report } = printer();
  const context = { selector: "/x" };
  for (let i = 0; i < 1_000; i++) report(new Error(`${i}`), context);
  assertEquals(lines.length, 20);
  clock.now = 9_999;
  report(new Error("early"), context);
  assertEquals(lines.length, 20);
  clock.now = 10_000;
  report(new Error("late"), context);
  assertEquals(lines[20], "981 more errors were not printed");
  assert(lines[21]?.includes("late"));
});

Deno.test("errorPrinter(): text of callers cannot look like another line, or steer a terminal", () => {
  const { lines, report } = printer();
  report(new Error("a\nError in the handler\x1b[2J"), { selector: "/\x1b]" });
  report(new Error("x".repeat(100_000)), { selector: "/long" });
  // deno-lint-ignore no-control-regex
  assertEquals(/\x1b|\nError/.test(lines.join("")), false);
  assert(lines[1]!.length < 10_000);
});

Deno.test("onError: without it, listen() prints the bugs of handlers and hooks, and nothing else", async () => {
  const lines = await printed(async () => {
    await using listener = await listen("tcp://127.0.0.1:0", {
      handler: service,
    });
    await using peer = await dial(listener.addr);
    await assertRejects(() => peer.call("bug"), RemoteError);
    await assertRejects(() => peer.call("refuse"), RemoteError);
    await assertRejects(() => peer.call("missing"), RemoteError);
    await using picky = await listen("tcp://127.0.0.1:0", {
      accept() {
        throw new Error("the hook fails");
      },
    });
    await using refused = await dial(picky.addr);
    await refused.closed.catch(() => {});
  });
  assertEquals(lines.length, 2, lines.join("\n"));
  assertMatch(lines[0]!, /"\/bug": TypeError: Cannot read[\s\S]*errors_test/);
  assertMatch(lines[1]!, /^Error outside a call: Error: the hook fails/);
});

Deno.test("onError: without it, the peers and the hooks of a listener with resume share one printer", async () => {
  let accepted = 0;
  const lines = await printed(async () => {
    await using listener = await listen("tcp://127.0.0.1:0", {
      handler: service,
      resume: {},
      accept() {
        if (++accepted > 2) throw new Error("the hook fails");
        return true;
      },
    });
    const resuming = { resume: {} };
    await using one = await dial(listener.addr, resuming);
    await using other = await dial(listener.addr);
    for (let i = 0; i < 15; i++) {
      for (const peer of [one, other]) {
        await assertRejects(() => peer.call("bug"), RemoteError);
      }
    }
    for (let i = 0; i < 3; i++) {
      await using refused = await dial(listener.addr);
      await refused.closed.catch(() => {});
    }
  });
  assertEquals([lines.length, accepted], [20, 5]);
});

Deno.test("onError: without it, serveWebSocket() prints the bugs of handlers", async () => {
  const lines = await printed(async () => {
    const handler = serveWebSocket({ handler: service });
    const server = Deno.serve({ port: 0, onListen() {} }, handler);
    {
      await using peer = await dial(`ws://127.0.0.1:${server.addr.port}/`);
      await assertRejects(() => peer.call("bug"), RemoteError);
      await assertRejects(() => peer.call("refuse"), RemoteError);
    }
    await handler.listener.close();
    await server.shutdown();
  });
  assertEquals(lines.length, 1, lines.join("\n"));
  assertMatch(lines[0]!, /"\/bug": TypeError/);
});

Deno.test("onError: without it, peers that dial print the bugs of what is called back", async () => {
  const lines = await printed(async () => {
    await using listener = await listen("tcp://127.0.0.1:0", {
      handler: handlerFrom({ run: (fn: () => unknown) => fn() }),
      onError: () => {},
    });
    for (const reconnect of [undefined, {}]) {
      const peer = reconnect === undefined
        ? await dial(listener.addr)
        : await dial(listener.addr, { reconnect });
      const failing = () => {
        throw new RangeError("in a callback");
      };
      await assertRejects(() => peer.call("run", [failing]), RemoteError);
      await peer.close();
    }
    const [client] = memoryPair({}, { handler: service });
    await using _ = client;
    await assertRejects(() => client.call("bug"), RemoteError);
  });
  assertEquals(lines.length, 3, lines.join("\n"));
  assertMatch(lines[0]!, /RangeError: in a callback/);
  assertMatch(lines[1]!, /RangeError: in a callback/);
});
