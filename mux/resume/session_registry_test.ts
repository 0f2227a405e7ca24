import { assertEquals, assertRejects } from "@std/assert";
import { Line } from "../../tests/resume/line.ts";
import { MemoryNetwork } from "../../tests/resume/memory_network.ts";
import { test } from "../../tests/support/harness.ts";
import { until, within } from "../../tests/support/within.ts";
import type { Transport } from "../types.ts";
import { ResumeError } from "./errors.ts";
import {
  encodeHelloResume,
  encodeRefused,
  PART,
} from "./handshake/messages.ts";
import { random } from "./handshake/proofs.ts";
import type { ResumableTransport } from "./resumable_transport.ts";

/** The answer of a listener to HELLO_RESUME. */
async function answer(
  network: MemoryNetwork,
  id: Uint8Array,
  attempt: number,
): Promise<number> {
  const peer = await network.connect();
  const hello = encodeHelloResume({ attempt, nonce: random(PART.nonce), id });
  void peer.write(hello);
  const said = (await within(peer.read(), "an answer"))![8]!;
  await peer.close();
  return said;
}

const REFUSED = encodeRefused()[8]!;
const ANSWER_RESUME = 4;

test("SessionRegistry: an unknown session is refused at once", async (t) => {
  const network = new MemoryNetwork();
  t.defer(() => network.close());
  void network.listener.accept();
  assertEquals(await answer(network, random(PART.id), 1), REFUSED);
});

test("SessionRegistry: a restarted listener refuses the sessions of the one before", async (t) => {
  let network = new MemoryNetwork();
  const before = network;
  // The lines after the first lead to the listener that was started again.
  const dialers = before.connect.bind(before);
  before.connect = () => (network === before ? dialers() : network.connect());
  const [dialer, listener] = await before.session();
  network = new MemoryNetwork();
  const after = network;
  t.defer(() => after.close());
  void after.listener.accept();
  const read = dialer.read();
  before.lines[0]!.cut();
  const error = await assertRejects(() => read, ResumeError);
  assertEquals([error.code, error.reason], [
    "connection-lost",
    "unknown-session",
  ]);
  before.close();
  await Promise.all([dialer.close(), listener.close()]);
});

/** The ID of the session that a line has begun. */
function tapId(network: MemoryNetwork): () => Uint8Array {
  let id: Uint8Array | undefined;
  const connect = network.connect.bind(network);
  network.connect = async () => {
    const transport = await connect();
    const read = transport.read.bind(transport);
    transport.read = async () => {
      const chunk = await read();
      id ??= chunk?.slice(45, 61);
      return chunk;
    };
    return transport;
  };
  return () => id!;
}

test("SessionRegistry: an attempt that is not later than the last is refused", async (t) => {
  const network = new MemoryNetwork();
  t.defer(() => network.close());
  const id = tapId(network);
  const [dialer, listener] = await network.session();
  void network.listener.accept();
  const there: number[] = [];
  const read = async (transport: Transport, got: number[]) => {
    for (;;) {
      const chunk = await transport.read();
      if (chunk === null) return;
      got.push(...chunk);
    }
  };
  const reads = [read(dialer, []), read(listener, there)];
  const arrived = async (count: number) => {
    await until(() => there.length >= count);
  };
  network.lines[0]!.cut();
  await dialer.write(new Uint8Array([1]));
  await within(arrived(1), "a byte over the second connection");
  assertEquals(await answer(network, id(), 0), REFUSED);
  assertEquals(await answer(network, id(), 1), REFUSED);
  assertEquals(await answer(network, id(), 2), ANSWER_RESUME);
  // Without a proof, that has changed nothing.
  void dialer.write(new Uint8Array([2]));
  await within(arrived(2), "a byte over the same");
  assertEquals((listener as ResumableTransport).resumed, 1);
  await Promise.all([dialer.close(), listener.close(), ...reads]);
});

test("SessionRegistry: beyond maxDetached the session detached first is given up", async (t) => {
  const network: MemoryNetwork = new MemoryNetwork({
    maxDetached: 2,
    wait: () => new Promise(() => {}),
    line: () => new Line(network.lines.length < 5 ? Infinity : 0, "close"),
  });
  const ends: [Transport, Transport][] = [];
  for (let i = 0; i < 5; i++) ends.push(await network.session());
  const { sessions } = network.listener;
  const reads = ends.map(([, listener]) => listener.read());
  for (const [i, read] of reads.entries()) {
    read.catch(() => {});
    network.lines[i]!.cut();
    await until(() =>
      sessions.detached >= Math.min(2, i + 1) &&
      sessions.size <= 5 - Math.max(0, i - 1)
    );
  }
  for (const read of reads.slice(0, 3)) {
    const error = await assertRejects(() => read, ResumeError);
    assertEquals(error.reason, "too-many");
  }
  assertEquals([sessions.size, sessions.detached], [2, 2]);
  t.defer(() => Promise.all(ends.flat().map((end) => end.close())));
  network.close();
});

test("SessionRegistry: a flood of sessions that are left keeps no more than maxDetached", async (t) => {
  const network = new MemoryNetwork({ maxDetached: 3, timeout: 1e9 });
  t.defer(() => network.close());
  const { sessions } = network.listener;
  const left: Promise<unknown>[] = [];
  for (let i = 0; i < 50; i++) {
    const accepted = network.listener.accept();
    const dialer = await network.dial();
    const { transport } = (await accepted)!;
    left.push(
      transport.read().then(() => transport.close(), () => transport.close()),
    );
    // The attacker leaves without a word, and does not come back.
    network.connect = () => Promise.reject(new Error("the attacker is gone"));
    network.lines.at(-1)!.cut();
    await dialer.close();
    Reflect.deleteProperty(network, "connect");
  }
  await until(() => sessions.detached >= 3);
  assertEquals([sessions.size, sessions.detached], [3, 3]);
  network.close();
  await Promise.all(left);
});
