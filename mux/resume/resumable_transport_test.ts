import { assert, assertEquals, assertRejects } from "@std/assert";
import { CUTS, Line } from "../../tests/resume/line.ts";
import { MemoryNetwork } from "../../tests/resume/memory_network.ts";
import { test } from "../../tests/support/harness.ts";
import { collectGarbage } from "../../tests/support/memory.ts";
import { turn, until, watch, within } from "../../tests/support/within.ts";
import { MuxError } from "../errors.ts";
import { MemoryAccount } from "../flow/memory_account.ts";
import { memoryTransports } from "../transport/memory.ts";
import type { Transport } from "../types.ts";
import { ResumeError } from "./errors.ts";
import { Incoming } from "./handshake/incoming.ts";
import { DATA_HEADER, encodeAck, RECORD } from "./records.ts";
import { ResumableTransport } from "./resumable_transport.ts";
import type { ResumeState } from "./types.ts";

const encoder = new TextEncoder();

function bytes(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Reads so much text. */
async function text(transport: Transport, length: number): Promise<string> {
  let got = "";
  while (got.length < length) {
    const chunk = await within(transport.read(), `${length} bytes`);
    if (chunk === null) return `${got}, and the end`;
    got += new TextDecoder().decode(chunk);
  }
  return got;
}

/** Reads all the time, and says what has arrived. */
function reading(transport: Transport): { got: string; end: Promise<unknown> } {
  const state = { got: "", end: Promise.resolve() as Promise<unknown> };
  state.end = (async () => {
    for (;;) {
      const chunk = await transport.read();
      if (chunk === null) return;
      state.got += new TextDecoder().decode(chunk);
    }
  })();
  state.end.catch(() => {});
  return state;
}

/** A transport that does not wait for another connection by itself. */
const NEVER = () => new Promise<void>(() => {});

/** Keeps a dialer from making further connections. */
function isolated(onState?: (state: ResumeState) => void): MemoryNetwork {
  let lines = 0;
  return new MemoryNetwork({
    onState,
    wait: NEVER,
    line: () => new Line(lines++ === 0 ? Infinity : 0, "close"),
    timeout: 5_000,
  });
}

for (const cut of CUTS) {
  test(`ResumableTransport: what was not acknowledged is sent again after a cut by ${cut}`, async (t) => {
    let lines = 0;
    const network = new MemoryNetwork({
      keepAlive: { interval: 20, timeout: 20 },
      attemptTimeout: 1_000,
      line: () => new Line(lines++ === 0 ? 400 : Infinity, cut),
    });
    t.defer(() => network.close());
    const [dialer, listener] = await network.session();
    void network.listener.accept();
    const there = reading(listener);
    const back = reading(dialer);
    const long = "long ".repeat(200);
    void dialer.write(bytes(long)).then(() => dialer.write(bytes("after")));
    void listener.write(bytes("answer"));
    const done = () => there.got === `${long}after` && back.got === "answer";
    await until(done, "everything has arrived once");
    assertEquals(there.got.length + back.got.length, long.length + 11);
    await Promise.all([dialer.close(), listener.close()]);
  });
}

test("ResumableTransport: what has arrived twice is delivered once", async (t) => {
  const network = new MemoryNetwork();
  t.defer(() => network.close());
  const [dialer, listener] = await network.session();
  void network.listener.accept();
  const there = reading(listener);
  reading(dialer);
  await dialer.write(bytes("one"));
  await until(() => there.got === "one", "it has arrived");
  // The dialer does not know that, as nothing was acknowledged.
  network.lines[0]!.cut();
  await dialer.write(bytes("two"));
  await until(() => there.got.endsWith("two"), "the next has arrived");
  assertEquals(there.got, "onetwo");
  await Promise.all([dialer.close(), listener.close()]);
});

test("ResumableTransport: nothing is taken from the connection while it is paused", async (t) => {
  const network = isolated();
  t.defer(() => network.close());
  const [dialer, listener] = await network.session();
  void network.listener.accept();
  const there = reading(listener);
  const back = reading(dialer);
  await listener.write(bytes("one"));
  await until(() => back.got === "one", "it has arrived");
  const session = dialer as ResumableTransport;
  session.pause();
  const { received } = session;
  void listener.write(bytes("two"));
  // This side goes on to send.
  await dialer.write(bytes("there"));
  await until(() => there.got === "there", "the other direction goes on");
  for (let i = 0; i < 5; i++) await turn();
  assertEquals([back.got, session.received], ["one", received]);
  session.unpause();
  await until(() => back.got === "onetwo", "it goes on");
  session.pause();
  await Promise.all([dialer.close(), listener.close()]);
  await back.end;
});

test("ResumableTransport: an old connection is closed when a new one comes", async (t) => {
  // The listener does not see the cut, and does not watch the silence.
  let lines = 0;
  const network = new MemoryNetwork({
    keepAlive: false,
    line: () => new Line(Infinity, lines++ === 0 ? "half-open" : "close"),
  });
  t.defer(() => network.close());
  const [dialer, listener] = await network.session();
  void network.listener.accept();
  const there = reading(listener);
  const back = reading(dialer);
  network.lines[0]!.cut();
  await dialer.write(bytes("over the second"));
  await until(() => there.got === "over the second", "it has arrived");
  await listener.write(bytes("back"));
  await until(() => back.got === "back", "the answer has arrived");
  assertEquals((listener as ResumableTransport).resumed, 1);
  await Promise.all([dialer.close(), listener.close()]);
});

test("ResumableTransport: a silent connection is given up, and not the session", async (t) => {
  const states: ResumeState[] = [];
  let lines = 0;
  const network = new MemoryNetwork({
    keepAlive: { interval: 20, timeout: 20 },
    onState: (state) => states.push(state),
    line: () => new Line(Infinity, lines++ === 0 ? "silence" : "close"),
  });
  t.defer(() => network.close());
  const [dialer, listener] = await network.session();
  void network.listener.accept();
  const there = reading(listener);
  reading(dialer);
  network.lines[0]!.cut();
  void dialer.write(bytes("hello"));
  await until(() => there.got === "hello", "it has arrived");
  const [, detached, connected] = states;
  assertEquals([detached!.name, connected!.name], ["detached", "connected"]);
  const { error } = detached as { error: MuxError };
  assert(error.message.includes("although the peer was pinged"), error.message);
  await Promise.all([dialer.close(), listener.close()]);
  assertEquals(states.at(-1), { name: "closed" });
});

test("ResumableTransport: a silent connection whose other end answers PING is kept", async (t) => {
  const time = t.time();
  const states: string[] = [];
  const network = new MemoryNetwork({
    keepAlive: { interval: 5_000, timeout: 5_000 },
    onState: ({ name }) => states.push(name),
  });
  t.defer(() => network.close());
  const [dialer, listener] = await network.session();
  reading(listener);
  reading(dialer);
  for (let i = 0; i < 30; i++) {
    time.tick(1_000);
    for (let j = 0; j < 2; j++) await turn();
  }
  assertEquals(states, ["connected"]);
  await Promise.all([dialer.close(), listener.close()]);
});

test("ResumableTransport: a write waits while maxUnacknowledged bytes are kept", async (t) => {
  const network = isolated();
  t.defer(() => network.close());
  const [dialer, listener] = await network.session();
  network.lines[0]!.cut();
  const reads = watch(dialer.read());
  const first = new Uint8Array(1_000_000);
  await within(dialer.write(first), "what there is room for");
  const second = watch(dialer.write(first));
  for (let i = 0; i < 20; i++) await turn();
  assertEquals([reads.state, second.state], ["pending", "pending"]);
  await Promise.all([dialer.close(), listener.close()]);
  assertEquals(second.state, "resolved", "closing ends the wait");
});

test("ResumableTransport: a session is given up after its timeout", async (t) => {
  const time = t.time();
  const states: ResumeState[] = [];
  const network = isolated((state) => states.push(state));
  t.defer(() => network.close());
  const [dialer, listener] = await network.session();
  const account = new MemoryAccount(2 ** 25);
  (dialer as ResumableTransport).useAccount(account);
  const read = dialer.read();
  const there = listener.read();
  network.lines[0]!.cut();
  await dialer.write(new Uint8Array(500_000));
  assert(account.held > 0);
  const write = dialer.write(new Uint8Array(1_000_000));
  time.tick(4_999);
  await turn();
  assertEquals(states.map(({ name }) => name), ["connected", "detached"]);
  time.tick(1);
  const error = await assertRejects(() => read, ResumeError);
  assertEquals([error.code, error.reason], ["connection-lost", "timeout"]);
  assertEquals(
    error.message,
    "Connection is lost: the session was not resumed within 5000 ms " +
      '(option "resume.timeout")',
  );
  await assertRejects(() => write, ResumeError);
  await assertRejects(() => there, ResumeError);
  await assertRejects(() => dialer.write(bytes("more")), ResumeError);
  assertEquals(account.held, 0, "its memory is given back");
  assertEquals(states.at(-1), { name: "closed", error });
  await Promise.all([dialer.close(), listener.close()]);
});

test("ResumableTransport: END is sent again like bytes", async (t) => {
  let lines = 0;
  const network = new MemoryNetwork({
    line: () => new Line(lines++ === 0 ? 330 : Infinity, "reset"),
  });
  t.defer(() => network.close());
  const [dialer, listener] = await network.session();
  void network.listener.accept();
  reading(dialer);
  void dialer.write(bytes("the last words of the dialer"));
  await dialer.closeWrite();
  assertEquals(
    await text(listener, 99),
    "the last words of the dialer, and the end",
  );
  await Promise.all([dialer.close(), listener.close()]);
});

test("ResumableTransport: CLOSE ends the stream of the other end", async (t) => {
  const network = new MemoryNetwork();
  t.defer(() => network.close());
  const [dialer, listener] = await network.session();
  const end = text(listener, 1);
  await Promise.all([dialer.close(), end.then(() => listener.close())]);
  assertEquals(await end, ", and the end");
  await assertRejects(() => listener.write(bytes("late")), TypeError);
  assertEquals(network.listener.sessions.size, 0);
});

test("ResumableTransport: an acknowledgement of what was not sent ends the session", async (t) => {
  const network = new MemoryNetwork();
  t.defer(() => network.close());
  const [dialer, listener] = await network.session();
  const read = dialer.read();
  // Past the session, whose own records would be right.
  void network.lines[0]!.listener.write(encodeAck(RECORD.ack, 1));
  const error = await assertRejects(() => read, MuxError);
  assertEquals(error.code, "protocol-error");
  await Promise.all([dialer.close(), listener.close()]);
});

/** A session over one connection, whose other end a test plays. */
function sessionOver(line: Transport): ResumableTransport {
  return new ResumableTransport({
    limits: { timeout: 60_000, maxUnacknowledged: 1_000 },
    peerLimit: 1_000,
    keepAlive: false,
    events: {},
  }, {
    incoming: new Incoming(line),
    peerReceived: 0,
    stated: 0,
    writing: Promise.resolve(),
  });
}

/** Records of the other end, in one chunk. */
const AFTER_THE_END = {
  "DATA after END": [RECORD.end, ...dataRecord("late")],
  "END after END": [RECORD.end, RECORD.end],
  "DATA after CLOSE": [RECORD.close, ...dataRecord("late")],
};

function dataRecord(payload: string): number[] {
  const header = new Uint8Array(DATA_HEADER);
  header[0] = RECORD.data;
  header[4] = payload.length;
  return [...header, ...bytes(payload)];
}

for (const [what, records] of Object.entries(AFTER_THE_END)) {
  test(`ResumableTransport: ${what} ends the session, and brings nothing`, async (t) => {
    const [line, other] = memoryTransports();
    const session = sessionOver(line);
    t.defer(() => session.close());
    void other.write(new Uint8Array(records));
    const error = await assertRejects(() => session.read(), MuxError);
    assertEquals(error.code, "protocol-error");
  });
}

test("ResumableTransport: another end that wants what it has acknowledged before ends the session", async (t) => {
  const [first, firstOther] = memoryTransports();
  const session = sessionOver(first);
  t.defer(() => session.close());
  session.write(bytes("all")).catch(() => {}); // It fails with the session.
  const read = session.read();
  void firstOther.write(encodeAck(RECORD.ack, 3));
  await until(() => session.passed === 3);
  const [second] = memoryTransports();
  session.attach({
    incoming: new Incoming(second),
    peerReceived: 2,
    stated: 0,
    writing: Promise.resolve(),
  });
  const error = await assertRejects(() => read, MuxError);
  assertEquals(error.code, "protocol-error");
});

for (const type of ["ack", "ping", "pong"] as const) {
  test(`ResumableTransport: a read keeps nothing of the ${type.toUpperCase()} records that it has passed`, async () => {
    const passed: WeakRef<object>[] = [];
    const isOver = Promise.withResolvers<void>();
    const broken = Promise.withResolvers<null>();
    const line: Transport = {
      read() {
        if (passed.length === 1_000) {
          isOver.resolve();
          return broken.promise;
        }
        // Is alive as long as what waits for this read is.
        const chunk = Promise.resolve(encodeAck(RECORD[type], 0));
        passed.push(new WeakRef(chunk));
        const next = chunk.then.bind(chunk);
        chunk.then = (...args) => Object.assign(next(...args), { chunk });
        return chunk;
      },
      write: () => Promise.resolve(),
      closeWrite: () => Promise.resolve(),
      close: () => broken.resolve(null),
    };
    const session = sessionOver(line);
    const read = session.read();
    await within(isOver.promise, "all records to be read");
    await turn();
    collectGarbage();
    const kept = passed.filter((chunk) => chunk.deref() !== undefined).length;
    assert(kept < 100, `the read keeps ${kept} of 1,000`);
    await session.close();
    assertEquals(await read, null);
  });
}

const FLOODS: Record<string, () => Uint8Array> = {
  ACK: () => encodeAck(RECORD.ack, 0),
  PING: () => encodeAck(RECORD.ping, 0),
  "DATA of one byte": () =>
    new Uint8Array(DATA_HEADER + 1).fill(1, 0, 1).fill(1, 4, 5),
};

for (const [what, record] of Object.entries(FLOODS)) {
  test(`ResumableTransport: a flood of ${what} does not keep the event loop from turning`, async () => {
    const broken = Promise.withResolvers<null>();
    let hasTurned = false;
    let reads = 0;
    setTimeout(() => hasTurned = true, 0);
    const line: Transport = {
      // The next record is always there.
      read: () =>
        hasTurned || reads++ > 100_000
          ? broken.promise
          : Promise.resolve(record()),
      write: () => Promise.resolve(),
      closeWrite: () => Promise.resolve(),
      close: () => broken.resolve(null),
    };
    const session = sessionOver(line);
    const { end } = reading(session);
    await until(() => hasTurned);
    assert(reads < 100_000, `${reads} reads in one turn`);
    await session.close();
    await end;
  });
}

test("ResumableTransport: a small write ends when its bytes are kept, and the next one waits for the connection", async () => {
  const writes: { bytes: number[]; end: () => void }[] = [];
  const broken = Promise.withResolvers<null>();
  const line: Transport = {
    read: () => broken.promise,
    write(bytes) {
      const { promise, resolve } = Promise.withResolvers<void>();
      writes.push({ bytes: [...bytes], end: resolve });
      return promise;
    },
    closeWrite: () => Promise.resolve(),
    close: () => broken.resolve(null),
  };
  const session = sessionOver(line);
  await turn();
  const message = new Uint8Array([1, 2, 3]);
  await within(session.write(message), "the first write");
  message.fill(9);
  assertEquals(writes.map(({ bytes }) => bytes.slice(13)), [[1, 2, 3]]);
  const second = watch(session.write(bytes("second")));
  await turn();
  assertEquals([second.state, writes.length], ["pending", 1]);
  writes[0]!.end();
  await turn();
  assertEquals([second.state, writes.length], ["pending", 2]);
  writes[1]!.end();
  await turn();
  assertEquals(second.state, "resolved");
  session.fail(new Error("the end of the test"));
  await assertRejects(() => session.write(message), Error, "the end of");
});
