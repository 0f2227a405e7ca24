import { handlerFrom, Peer } from "@qtalk/qtalk";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { within } from "../../../tests/support/within.ts";
import { collectGarbage } from "../../../tests/support/memory.ts";
import { MuxError } from "../../errors.ts";
import { qmux } from "../../session.ts";
import { messagePortTransport } from "./message_port.ts";

async function withWorker(
  name: string,
  body: (peer: Peer, worker: Worker) => Promise<void>,
): Promise<void> {
  const url = new URL("../../../tests/support/port_worker.ts", import.meta.url);
  const worker = new Worker(url, { type: "module", name });
  // The worker's module is type-checked first, which can take a busy machine longer
  // than other tests wait, and longer than the default of greetingTimeout.
  const transport = messagePortTransport(worker, { greetingTimeout: Infinity });
  const peer = new Peer(qmux(transport), {
    handler: handlerFrom({ echo: (value: unknown) => value }),
  });
  try {
    await within(body(peer, worker), name, 120_000);
  } finally {
    await peer.close();
    worker.terminate();
  }
}

for (const name of ["at once", "late"]) {
  Deno.test(`messagePortTransport: a worker that listens ${name} can be called and call back`, async () => {
    await withWorker(name, async (peer) => {
      assertEquals(await peer.call("echo", [{ a: 1 }]), { a: 1 });
      assertEquals(await peer.call("back", ["and forth"]), "and forth");
      await using response = await peer.request("bytes");
      const { readable, writable } = response.channel!;
      const size = 8 * 1024 * 1024;
      const writing = new Blob([new Uint8Array(size)]).stream().pipeTo(
        writable,
      );
      let came = 0;
      for await (const chunk of readable) came += chunk.length;
      await writing;
      assertEquals(came, size);
    });
  });
}

Deno.test("messagePortTransport: close() does not end the worker, whose session ends cleanly", async () => {
  await withWorker("at once", async (peer, worker) => {
    const said = new Promise((resolve) => {
      worker.addEventListener("message", ({ data }) => {
        if (typeof data === "string") resolve(data);
      });
    });
    await peer.call("echo", [1]);
    await peer.close();
    assertEquals(await said, "the peer is closed");
  });
});

Deno.test("messagePortTransport: an error of the worker ends the session", async () => {
  await withWorker("at once", async (peer, worker) => {
    worker.addEventListener("error", (event) => event.preventDefault());
    await peer.call("crash").catch(() => {});
    const error = await assertRejects(() => peer.closed, MuxError);
    assertEquals(error.code, "connection-lost");
    const cause = error.cause as Error;
    assert(cause.message.startsWith("the worker failed: "), cause.message);
    assert(cause.message.includes("out of luck"), cause.message);
  });
});

Deno.test("messagePortTransport: ending the worker ends the session", async () => {
  await withWorker("at once", async (peer, worker) => {
    await peer.call("echo", [1]);
    const call = assertRejects(() => peer.call("never"), MuxError);
    worker.terminate();
    const error = await assertRejects(() => peer.closed, MuxError);
    assertEquals(error.code, "connection-lost");
    assertEquals((error.cause as Error).message, "the worker was ended");
    assertEquals((await call).code, "connection-lost");
    // Nothing is at the other end of a new session.
    const next = qmux(messagePortTransport(worker));
    await assertRejects(() => next.closed, MuxError, "over worker: no peer");
  });
});

Deno.test("messagePortTransport: a session over a worker that ended after an earlier one ends at once", async () => {
  await withWorker("at once", async (peer, worker) => {
    await peer.call("echo", [1]);
    await peer.close();
    worker.terminate();
    const next = qmux(messagePortTransport(worker));
    const error = await assertRejects(() => next.closed, MuxError);
    assertEquals(error.code, "connection-lost");
    assert(error.message.includes("because the worker was ended"));
  });
});

Deno.test("messagePortTransport: a worker that ends itself ends the session", async () => {
  await withWorker("at once", async (peer) => {
    await peer.call("leave").catch(() => {});
    await within(peer.closed, "closed");
  });
});

Deno.test("messagePortTransport: a new session over the same worker works", async () => {
  await withWorker("again", async (peer, worker) => {
    assertEquals(await peer.call("echo", [1]), 1);
    assertThrows(() => messagePortTransport(worker), MuxError, "over worker");
    for (let i = 2; i < 5; i++) {
      collectGarbage();
      await peer.close();
      peer = new Peer(qmux(messagePortTransport(worker)));
      assertEquals(await peer.call("echo", [i]), i);
    }
    await peer.close();
  });
});
