import { assert, assertEquals, assertRejects } from "@std/assert";
import { Line } from "../../tests/resume/line.ts";
import { MemoryNetwork } from "../../tests/resume/memory_network.ts";
import { type Harness, test } from "../../tests/support/harness.ts";
import { turn, until, watch, within } from "../../tests/support/within.ts";
import { nextTurn } from "../flow/turns.ts";
import { ResumeError } from "./errors.ts";
import { encodeHelloResume, MAGIC, PART } from "./handshake/messages.ts";
import { random } from "./handshake/proofs.ts";
import { ResumingListener } from "./resuming_listener.ts";
import { SessionStore } from "./store.ts";
import { BegunTransport } from "../transport/begun_transport.ts";
import type { GatheringTransport } from "../transport/types.ts";
import type { Transport } from "../types.ts";

/** A line whose ends say when to write early. */
function gatheringLine(): Line {
  const line = new Line(Infinity, "close");
  for (const end of [line.dialer, line.listener]) {
    Object.assign(end, { earlyWrite: 9 });
  }
  return line;
}

test("ResumingListener: a plain peer is served at the same address", async (t) => {
  const network = new MemoryNetwork({ line: gatheringLine });
  t.defer(() => network.close());
  const accepted = network.listener.accept();
  const plain = await network.connect();
  void plain.write(new Uint8Array([100, 1, 2]));
  const { transport } = (await accepted)!;
  assert(transport instanceof BegunTransport);
  assertEquals(transport.earlyWrite, 9);
  assertEquals([...(await transport.read())!], [100, 1, 2]);
  const next = transport.read();
  void plain.write(new Uint8Array([3]));
  assertEquals([...(await next)!], [3]);
  await transport.close();
  await plain.close();
});

test("ResumingListener: a session writes early when its connection says", async (t) => {
  const network = new MemoryNetwork({ line: gatheringLine });
  t.defer(() => network.close());
  const ends: Partial<GatheringTransport & Transport>[] = await network
    .session();
  for (const end of ends) {
    assertEquals(end.earlyWrite, 9);
    await end.close!();
  }
});

test("ResumingListener: a peer that sends nothing is a plain one after a second", async (t) => {
  const time = t.time();
  const network = new MemoryNetwork();
  t.defer(() => network.close());
  const accepting = network.listener.accept();
  const accepted = watch(accepting);
  const plain = await network.connect();
  time.tick(999);
  for (let i = 0; i < 5; i++) await turn();
  assertEquals(accepted.state, "pending");
  time.tick(1);
  const { transport } = (await within(accepting, "the peer"))!;
  const read = transport.read();
  void plain.write(new Uint8Array([101]));
  assertEquals([...(await read)!], [101], "what comes later is not lost");
  await transport.close();
  await plain.close();
});

test("ResumingListener: a connection that is silent does not delay others", async (t) => {
  t.time();
  const network = new MemoryNetwork();
  t.defer(() => network.close());
  const accepted = network.listener.accept();
  const silent = await network.connect();
  const plain = await network.connect();
  void plain.write(new Uint8Array([102]));
  const { transport } = (await within(accepted, "the other"))!;
  assertEquals([...(await transport.read())!], [102]);
  await transport.close();
  await Promise.all([silent.close(), plain.close()]);
});

test("ResumingListener: bytes that only begin as a handshake end the connection", async (t) => {
  const network = new MemoryNetwork();
  t.defer(() => network.close());
  const accepted = watch(network.listener.accept());
  const peer = await network.connect();
  const other = MAGIC.slice();
  other[7] = 2;
  void peer.write(new Uint8Array([...other, 1]));
  assertEquals(await within(peer.read(), "the end"), null);
  assertEquals(accepted.state, "pending");
  await peer.close();
});

test("ResumingListener: a further connection of a session needs the consent of accept", async (t) => {
  // Programs without types may return nothing.
  for (const refusal of [false, undefined, null, 1, "Ann"]) {
    let answer: unknown = true;
    const network = new MemoryNetwork({ allow: () => answer as boolean });
    t.defer(() => network.close());
    const [dialer, listener] = await network.session();
    void network.listener.accept();
    answer = refusal;
    const read = dialer.read();
    const there = listener.read();
    network.lines[0]!.cut();
    const error = await assertRejects(
      () => within(read, "the refusal"),
      ResumeError,
    );
    assertEquals(error.reason, "unknown-session");
    void network.close();
    await assertRejects(() => there, ResumeError);
    await Promise.all([dialer.close(), listener.close()]);
  }
});

test("ResumingListener: sessions without a connection end when it is closed, and others when they lose theirs", async (t) => {
  const network: MemoryNetwork = new MemoryNetwork({
    wait: () => new Promise(() => {}),
    line: () => new Line(network.lines.length < 2 ? Infinity : 0, "close"),
  });
  const [first, firstThere] = await network.session();
  const [second, secondThere] = await network.session();
  t.defer(() => Promise.all([first.close(), second.close()]));
  const reads = [firstThere.read(), secondThere.read()];
  network.lines[0]!.cut();
  await until(() => network.listener.sessions.detached !== 0);
  network.close();
  const error = await assertRejects(() => reads[0]!, ResumeError);
  assertEquals(error.reason, "listener-closed");
  network.lines[1]!.cut();
  await assertRejects(() => reads[1]!, ResumeError);
  assertEquals(network.listener.sessions.size, 0);
  assertEquals(await network.listener.accept(), null);
});

test("ResumingListener: a dialer whose listener ends the connection gets an error", async () => {
  const network = new MemoryNetwork();
  void network.listener.accept().then((accepted) => {
    void accepted!.transport.close();
  });
  const line = network.connect.bind(network);
  network.connect = async () => {
    const transport = await line();
    // The first byte is that of a plain peer.
    const write = transport.write.bind(transport);
    transport.write = (bytes) => {
      const plain = bytes.slice();
      plain[0] = 100;
      return write(plain);
    };
    return transport;
  };
  const dialed = network.dial();
  await assertRejects(() => dialed, Error);
  network.close();
});

/**
 * Accepts connections of a listener that is made by hand.
 *
 * @param ended resolves when there are no more, which closing does as well
 * @param next the next connection; undefined if there is none before the end
 */
function acceptFrom(
  t: Harness,
  ended: PromiseWithResolvers<null>,
  next: () => Transport | undefined,
): void {
  const listener = new ResumingListener({
    addr: "",
    accept() {
      const transport = next();
      return transport === undefined
        ? ended.promise
        : Promise.resolve({ transport, remoteAddr: "" });
    },
    close: () => ended.resolve(null),
  }, {
    store: new SessionStore({}),
    keepAlive: false,
    handshake: { timeout: Infinity, onTimeout() {} },
  });
  t.defer(() => listener.close());
  void listener.accept();
}

test("ResumingListener: connections that are always ready do not keep the event loop from turning", async (t) => {
  let hasTurned = false;
  let accepts = 0;
  void nextTurn().then(() => hasTurned = true);
  const ended = Promise.withResolvers<null>();
  const silent: Transport = {
    read: () => ended.promise,
    write: () => Promise.resolve(),
    closeWrite: () => Promise.resolve(),
    close() {},
  };
  acceptFrom(
    t,
    ended,
    () => hasTurned || ++accepts > 10_000 ? undefined : silent,
  );
  await until(() => hasTurned);
  // From 1,025 on, the oldest of them counts as silent.
  assert(accepts < 1_000, `${accepts} connections in one turn`);
});

test("ResumingListener: a refused peer that sends without end does not keep the event loop from turning", async (t) => {
  let hasTurned = false;
  let reads = 0;
  const ended = Promise.withResolvers<null>();
  const unknown = encodeHelloResume({
    attempt: 1,
    nonce: random(PART.nonce),
    id: random(PART.id),
  });
  const flooding: Transport = {
    // The next bytes are always there.
    read: () =>
      hasTurned || reads > 10_000
        ? ended.promise
        : Promise.resolve(reads++ === 0 ? unknown : new Uint8Array(1)),
    write() {
      void nextTurn().then(() => hasTurned = true);
      return Promise.resolve();
    },
    closeWrite: () => Promise.resolve(),
    close: () => ended.resolve(null),
  };
  const waiting = [flooding];
  acceptFrom(t, ended, () => waiting.pop());
  await until(() => hasTurned);
  assert(reads < 1_000, `${reads} reads in one turn`);
});
