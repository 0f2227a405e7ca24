import {
  dial,
  handlerFrom,
  listen,
  memoryPair,
  MuxError,
  type Peer,
  RemoteError,
} from "@qtalk/qtalk";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { FakeTime } from "../tests/support/fake_time.ts";
import { turn, watch, within } from "../tests/support/within.ts";

/** Two peers, of which the second is the one that drains. */
class Lab {
  readonly client: Peer;
  readonly server: Peer;
  /** Handlers of `wait` that are running, each with what ends it. */
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
    while (this.running.length === before) await turn();
    return { call };
  }
}

const DRAIN = 10_000;

function test(behaviour: string, body: (lab: Lab) => Promise<void>): void {
  Deno.test(`draining: ${behaviour}`, async () => {
    const lab = new Lab();
    try {
      await within(body(lab), behaviour);
    } finally {
      await Promise.all([lab.client.close(), lab.server.close()]);
    }
  });
}

test("calls under way are answered first, then the session ends cleanly", async (lab) => {
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
  while (closing.state === "pending") await turn();
});

test("with nothing under way it closes at once, whatever channels were opened ahead", async (lab) => {
  for (let i = 0; i < 20; i++) {
    await Promise.all([
      ...Array.from({ length: i }, () => lab.client.call("echo", [i])),
      ...Array.from({ length: i }, () => lab.server.call("echo", [i])),
    ]);
  }
  assert(
    lab.server.session.usage.slots > 2,
    "there are channels opened ahead",
  );
  using time = new FakeTime();
  await lab.server.close({ drainTimeout: DRAIN });
  await lab.client.closed;
  assertEquals(time.waiting, 0);
});

test("calls that begin meanwhile are refused as unavailable, and not begun", async (lab) => {
  const { call } = await lab.start();
  const closing = lab.server.close({ drainTimeout: DRAIN });
  for (let i = 0; i < 3; i++) {
    const error = await assertRejects(
      () => lab.client.call("wait"),
      RemoteError,
    );
    assertEquals(error.text, "unavailable: this side is closing");
  }
  assertEquals(lab.running.length, 1);
  lab.running[0]!.resolve(1);
  assertEquals(await call, 1);
  await closing;
});

test("this side makes no new calls", async (lab) => {
  const { call } = await lab.start();
  const closing = lab.server.close({ drainTimeout: DRAIN });
  for (const make of ["call", "request"] as const) {
    const error = await assertRejects(
      () => lab.server[make]("echo", [1]),
      MuxError,
      "Cannot make call: peer is closing",
    );
    assertEquals(error.code, "session-closed");
  }
  lab.running[0]!.resolve(1);
  await call;
  await closing;
});

test("a handler that is running may still call back", async (lab) => {
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

test("calls of this side that are under way are waited for", async (lab) => {
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
  while (closing.state === "pending") await turn();
});

test("a continued call is under way until its channel is closed", async (lab) => {
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
  while (closing.state === "pending") await turn();
  await lab.client.closed;
});

test("an answer that waits for its reader arrives whole", async (lab) => {
  const text = "x".repeat(4 * 1024 * 1024);
  const closing = Promise.withResolvers<void>();
  lab.server.handle("large", (_call, respond) => {
    void respond.return(text);
    closing.resolve(lab.server.close({ drainTimeout: DRAIN }));
  });
  assertEquals(await lab.client.call("large") === text, true);
  await closing.promise;
});

test("what is not done in time is cancelled", async (lab) => {
  const { call } = await lab.start();
  using time = new FakeTime();
  const closing = watch(lab.server.close({ drainTimeout: DRAIN }));
  time.tick(DRAIN - 1);
  await turn();
  assertEquals([closing.state, lab.aborted.length], ["pending", 0]);
  time.tick(1);
  const error = await assertRejects(() => call, MuxError);
  assertEquals(error.code, "connection-lost");
  while (closing.state === "pending") await turn();
  assertEquals((lab.aborted[0] as MuxError).code, "session-closed");
  await lab.server.closed;
});

test("close() without drain ends the wait", async (lab) => {
  const { call } = await lab.start();
  const draining = lab.server.close({ drainTimeout: DRAIN });
  await lab.server.close();
  await draining;
  await assertRejects(() => call, MuxError);
});

test("an end of the session ends the wait", async (lab) => {
  await lab.start();
  using time = new FakeTime();
  const draining = lab.server.close({ drainTimeout: DRAIN });
  await lab.client.close();
  await draining;
  assertEquals(time.waiting, 0);
});

test("after the end it is as any close()", async (lab) => {
  await lab.server.close();
  await lab.server.close({ drainTimeout: DRAIN });
});

Deno.test("draining: a listener stops accepting, and all its peers drain", async () => {
  const answer = Promise.withResolvers<void>();
  let running = 0;
  const listener = await listen("tcp://127.0.0.1:0", {
    handler: async (_call, respond) => {
      running++;
      await answer.promise;
      await respond.return("done");
    },
  });
  const peers = [await dial(listener.addr), await dial(listener.addr)];
  const calls = peers.map((peer) => peer.call("wait"));
  while (running < 2) await turn();
  const closing = watch(listener.close({ drainTimeout: DRAIN }));
  await turn();
  await assertRejects(() => dial(listener.addr));
  assertEquals(closing.state, "pending");
  answer.resolve();
  assertEquals(await Promise.all(calls), ["done", "done"]);
  while (closing.state === "pending") await turn();
  for (const peer of peers) await peer.closed;
  await listener.closed;
});
