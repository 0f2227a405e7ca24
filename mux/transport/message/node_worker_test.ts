/**
 * In a file of its own: once Deno has loaded `node:worker_threads`, all message
 * ports have events that they lack otherwise.
 *
 * @module
 */
import { Worker as Thread } from "node:worker_threads";
import { handlerFrom, Peer } from "@qtalk/qtalk";
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { within } from "../../../tests/support/within.ts";
import { MuxError } from "../../errors.ts";
import { qmux } from "../../session.ts";
import { messagePortTransport } from "./message_port.ts";

/** Passes on what it gets to the port that it was given, and back. */
const RELAY = `
  const { parentPort, workerData } = require("node:worker_threads");
  parentPort.on("message", (data) => {
    if (data === "end") process.exit(3);
    workerData.port.postMessage(data);
  });
  workerData.port.on("message", (data) => parentPort.postMessage(data));
`;

/** Starts a worker of Node's kind; `far` is the other end of its port. */
function startThread() {
  const { port1: far, port2: port } = new MessageChannel();
  const thread = new Thread(RELAY, {
    eval: true,
    workerData: { port },
    transferList: [port as never],
  });
  return { thread, far };
}

Deno.test("messagePortTransport: a worker of node:worker_threads carries sessions, one at a time", async () => {
  const { thread, far } = startThread();
  for (let i = 0; i < 2; i++) {
    const peer = new Peer(qmux(messagePortTransport(thread)));
    const other = new Peer(qmux(messagePortTransport(far)), {
      handler: handlerFrom({ echo: (value: unknown) => value }),
    });
    const big = "x".repeat(100_000);
    assertEquals(await peer.call("echo", ["short"]), "short");
    assertEquals(await peer.call("echo", [big]), big);
    assertThrows(() => messagePortTransport(thread), MuxError, "uses it");
    await peer.close();
    await within(other.closed, "the end of the session");
  }
  far.close();
  await thread.terminate();
});

for (const how of ["terminate()", "process.exit()"]) {
  Deno.test(`messagePortTransport: ${how} of a worker of node:worker_threads ends its session`, async () => {
    const { thread, far } = startThread();
    const peer = new Peer(qmux(messagePortTransport(thread)));
    const other = new Peer(qmux(messagePortTransport(far)), {
      handler: handlerFrom({ echo: (value: unknown) => value }),
    });
    await peer.call("echo", [1]);
    if (how === "terminate()") void thread.terminate();
    else thread.postMessage("end");
    const error = await within(
      assertRejects(() => peer.closed, MuxError),
      "the end of the session",
    );
    assertEquals(error.code, "connection-lost");
    await assertRejects(
      () => qmux(messagePortTransport(thread)).open(),
      MuxError,
      "the worker was ended",
    );
    await other.close();
    far.close();
  });
}
