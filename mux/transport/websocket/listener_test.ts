import { assert, assertEquals, assertRejects } from "@std/assert";
import { test } from "../../../tests/support/harness.ts";
import {
  clientFrame,
  ScriptedClient,
  upgradeRequest,
} from "../../../tests/support/websocket_wire.ts";
import { text } from "../../../tests/support/wire.ts";
import { turn, watch, within } from "../../../tests/support/within.ts";
import type { Transport } from "../../types.ts";
import { memoryTransports } from "../memory.ts";
import type { Accepted, TransportListener } from "../types.ts";
import { Opcode } from "./frames.ts";
import { MAX_HANDSHAKES } from "../handshakes.ts";
import { webSocketListener } from "./listener.ts";

const HANDSHAKE_TIMEOUT = 10_000;

const REQUEST = upgradeRequest("a.example");

/** A listener whose connections, and failures, a test makes. */
class Source implements TransportListener {
  readonly addr = "tcp://192.0.2.1:1";
  #waiting: PromiseWithResolvers<Accepted | null> | undefined;
  accepts = 0;

  accept(): Promise<Accepted | null> {
    this.accepts++;
    this.#waiting = Promise.withResolvers();
    return this.#waiting.promise;
  }

  /** Accepts a connection; returns the client's end. */
  async connect(): Promise<Transport> {
    const [near, far] = memoryTransports();
    this.#waiting!.resolve({
      transport: near,
      remoteAddr: "tcp://192.0.2.2:2",
    });
    await turn();
    return far;
  }

  async fail(error: Error): Promise<void> {
    this.#waiting!.reject(error);
    await turn();
  }

  close(): void {
    this.#waiting!.resolve(null);
  }
}

function lab() {
  const source = new Source();
  const late: string[] = [];
  const listener = webSocketListener(source, "ws://a.example/", {}, {
    timeout: HANDSHAKE_TIMEOUT,
    onTimeout: (remoteAddr) => late.push(remoteAddr),
  });
  return { source, listener, late };
}

test("webSocketListener: accepts a client after its handshake, with its address", async () => {
  const { source, listener } = lab();
  assertEquals(listener.addr, "ws://a.example/");
  const accepting = listener.accept();
  const client = new ScriptedClient(await source.connect());
  client.send(REQUEST, clientFrame(Opcode.BINARY, "early"));
  const { transport, remoteAddr } = (await within(accepting, "the client"))!;
  assertEquals(remoteAddr, "tcp://192.0.2.2:2");
  assertEquals(text((await transport.read())!), "early");
  await client.end();
  await transport.close();
  listener.close();
  assertEquals(await listener.accept(), null);
});

test("webSocketListener: clients wait to be accepted, in the order of their requests", async () => {
  const { source, listener } = lab();
  const clients = [
    new ScriptedClient(await source.connect()),
    new ScriptedClient(await source.connect()),
  ];
  for (const [i, client] of clients.entries()) {
    client.send(REQUEST, clientFrame(Opcode.BINARY, `${i}`));
    await client.request();
  }
  for (const [i, client] of clients.entries()) {
    const { transport } = (await listener.accept())!;
    assertEquals(text((await transport.read())!), `${i}`);
    await client.end();
    await transport.close();
  }
  listener.close();
});

test("webSocketListener: a request that is not finished in time is cut", async (t) => {
  using time = t.time();
  const { source, listener, late } = lab();
  const far = await source.connect();
  const reading = watch(far.read());
  // Byte by byte does not gain time.
  for (let ms = 0; ms < HANDSHAKE_TIMEOUT; ms += 1_000) {
    assertEquals(reading.state, "pending");
    await far.write(Uint8Array.of(0x41));
    time.tick(1_000);
    await turn();
  }
  time.tick(100);
  await turn();
  assertEquals(reading.state, "resolved");
  await assertRejects(() => far.write(Uint8Array.of(0x41)));
  assertEquals(late, ["tcp://192.0.2.2:2"]);
  listener.close();
});

test("webSocketListener: one handshake too many cuts the oldest", async (t) => {
  using _ = t.time();
  const { source, listener } = lab();
  const ends: Transport[] = [];
  for (let i = 0; i < MAX_HANDSHAKES; i++) ends.push(await source.connect());
  const first = watch(ends[0]!.read());
  const second = watch(ends[1]!.read());
  await turn();
  assertEquals([first.state, second.state], ["pending", "pending"]);
  const last = new ScriptedClient(await source.connect());
  await turn();
  assertEquals([first.state, second.state], ["resolved", "pending"]);
  // The newest gets its turn.
  last.send(REQUEST);
  const { transport } = (await within(listener.accept(), "the last client"))!;
  await last.end();
  await transport.close();
  listener.close();
  for (const end of ends) await end.close();
});

test("webSocketListener: close() cuts handshakes and ends accept()", async () => {
  const { source, listener } = lab();
  const far = await source.connect();
  const reading = far.read();
  const accepting = listener.accept();
  listener.close();
  assertEquals(await within(accepting, "accept()"), null);
  assertEquals(await reading, null);
});

test("webSocketListener: after an error it accepts nothing until accept() is called again", async () => {
  const { source, listener } = lab();
  const failing = assertRejects(() => listener.accept(), Error, "no files");
  await source.fail(new Error("no files"));
  await failing;
  for (let i = 0; i < 10; i++) await turn();
  assertEquals(source.accepts, 1, "the caller waits, and so does the listener");
  // What comes then is a connection, and not an error from the time before.
  const accepting = listener.accept();
  await turn();
  const client = new ScriptedClient(await source.connect());
  client.send(REQUEST);
  const { transport } = (await within(accepting, "the client"))!;
  await client.end();
  await transport.close();
  listener.close();
  assertEquals(await listener.accept(), null);
});

test("webSocketListener: close() ends accept() after an error, too", async () => {
  const { source, listener } = lab();
  const failing = assertRejects(() => listener.accept(), Error, "no files");
  await source.fail(new Error("no files"));
  await failing;
  listener.close();
  assertEquals(await within(listener.accept(), "accept()"), null);
});

test("webSocketListener: an error of accepting rejects accept(), and is not retried before", async () => {
  const { source, listener } = lab();
  await source.fail(new Error("too many open files"));
  assertEquals(source.accepts, 1);
  await assertRejects(() => listener.accept(), Error, "too many open files");
  const accepting = assertRejects(() => listener.accept(), Error, "again");
  await turn();
  assertEquals(source.accepts, 2);
  await source.fail(new Error("again"));
  await accepting;
  await turn();
  listener.close();
  assert(await listener.accept() === null);
});
