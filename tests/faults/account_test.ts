/**
 * What calls make a session hold: arguments of handlers that wait, and answers
 * that the caller does not read.
 *
 * @module
 */
import {
  assert,
  assertEquals,
  assertLess,
  assertMatch,
  assertRejects,
} from "@std/assert";
import {
  type Channel,
  MuxError,
  type Peer,
  RemoteError,
  RpcError,
} from "@qtalk/qtalk";
import { nextPass } from "../../mux/flow/turns.ts";
import { test } from "../support/harness.ts";
import { data, eof, open, values } from "../support/wire.ts";
import { turn, until, within } from "../support/within.ts";

const MIB = 1024 * 1024;
/** A text whose encoded value is as large as a value may be. */
const SIZE = MIB - 2;

/** Waits until `what` stays the same for a while. */
async function settled(what: () => number): Promise<number> {
  let last = what();
  for (let same = 0; same < 30;) {
    await turn();
    const now = what();
    same = now === last ? same + 1 : 0;
    last = now;
  }
  return last;
}

function held(peer: Peer) {
  return peer.session.usage.held;
}

test("account: handlers that wait with large arguments leave those of further calls unread", async (t) => {
  const [client, server] = t.pair();
  const waiting: (() => void)[] = [];
  server.handle("wait", async (call, respond) => {
    const { length } = await call.receive() as string;
    await new Promise<void>((resolve) => waiting.push(resolve));
    await respond.return(length);
  });
  const value = "x".repeat(SIZE);
  const calls = Array.from({ length: 64 }, () => client.call("wait", value));
  const begun = await settled(() => waiting.length);
  assert(begun > 4 && begun < 20, `${begun} have begun`);
  assertLess(held(server).total, 33 * MIB);
  assertLess(12 * MIB, held(server).arguments);
  // Small calls go on.
  server.handle("small", (_call, respond) => respond.return(1));
  assertEquals(await client.call("small"), 1);
  const finish = async () => {
    for (let done = 0; done < calls.length; done++) {
      await until(() => waiting.length > 0);
      waiting.shift()!();
    }
  };
  await within(finish(), "all calls");
  assertEquals(await Promise.all(calls), Array(64).fill(SIZE));
  assertEquals(held(server).arguments, 0);
  assertEquals(held(server).values, 0);
});

test("account: arguments that arrive together are decoded as there is memory for what they become", async (t) => {
  const [client, server] = t.pair();
  const waiting = holdCalls(server);
  // 150 kB each, and more than a megabyte when decoded.
  const value = Array(50_000 - 1).fill({});
  const calls = Array.from({ length: 60 }, () => client.call("wait", value));
  const begun = await settled(() => waiting.length);
  assert(begun > 4 && begun < 40, `${begun} have begun`);
  assertLess(held(server).arguments, 32 * MIB);
  assertLess(held(server).total, 33 * MIB);
  const finish = async () => {
    for (let done = 0; done < calls.length; done++) {
      await until(() => waiting.length > 0);
      assertLess(held(server).total, 33 * MIB);
      waiting.shift()!();
    }
  };
  await within(finish(), "all calls");
  assertEquals(await Promise.all(calls), Array(60).fill(value.length));
  assertEquals(held(server).arguments, 0);
  assertEquals(held(server).values, 0);
});

test("account: the event loop turns between calls with large answers, also if they come at once", async (t) => {
  const COUNT = 8;
  const { peer, raw } = t.scriptedPeer();
  const answer = "x".repeat(MIB);
  let turns = 0;
  const turnsOfCalls: number[] = [];
  peer.handle("large", (_call, respond) => {
    turnsOfCalls.push(turns);
    void respond.return(answer);
  });
  const ids = Array.from({ length: COUNT }, (_, id) => id);
  const call = values({ Selector: "large" }, null);
  const sending = raw.send(
    ...ids.flatMap((id) => [open(id, 0), data(id, call)]),
  );
  // No timers: in the time of one, a session may have several turns.
  for (; turnsOfCalls.length < COUNT && turns < 100_000; turns++) {
    await nextPass();
  }
  await sending;
  assertEquals(turnsOfCalls.length, COUNT);
  const inOneTurn = Math.max(
    ...turnsOfCalls.map((one) =>
      turnsOfCalls.filter((it) => it === one).length
    ),
  );
  assertLess(inOneTurn, 4);
});

/** An argument with so many functions, none of which costs its sender one. */
function functions(call: number, count: number): unknown[] {
  return Array.from({ length: count }, (_, i) => ({ $fnptr: `${call}.${i}` }));
}

/** Handles "wait", whose calls wait for the functions that it returns. */
function holdCalls(server: Peer): (() => void)[] {
  const waiting: (() => void)[] = [];
  server.handle("wait", async (call, respond) => {
    const { length } = await call.receive() as unknown[];
    await new Promise<void>((resolve) => waiting.push(resolve));
    await respond.return(length);
  });
  return waiting;
}

test("account: the functions among the arguments of handlers that wait are counted", async (t) => {
  const COUNT = 10_000;
  const [client, server] = t.pair();
  const waiting = holdCalls(server);
  const calls = Array.from(
    { length: 20 },
    (_, i) => client.call("wait", functions(i, COUNT)),
  );
  const begun = await settled(() => waiting.length);
  assert(begun > 0 && begun < 4, `${begun} have begun`);
  assertLess(begun * COUNT * 768, held(server).arguments);
  // One argument may exceed the account, since it is not known what is in it.
  assertLess(held(server).total, 45 * MIB);
  const finish = async () => {
    for (let done = 0; done < 20; done++) {
      await until(() => waiting.length > 0);
      waiting.shift()!();
    }
  };
  await within(finish(), "all calls");
  assertEquals(await Promise.all(calls), Array(20).fill(COUNT));
  assertEquals(held(server).arguments, 0);
});

test("account: the functions of a long stream of arguments are counted until its call is answered", async (t) => {
  const COUNT = 100;
  const { peer, raw } = t.scriptedPeer();
  let seen = 0;
  const answering = Promise.withResolvers<void>();
  peer.handle("all", async (call, respond) => {
    for await (const value of call) seen += (value as unknown[]).length;
    await answering.promise;
    await respond.return(seen);
  });
  await raw.send(open(0), data(0, values({ Selector: "all" })));
  for (let i = 0; i < 20; i++) {
    await raw.send(data(0, values(functions(i, COUNT))));
  }
  await raw.send(eof(0));
  await settled(() => seen);
  assertEquals(seen, 20 * COUNT);
  assertLess(20 * COUNT * 768, held(peer).arguments + 1);
  answering.resolve();
  await settled(() => held(peer).arguments);
  assertEquals(held(peer).arguments, 0);
});

test("account: a call that goes on with functions gets an error before it stalls", async (t) => {
  const COUNT = 100, MOST = Math.floor(16 * MIB / 768);
  const { peer, raw } = t.scriptedPeer();
  let seen = 0;
  const failed = Promise.withResolvers<unknown>();
  peer.handle("all", async (call, respond) => {
    try {
      for await (const value of call) seen += (value as unknown[]).length;
      await respond.return(seen);
    } catch (error) {
      failed.resolve(error);
      throw error;
    }
  });
  await raw.send(open(0), data(0, values({ Selector: "all" })));
  let over = false;
  const sending = (async () => {
    for (let i = 0; !over; i++) {
      await raw.send(data(0, values(functions(i, COUNT))));
      await turn();
    }
  })();
  const error = await within(failed.promise, "the error");
  over = true;
  await sending;
  assert(error instanceof RpcError && error.code === "limit-exceeded");
  assertMatch(error.message, /in call "\/all": .*"maxHeldSize"\)$/);
  assert(seen > MOST - 2 * COUNT && seen <= MOST, `${seen} were received`);
  const answer = (await raw.find("data")).payload;
  assertMatch(new TextDecoder().decode(answer), /maxHeldSize/);
  await settled(() => held(peer).arguments);
  assertEquals(held(peer).arguments, 0);
});

test("account: calls that each go on with functions do not wait for one another", async (t) => {
  const CALLS = 12, COUNT = 2_000;
  const [client, server] = t.pair();
  server.handle("all", async (call, respond) => {
    let seen = 0;
    for await (const value of call) {
      seen += (value as unknown[]).length;
      await turn();
    }
    await respond.return(seen);
  });
  async function* stream(call: number) {
    for (let i = 0; i < 5; i++) yield functions(call * 10 + i, COUNT);
  }
  const calls = Array.from({ length: CALLS }, (_, i) => {
    return client.call("all", stream(i)).then(
      (seen) => assertEquals(seen, 5 * COUNT),
      (error) => {
        assert(error instanceof RemoteError);
        assertEquals(error.code, "limit-exceeded");
      },
    );
  });
  await within(Promise.all(calls), "all calls");
  assertEquals(held(server).arguments, 0);
});

test("account: calls that stream large arguments do not wait for one another", async (t) => {
  const CALLS = 20, VALUES = 4;
  const texts = "x".repeat(SIZE), objects = Array(50_000 - 1).fill({});
  const [client, server] = t.pair();
  server.handle("all", async (call, respond) => {
    let seen = 0;
    for await (const value of call) {
      seen += (value as string | unknown[]).length;
      assertLess(held(server).total, 33 * MIB);
      await turn();
    }
    await respond.return(seen);
  });
  for (const value of [texts, objects]) {
    const stream = async function* () {
      for (let i = 0; i < VALUES; i++) yield value;
    };
    const calls = Array.from(
      { length: CALLS },
      () => client.call("all", stream()),
    );
    const sums = await within(Promise.all(calls), "all calls", 60_000);
    assertEquals(sums, Array(CALLS).fill(VALUES * value.length));
    assertEquals(held(server).arguments, 0);
  }
});

test("account: small arguments with functions wait when these have taken too much", async (t) => {
  const COUNT = 800, FUNCTIONS = 50;
  const [client, server] = t.pair();
  const waiting = holdCalls(server);
  const calls = Array.from(
    { length: COUNT },
    (_, i) => client.call("wait", functions(i, FUNCTIONS)),
  );
  const begun = await settled(() => waiting.length);
  assert(begun < COUNT, `${begun} have begun`);
  assertLess(held(server).total, 33 * MIB);
  let over = false;
  const finish = async () => {
    for (; !over; await turn()) {
      for (const resolve of waiting.splice(0)) resolve();
    }
  };
  const finishing = finish();
  const answers = await within(Promise.all(calls), "all calls");
  over = true;
  await finishing;
  assertEquals(answers, Array(COUNT).fill(FUNCTIONS));
  assertEquals(held(server).arguments, 0);
});

test("account: a handler counts the value that it has received last", async (t) => {
  const [client, server] = t.pair();
  server.handle("sum", async (call, respond) => {
    let sum = 0;
    for await (const value of call) sum += (value as string).length;
    await respond.return(sum);
  });
  async function* values() {
    for (let i = 0; i < 50; i++) yield "x".repeat(SIZE);
  }
  assertEquals(await client.call("sum", values()), 50 * SIZE);
  assertEquals(held(server).arguments, 0);
});

test("account: answers that the caller does not read stop further calls, until it does", async (t) => {
  let run = 0;
  const answer = "x".repeat(SIZE);
  const [client, server] = t.pair({ session: { initialWindowSize: 1 } }, {
    handler: (_call, respond) => {
      run++;
      return respond.return(answer);
    },
  });
  const calls = Array.from({ length: 64 }, (_, i) => client.call(`${i}`));
  const answered = Promise.all(calls);
  await settled(() => run);
  assertLess(held(server).total, 34 * MIB);
  const lengths = (await within(answered, "the answers"))
    .map((text) => (text as string).length);
  assertEquals(lengths, Array(64).fill(SIZE));
  assertEquals(held(server).responses, 0);
});

test("account: 2,048 calls with a window of 0 make a peer hold a bounded number of answers", async (t) => {
  let run = 0;
  const { peer, raw } = t.scriptedPeer({
    handler: (_call, respond) => {
      run++;
      return respond.return("x".repeat(SIZE));
    },
  });
  for (let id = 0; id < 2_048; id++) {
    await raw.send(open(id, 0));
    const answer = await raw.next();
    // There is no memory for more channels than that.
    if (answer?.type !== "open-confirm") break;
    await raw.send(
      data(answer.sender, values({ Selector: "x" }, null)),
      eof(answer.sender),
    );
  }
  await settled(() => run);
  assertLess(run, 40);
  assertLess(held(peer).responses, 34 * MIB);
});

test("account: an answer that waits for memory is dropped when the caller closes the call", async (t) => {
  const [client, server] = t.pair({ session: { initialWindowSize: 1 } }, {
    handler: async (_call, respond) => {
      await turn();
      await respond.return("x".repeat(SIZE));
    },
  });
  const controller = new AbortController();
  const { signal } = controller;
  const outcomes = Array.from(
    { length: 100 },
    () => client.call("x", null, { signal }).catch((error) => error),
  );
  for (let i = 0; i < 10; i++) await turn();
  controller.abort(new RemoteError("enough"));
  await Promise.all(outcomes);
  await settled(() => held(server).responses);
  assertEquals(held(server).responses, 0);
  assertEquals((await client.call("x") as string).length, SIZE);
});

test("account: what comes before the answer to OPEN is given back when the session ends", async (t) => {
  const { session, raw } = t.script();
  const opened = session.open();
  const { sender } = await raw.expect("open");
  await raw.send(data(sender, new Uint8Array(100)));
  await raw.end();
  await assertRejects(() => opened, MuxError);
  await session.closed;
  assertEquals(session.usage.slots, 0);
  assertEquals(session.usage.held.total, 0);
});

/** The metadata of a call whose header is large. */
const LARGE_META = { token: "x".repeat(4_000) };

/** Bytes of headers that the calls of a client make a server hold. */
function headersAt(peer: Peer): number {
  return held(peer).headers;
}

test("account: this side can call while the peer's channels hold all that channels may", async (t) => {
  const [client, server] = t.pair({}, { session: { maxHeldSize: 512 * 1024 } });
  const channels: Channel[] = [];
  const openAll = async () => {
    for (;;) channels.push(await client.session.open());
  };
  await assertRejects(openAll, MuxError, "refused");
  assert(channels.length > 50, `${channels.length} are open`);
  client.handle("ask", (_call, respond) => respond.return("asked"));
  const asked = Array.from({ length: 20 }, () => server.call("ask"));
  // They do not wait for the peer to close channels.
  const answers = await within(Promise.all(asked), "the answers", 5_000);
  assertEquals(answers, Array(20).fill("asked"));
  assertLess(held(server).total, 512 * 1024);
  for (const channel of channels) await channel.close();
});

test("usage.held.headers: the large headers of calls that wait or run count until they end", async (t) => {
  const [client, server] = t.pair({}, { maxConcurrentCalls: 1 });
  const running = Promise.withResolvers<void>();
  server.handle("wait", async (_call, respond) => {
    await running.promise;
    await respond.return("done");
  });
  const calls = Array.from(
    { length: 20 },
    () => client.call("wait", [], { meta: LARGE_META }),
  );
  assertLess(20 * 4_000, await settled(() => headersAt(server)));
  running.resolve();
  for (const call of calls) assertEquals(await call, "done");
  assertEquals(headersAt(server), 0);
});

test("usage.held.headers: a call that is given up while it waits gives its header back", async (t) => {
  const [client, server] = t.pair({}, { maxConcurrentCalls: 1 });
  const running = Promise.withResolvers<void>();
  server.handle("wait", async (_call, respond) => {
    await running.promise;
    await respond.return("done");
  });
  const first = client.call("wait");
  const abort = new AbortController();
  const { signal } = abort;
  const second = client.call("wait", [], { meta: LARGE_META, signal });
  assertLess(4_000, await settled(() => headersAt(server)));
  abort.abort();
  await assertRejects(() => second, DOMException);
  await until(() => headersAt(server) < 4_000);
  running.resolve();
  assertEquals(await first, "done");
});

test("usage.held.headers: a call that is continued gives its header back when its handler is over", async (t) => {
  const [client, server] = t.pair();
  server.handle("open", async (_call, respond) => {
    await respond.continue();
  });
  const { channel } = await client.request("open", [], { meta: LARGE_META });
  assertLess(await settled(() => headersAt(server)), 4_000);
  await channel!.close();
});

test("usage.held.headers: small headers of calls are not counted", async (t) => {
  const [client, server] = t.pair({}, { maxConcurrentCalls: 1 });
  const running = Promise.withResolvers<void>();
  let counted = -1;
  server.handle("wait", async (_call, respond) => {
    await running.promise;
    counted = headersAt(server);
    await respond.return();
  });
  const meta = { token: "x".repeat(500) };
  const calls = [1, 2, 3].map(() => client.call("wait", [], { meta }));
  await until(() => server.session.usage.slots >= 3);
  running.resolve();
  await Promise.all(calls);
  assertEquals(counted, 0);
});

test("usage.held.headers: calls whose large headers do not fit are busy, nested calls are not", async (t) => {
  const limit = 512 * 1024;
  const [client, server] = t.pair({}, {
    maxConcurrentCalls: 1,
    session: { maxHeldSize: limit },
  });
  const running = Promise.withResolvers<void>();
  server.handle("wait", async (call, respond) => {
    await running.promise;
    const answer = await call.caller.call("wait", [], { meta: LARGE_META });
    await respond.return(answer);
  });
  server.handle("ask", (_call, respond) => respond.return("asked"));
  client.handle("wait", async (call, respond) => {
    await respond.return(
      await call.caller.call("ask", [], { meta: LARGE_META }),
    );
  });
  const calls = Array.from(
    { length: 200 },
    () =>
      client.call("wait", [], { meta: LARGE_META }).catch((error) => {
        assert(error instanceof RemoteError);
        return error.text;
      }),
  );
  const total = await settled(() => held(server).total);
  assert(total <= limit, `${total} bytes are held`);
  running.resolve();
  const answers = await within(Promise.all(calls), "the answers", 10_000);
  const asked = answers.filter((answer) => answer === "asked").length;
  assert(asked > 5, `${asked} are answered`);
  const busy = 'busy: there is no memory for its header; cannot call "/wait"';
  const others = answers.filter((answer) =>
    answer !== "asked" && answer !== busy
  );
  assertEquals(others, []);
  await until(() => headersAt(server) < 4_000);
});
