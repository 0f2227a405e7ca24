import { CallError, dial, listen, memoryPair, type Peer } from "@qtalk/qtalk";
import { fanOut } from "@qtalk/qtalk/fan-out";
import { intercept, retry } from "@qtalk/qtalk/middleware";
import { qmux } from "@qtalk/qtalk/mux";
import { dialPool } from "@qtalk/qtalk/pool";
import { assert, assertEquals } from "@std/assert";
import { memoryTransports } from "../mux/transport/memory.ts";
import { ForeignController } from "./support/foreign_controller.ts";
import { turn, within } from "./support/within.ts";

const never = new Promise<never>(() => {});

/** Uses a pair of peers, of which the second never answers. */
async function withSilentPeer(
  use: (peer: Peer) => Promise<unknown>,
): Promise<unknown> {
  const over = Promise.withResolvers<void>();
  const [peer] = memoryPair({}, {
    async handler({ selector }, respond) {
      if (selector !== "/silent") await respond.continue();
      await over.promise;
    },
  });
  try {
    return await use(peer);
  } finally {
    over.resolve();
    await peer.close();
  }
}

/** What waits until a signal aborts. */
const WAITS: Record<string, (signal: AbortSignal) => Promise<unknown>> = {
  "dial()": (signal) => dial(() => never, { signal }),
  "dial({ reconnect })": (signal) =>
    dial(() => never, { signal, reconnect: {} }),
  "dialPool()": (signal) => dialPool(() => never, { signal }),
  async "open() of a session"(signal) {
    const [near, far] = memoryTransports();
    await using session = qmux(near, { closeTimeout: 1 });
    await using _ = qmux(far, { closeTimeout: 1 });
    return await session.open({ signal });
  },
  async "next() of a listener"(signal) {
    await using listener = await listen("tcp://127.0.0.1:0");
    return await listener[Symbol.asyncIterator]().next({ signal });
  },
  "call() of a peer": (signal) =>
    withSilentPeer((peer) => peer.call("silent", null, { signal })),
  "receive() of a response": (signal) =>
    withSilentPeer(async (peer) => {
      const response = await peer.request("x");
      return await response.receive({ signal });
    }),
  "send() of a response": (signal) =>
    withSilentPeer(async (peer) => {
      const response = await peer.request("x");
      // More than a channel takes ahead.
      return await response.send("x".repeat(2 ** 24), { signal });
    }),
  async "retry()"(signal) {
    const busy = new CallError("not now", { code: "busy" });
    const [peer] = memoryPair({}, {
      handler: (_, respond) => respond.return(busy),
    });
    await using _ = peer;
    const delay = { minDelay: 1e6, maxDelay: 1e6 };
    return await intercept(peer, retry(delay)).call("x", null, { signal });
  },
  async "subscribe() of a fan-out"(signal) {
    const subscriber = fanOut().subscribe({ signal });
    return await subscriber.getReader().read();
  },
};

for (const [name, wait] of Object.entries(WAITS)) {
  Deno.test(`signals: one without a reason ends ${name} with an AbortError`, async () => {
    for (const early of [false, true]) {
      const controller = new ForeignController();
      if (early) controller.abort();
      const waiting = wait(controller.signal).then(
        () => undefined,
        (error) => error,
      );
      await turn();
      await turn();
      controller.abort();
      const error = await within(waiting, "the error");
      assert(error instanceof DOMException, String(error));
      assertEquals(error.name, "AbortError");
    }
  });
}
