import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
} from "@std/assert";
import { ResumeError } from "../../mux/mod.ts";
import { Relay } from "../../tests/resume/relay.ts";
import { test } from "../../tests/support/harness.ts";
import { within } from "../../tests/support/within.ts";
import {
  type Callback,
  handlerFrom,
  Router,
  withStream,
} from "../../rpc/mod.ts";
import {
  dial,
  listen,
  type ListenOptions,
  type ResumeState,
  TalkError,
} from "../mod.ts";

const LOCAL = "tcp://127.0.0.1:0";

/** A service whose calls last until the test ends them. */
function service(): ListenOptions & { answer: (value: string) => void } {
  const answered = Promise.withResolvers<string>();
  return {
    answer: answered.resolve,
    resume: {},
    handler: async (call, respond) => {
      if (call.selector === "/wait") {
        await respond.return(await answered.promise);
      } else await respond.return(await call.receive());
    },
  };
}

function portOf(addr: string): number {
  return Number(new URL(addr).port);
}

/** States, and a way to wait for the next connection after a cut. */
function watched(): {
  states: ResumeState[];
  onState: (state: ResumeState) => void;
  resumed: Promise<void>;
} {
  const states: ResumeState[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  return {
    states,
    resumed: promise,
    onState(state) {
      states.push(state);
      if (state.name === "connected" && state.resumed > 0) resolve();
    },
  };
}

test("dial(): with resume, a call survives the connection that it was made on", async (t) => {
  const options = service();
  let admitted = 0;
  const listener = t.watch(
    await listen(LOCAL, { ...options, onPeer: () => void admitted++ }),
  );
  const relay = new Relay(() => portOf(listener.addr));
  t.defer(() => relay[Symbol.dispose]());
  const { states, onState, resumed } = watched();
  const peer = t.watch(
    await dial(`tcp://127.0.0.1:${relay.port}`, { resume: { onState } }),
  );
  const waiting = peer.call("wait");
  assertEquals(await peer.call("echo", 1), 1);
  relay.cut();
  const during = peer.call("echo", 2);
  await within(resumed, "the next connection");
  options.answer("at last");
  assertEquals(await within(waiting, "the call"), "at last");
  assertEquals(await during, 2);
  assertEquals(states.map(({ name }) => name), [
    "connected",
    "detached",
    "connected",
  ]);
  assertEquals(admitted, 1, "it is the same peer");
});

test("dial(): with resume, an option may be for one of several addresses, and the session continues at another", async (t) => {
  const listener = t.watch(await listen(LOCAL, service()));
  const relay = new Relay(() => portOf(listener.addr));
  t.defer(() => relay[Symbol.dispose]());
  const { onState, resumed } = watched();
  const peer = t.watch(
    await dial(["ws://127.0.0.1:1/", `tcp://127.0.0.1:${relay.port}`], {
      headers: { authorization: "secret" },
      resume: { onState },
    }),
  );
  relay.cut();
  const during = peer.call("echo", 1);
  await within(resumed, "the next connection");
  assertEquals(await during, 1);
});

test("dial(): with resume, streams both ways, callbacks and bytes go on after each cut", async (t) => {
  const kept: Callback<(n: number) => number>[] = [];
  const service = {
    async *count(to: number) {
      for (let n = 1; n <= to; n++) yield n;
    },
    sum: withStream(async (numbers: AsyncIterable<number>) => {
      let sum = 0;
      for await (const n of numbers) sum += n;
      return sum;
    }),
    each: async (to: number, fn: Callback<(n: number) => number>) => {
      let sum = 0;
      for (let n = 1; n <= to; n++) sum += await fn(n);
      return sum;
    },
    keep: (fn: Callback<(n: number) => number>) => {
      kept.push(fn.retain());
    },
  };
  const handler = new Router();
  handler.handle("", handlerFrom(service));
  handler.handle("bytes", async (call, respond) => {
    await call.receive();
    const { readable, writable } = await respond.continue();
    await readable.pipeTo(writable);
  });
  const listener = t.watch(await listen(LOCAL, { resume: {}, handler }));
  const relay = new Relay(() => portOf(listener.addr));
  t.defer(() => relay[Symbol.dispose]());
  const peer = t.watch(
    await dial(`tcp://127.0.0.1:${relay.port}`, { resume: {} }),
  );
  const api = peer.remote<typeof service>();
  await api.keep((n) => 10 * n);
  /** Cuts the connection at some of the steps of what goes on. */
  const step = <T>(n: number, value: T): T => {
    if (n % 4 === 0) relay.cut();
    return value;
  };

  const counted: number[] = [];
  for await (const n of api.count(10)) counted.push(step(n, n));
  assertEquals(counted, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  async function* numbers() {
    for (let n = 1; n <= 10; n++) yield step(n, n);
  }
  assertEquals(await within(api.sum(numbers()), "the stream there"), 55);
  const each = api.each(10, (n) => step(n, n));
  assertEquals(await within(each, "the callbacks"), 55);

  await using response = await peer.request("bytes");
  const { readable, writable } = response;
  const writer = writable.getWriter();
  const sent = (async () => {
    for (let n = 1; n <= 10; n++) {
      await writer.write(step(n, new Uint8Array(10_000).fill(n)));
    }
    await writer.close();
  })();
  const echoed = new Uint8Array(await new Response(readable).arrayBuffer());
  await sent;
  assertEquals(echoed.length, 100_000);
  assert(echoed.every((byte, at) => byte === Math.floor(at / 10_000) + 1));
  relay.cut();
  assertEquals(await within(kept[0]!(2), "a callback that was kept"), 20);
  kept[0]!.release();
  assert(relay.accepted > 1);
});

test("dial(): with resume, a session goes on over another scheme", async (t) => {
  // The same listener behind TCP and a Unix socket, as behind two networks.
  const directory = await Deno.makeTempDir();
  t.defer(() => Deno.remove(directory, { recursive: true }));
  const path = `${directory}/socket`;
  const listener = t.watch(await listen(`unix:${path}`, service()));
  const relay = new Relay(() => path);
  t.defer(() => relay[Symbol.dispose]());
  const { onState, resumed } = watched();
  const peer = t.watch(
    await dial(`tcp://127.0.0.1:${relay.port}`, {
      resume: { onState, addresses: [listener.addr] },
    }),
  );
  assertEquals(await peer.call("echo", "over TCP"), "over TCP");
  relay.cut();
  await within(resumed, "the connection over the Unix socket");
  assertEquals(await peer.call("echo", "over Unix"), "over Unix");
  assertEquals(relay.accepted, 1);
});

test("dial(): with resume, ws: works as others do", async (t) => {
  const options = service();
  const listener = t.watch(await listen("ws://127.0.0.1:0/path", options));
  const relay = new Relay(() => portOf(listener.addr));
  t.defer(() => relay[Symbol.dispose]());
  const { onState, resumed } = watched();
  const peer = t.watch(
    await dial(`ws://127.0.0.1:${relay.port}/path`, { resume: { onState } }),
  );
  assertEquals(await peer.call("echo", 1), 1);
  relay.cut();
  await within(resumed, "the next connection");
  assertEquals(await peer.call("echo", 2), 2);
});

test("dial(): with resume, a restarted server ends the session at once, and reconnect begins another", async (t) => {
  let listener = await listen(LOCAL, service());
  const relay = new Relay(() => portOf(listener.addr));
  t.defer(() => relay[Symbol.dispose]());
  const losses: unknown[] = [];
  const back = Promise.withResolvers<void>();
  const peer = await dial(`tcp://127.0.0.1:${relay.port}`, {
    resume: {
      onState(state) {
        if (state.name === "closed") losses.push(state.error);
      },
    },
    reconnect: {
      minDelay: 1,
      onState({ name }) {
        if (name === "connected" && losses.length > 0) back.resolve();
      },
    },
  });
  t.defer(() => peer.close());
  assertEquals(await peer.call("echo", 1), 1);
  const other = await listen(LOCAL, service());
  t.defer(() => other.close());
  const before = listener;
  listener = other;
  relay.cut();
  await within(back.promise, "the next session");
  const [error] = losses;
  assertInstanceOf(error, ResumeError);
  assertEquals([error.code, error.reason], [
    "connection-lost",
    "unknown-session",
  ]);
  assertEquals(await peer.call("echo", 2), 2);
  await before.close();
});

test("listen(): with resume, plain peers are served, whichever end calls first", async (t) => {
  const listener = t.watch(
    await listen(LOCAL, {
      ...service(),
      onPeer: async (peer) => await peer.call("name"),
    }),
  );
  const peer = t.watch(
    await dial(listener.addr, {
      handler: (_call, respond) => respond.return("Ann"),
    }),
  );
  assertEquals(await peer.call("echo", 1), 1);
});

test("dial(): with resume, a listener without it is an error", async (t) => {
  const listener = t.watch(await listen(LOCAL, { onError() {} }));
  const error = await assertRejects(
    () => dial(listener.addr, { resume: {} }),
    TalkError,
  );
  assertEquals(error.code, "dial-failed");
  assert(error.message.includes("its listener may lack"), error.message);
});

test("dial(): with resume, the bytes that are kept count as memory of the session", async (t) => {
  const listener = t.watch(await listen(LOCAL, service()));
  const relay = new Relay(() => portOf(listener.addr));
  t.defer(() => relay[Symbol.dispose]());
  const peer = t.watch(
    await dial(`tcp://127.0.0.1:${relay.port}`, { resume: {} }),
  );
  const text = "x".repeat(500_000);
  const calls = [1, 2, 3].map(() => peer.call("echo", text));
  let most = 0;
  const look = () => {
    const { held } = peer.session.usage;
    most = Math.max(most, held.unacknowledged);
  };
  const timer = setInterval(look, 0);
  await Promise.all(calls);
  clearInterval(timer);
  assert(most > 0 && most < 8 * 1024 * 1024, String(most));
});
