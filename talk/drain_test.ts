import {
  DEFAULT_PEER_LIMITS,
  dial,
  handlerFrom,
  listen,
  memoryPair,
  MuxError,
  type Peer,
  RemoteError,
  TalkError,
} from "@qtalk/qtalk";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { FakeTime } from "../tests/support/fake_time.ts";
import { turn, until, watch, within } from "../tests/support/within.ts";
import { uses } from "./peer_keys.ts";

/** Two peers, the second of which drains. */
class Lab {
  readonly client: Peer;
  readonly server: Peer;
  /** The running handlers of `wait`, each with what settles it. */
  readonly running: PromiseWithResolvers<unknown>[] = [];
  readonly aborted: unknown[] = [];

  constructor() {
    [this.client, this.server] = memoryPair();
    this.server.handle("wait", async (call, respond) => {
      const answer = Promise.withResolvers<unknown>();
      this.running.push(answer);
      call.signal.addEventListener("abort", () => {
        this.aborted.push(call.signal.reason);
        answer.reject(call.signal.reason);
      });
      await respond.return(await answer.promise);
    });
    this.server.handle("echo", handlerFrom((value: unknown) => value));
    this.client.handle("echo", handlerFrom((value: unknown) => value));
  }

  /** Starts a call, and waits until its handler runs. */
  async start(): Promise<{ call: Promise<unknown> }> {
    const before = this.running.length;
    const call = this.client.call("wait");
    call.catch(() => {});
    await until(() => this.running.length !== before);
    return { call };
  }
}

const DRAIN = 10_000;

function test(name: string, body: (lab: Lab) => Promise<void>): void {
  Deno.test(name, withLab(name, body));
}

function withLab(
  name: string,
  body: (lab: Lab) => Promise<void>,
): () => Promise<void> {
  return async () => {
    const lab = new Lab();
    try {
      await within(body(lab), name);
    } finally {
      await Promise.all([lab.client.close(), lab.server.close()]);
    }
  };
}

test("draining: calls in progress are answered before the session ends", async (lab) => {
  const calls = [await lab.start(), await lab.start()];
  const closing = watch(lab.server.close({ drainTimeout: DRAIN }));
  await turn();
  lab.running[1]!.resolve("second");
  assertEquals(await calls[1]!.call, "second");
  await turn();
  assertEquals(closing.state, "pending");
  lab.running[0]!.resolve("first");
  assertEquals(await calls[0]!.call, "first");
  await lab.client.closed;
  await lab.server.closed;
  await until(() => closing.state !== "pending");
});

test("draining: spare channels do not delay the close", async (lab) => {
  for (let i = 0; i < 20; i++) {
    await Promise.all([
      ...Array.from({ length: i }, () => lab.client.call("echo", [i])),
      ...Array.from({ length: i }, () => lab.server.call("echo", [i])),
    ]);
  }
  assert(
    lab.server.session.usage.slots > 2,
    "there are spare channels",
  );
  using time = new FakeTime();
  await lab.server.close({ drainTimeout: DRAIN });
  await lab.client.closed;
  assertEquals(time.waiting, 0);
});

test("draining: new calls are refused as unavailable and not handled", async (lab) => {
  const { call } = await lab.start();
  const closing = lab.server.close({ drainTimeout: DRAIN });
  for (let i = 0; i < 3; i++) {
    const error = await assertRejects(
      () => lab.client.call("wait"),
      RemoteError,
    );
    assertEquals(
      error.text,
      'unavailable: this side is closing; cannot call "/wait"',
    );
    assertEquals(error.code, "unavailable");
  }
  assertEquals(lab.running.length, 1);
  lab.running[0]!.resolve(1);
  assertEquals(await call, 1);
  await closing;
});

test("draining: this side cannot make new calls", async (lab) => {
  const { call } = await lab.start();
  const closing = lab.server.close({ drainTimeout: DRAIN });
  for (const make of ["call", "request"] as const) {
    const error = await assertRejects(
      () => lab.server[make]("echo", [1]),
      MuxError,
      'Cannot make call "echo": peer is closing',
    );
    assertEquals(error.code, "session-closed");
  }
  lab.running[0]!.resolve(1);
  await call;
  await closing;
});

test("draining: a running handler may still call its caller", async (lab) => {
  const go = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  lab.server.handle("callback", async (call, respond) => {
    begun.resolve();
    await go.promise;
    await respond.return(await call.caller.call("echo", ["back"]));
  });
  const call = lab.client.call("callback");
  await begun.promise;
  const closing = lab.server.close({ drainTimeout: DRAIN });
  go.resolve();
  assertEquals(await call, "back");
  await closing;
});

test("draining: calls of this side are awaited too", async (lab) => {
  const answer = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  lab.client.handle("slow", async (_call, respond) => {
    asked.resolve();
    await answer.promise;
    await respond.return("at last");
  });
  const call = lab.server.call("slow");
  await asked.promise;
  const closing = watch(lab.server.close({ drainTimeout: DRAIN }));
  for (let i = 0; i < 5; i++) await turn();
  assertEquals(closing.state, "pending");
  answer.resolve();
  assertEquals(await call, "at last");
  await until(() => closing.state !== "pending");
});

test("draining: a continued call is awaited until its channel closes", async (lab) => {
  lab.server.handle("bytes", async (call, respond) => {
    await call.receive();
    const { readable, writable } = await respond.continue();
    void readable.pipeTo(writable);
  });
  const response = await lab.client.request("bytes");
  const closing = watch(lab.server.close({ drainTimeout: DRAIN }));
  const { readable, writable } = response.channel!;
  const writer = writable.getWriter();
  await turn();
  await writer.write(new TextEncoder().encode("still here"));
  assertEquals(closing.state, "pending");
  await writer.close();
  assertEquals(await new Response(readable).text(), "still here");
  await until(() => closing.state !== "pending");
  await lab.client.closed;
});

test("draining: a response that awaits its reader arrives completely", async (lab) => {
  const text = "x".repeat(DEFAULT_PEER_LIMITS.maxValueSize - 2);
  const closing = Promise.withResolvers<void>();
  lab.server.handle("large", (_call, respond) => {
    void respond.return(text);
    closing.resolve(lab.server.close({ drainTimeout: DRAIN }));
  });
  assertEquals(await lab.client.call("large") === text, true);
  await closing.promise;
});

test("draining: calls that exceed drainTimeout are cancelled", async (lab) => {
  const { call } = await lab.start();
  using time = new FakeTime();
  const closing = watch(lab.server.close({ drainTimeout: DRAIN }));
  time.tick(DRAIN - 1);
  await turn();
  assertEquals([closing.state, lab.aborted.length], ["pending", 0]);
  time.tick(1);
  const error = await assertRejects(() => call, MuxError);
  assertEquals(error.code, "connection-lost");
  await until(() => closing.state !== "pending");
  assertEquals((lab.aborted[0] as MuxError).code, "session-closed");
  await lab.server.closed;
});

test("draining: close() without drainTimeout ends the wait", async (lab) => {
  const { call } = await lab.start();
  const draining = lab.server.close({ drainTimeout: DRAIN });
  await lab.server.close();
  await draining;
  await assertRejects(() => call, MuxError);
});

test("draining: the end of the session ends the wait", async (lab) => {
  await lab.start();
  using time = new FakeTime();
  const draining = lab.server.close({ drainTimeout: DRAIN });
  await lab.client.close();
  await draining;
  assertEquals(time.waiting, 0);
});

test("draining: a closed peer can be closed again", async (lab) => {
  await lab.server.close();
  await lab.client.closed;
  using time = new FakeTime();
  await lab.server.close({ drainTimeout: DRAIN });
  assertEquals(time.waiting, 0);
});

test("draining: an abort of the signal ends the wait and closes the session", async (lab) => {
  const { call } = await lab.start();
  using time = new FakeTime();
  const controller = new AbortController();
  const closing = watch(
    lab.server.close({ drainTimeout: DRAIN, signal: controller.signal }),
  );
  await turn();
  assertEquals(closing.state, "pending");
  controller.abort(new Error("not that long"));
  const error = await assertRejects(() => call, MuxError);
  assertEquals(error.code, "connection-lost");
  await until(() => closing.state !== "pending");
  assertEquals(closing.state, "resolved");
  await lab.server.closed;
  assertEquals(time.waiting, 0);
});

test("draining: an aborted signal closes the session at once", async (lab) => {
  const { call } = await lab.start();
  const signal = AbortSignal.abort();
  await lab.server.close({ drainTimeout: Infinity, signal });
  await assertRejects(() => call, MuxError);
});

test("draining: a drainTimeout out of range rejects and does not close the peer", async (lab) => {
  for (const drainTimeout of [-1, NaN]) {
    await assertRejects(
      () => lab.server.close({ drainTimeout }),
      RangeError,
      `Cannot use option "drainTimeout": ${drainTimeout} is not a number of at least 0`,
    );
  }
  assertEquals(await lab.client.call("echo", [1]), 1);
});

/** Deno has no Unix sockets on Windows. */
const testUnix: (name: string, fn: () => Promise<void>) => void =
  Deno.build.os === "windows" ? Deno.test.ignore : Deno.test;

testUnix(
  "draining: a listener stops accepting and drains all its peers",
  async () => {
    const answer = Promise.withResolvers<void>();
    let running = 0;
    const folder = await Deno.makeTempDir();
    const listener = await listen(`unix:${folder}/socket`, {
      handler: async (_call, respond) => {
        running++;
        await answer.promise;
        await respond.return("done");
      },
    });
    const peers = [await dial(listener.addr), await dial(listener.addr)];
    const calls = peers.map((peer) => peer.call("wait"));
    await until(() => running >= 2);
    const closing = watch(listener.close({ drainTimeout: DRAIN }));
    await turn();
    // A socket's file cannot belong to another process now, as a port could.
    await assertRejects(() => dial(listener.addr), TalkError, "Cannot dial");
    assertEquals(closing.state, "pending");
    answer.resolve();
    assertEquals(await Promise.all(calls), ["done", "done"]);
    await until(() => closing.state !== "pending");
    for (const peer of peers) await peer.closed;
    await listener.closed;
    await Deno.remove(folder);
  },
);

Deno.test("Peer.close: draining waits for a call that has arrived before the server is loaded", async () => {
  const [client, server] = memoryPair();
  await using _ = client;
  const call = client.call("x").catch((error) => error);
  const arrived = (async () => {
    await until(() => server[uses] !== 0);
  })();
  await within(arrived, "the call to arrive");
  await server.close({ drainTimeout: 10_000 });
  const error = await call;
  // It may have been loaded meanwhile; it was not cut off in any case.
  assert(error instanceof RemoteError, String(error));
  assert(["not-found", "unavailable"].includes(error.code!), error.code);
});

Deno.test("close(): may be the listener of an event, and the handler of a signal in Deno", async () => {
  for (const args of [[new Event("unload")], []]) {
    const listener = await listen("tcp://127.0.0.1:0");
    const peer = await dial(listener.addr);
    const reconnecting = await dial(listener.addr, { reconnect: {} });
    for (const one of [peer, reconnecting, listener]) {
      const handler: unknown = one.close.bind(one);
      await (handler as (...args: unknown[]) => unknown)(...args);
      assertEquals(await one.closed, undefined);
    }
  }
});

Deno.test("close(): what is no options is refused", async () => {
  const [peer, other] = memoryPair();
  for (const wrong of [5_000, true, null, [], "SIGTERM"]) {
    await assertRejects(
      () => peer.close(wrong as never),
      TypeError,
      "Cannot use options of close()",
    );
  }
  await Promise.all([peer.close(), other.close()]);
});
