import { handlerFrom, Peer } from "@qtalk/qtalk";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { testTransport } from "../../../tests/conformance/transport_suite.ts";
import { open, parseFrames, text, utf8 } from "../../../tests/support/wire.ts";
import { turn, until, watch, within } from "../../../tests/support/within.ts";
import { FakeTime } from "../../../tests/support/fake_time.ts";
import { collectGarbage } from "../../../tests/support/memory.ts";
import { MuxError } from "../../errors.ts";
import { qmux } from "../../session.ts";
import type { Session, Transport } from "../../types.ts";
import {
  messagePortTransport,
  type MessageTransportOptions,
  windowTransport,
} from "./message_port.ts";
import { MAX_IN_FLIGHT, MAX_MESSAGE } from "./message_transport.ts";

testTransport("messagePortTransport", () => {
  const { port1, port2 } = new MessageChannel();
  return Promise.resolve({
    a: messagePortTransport(port1),
    b: messagePortTransport(port2),
    close() {
      port1.close();
      port2.close();
    },
  });
});

/** A transport with a scripted peer. */
class Lab implements Disposable {
  readonly transport: Transport;
  /** The port of the transport. */
  readonly near: MessagePort;
  /** The port of the peer. */
  readonly port: MessagePort;
  readonly #heard: Record<string, unknown>[] = [];
  #wake: (() => void) | undefined;

  constructor(options: MessageTransportOptions = {}) {
    const { port1, port2 } = new MessageChannel();
    this.near = port1;
    this.port = port2;
    port2.onmessage = ({ data }) => {
      this.#heard.push(data);
      this.#wake?.();
    };
    this.transport = messagePortTransport(port1, options);
  }

  say(qtalk: string, part: Record<string, unknown> = {}): void {
    this.port.postMessage({ qtalk, ...part });
  }

  async hear(): Promise<Record<string, unknown>> {
    while (this.#heard.length === 0) {
      await within(new Promise<void>((r) => this.#wake = r), "a message");
    }
    return this.#heard.shift()!;
  }

  /** Exchanges greetings. */
  async greet(): Promise<void> {
    const { from } = await this.hear();
    this.say("hello", { from: "test", to: from });
  }

  [Symbol.dispose](): void {
    void this.transport.close();
    this.near.close();
    this.port.close();
  }
}

Deno.test("messagePortTransport: the ends greet each other, whichever starts first", async () => {
  using lab = new Lab();
  const writing = watch(lab.transport.write(utf8("first")));
  const { qtalk, from, to } = await lab.hear();
  assertEquals([qtalk, typeof from, to], ["hello", "string", undefined]);
  await turn();
  assertEquals(writing.state, "pending");
  // The peer starts now, and has not received that greeting.
  lab.say("hello", { from: "test" });
  const hello = { qtalk: "hello", from, to: "test", text: true };
  assertEquals(await lab.hear(), hello);
  const { bytes } = await lab.hear();
  assertEquals(text(bytes as Uint8Array), "first");
  assertEquals(writing.state, "resolved");
  // A repeated greeting has no effect.
  lab.say("hello", { from: "test", to: from });
  lab.say("bytes", { bytes: utf8("answer") });
  assertEquals(text((await lab.transport.read())!), "answer");
});

Deno.test("messagePortTransport: a new peer on the same port ends the transport", async () => {
  using lab = new Lab();
  await lab.greet();
  const reading = lab.transport.read();
  lab.say("hello", { from: "another" });
  await assertRejects(() => reading, Error, "the peer started again");
  assertEquals(await lab.hear(), { qtalk: "gone" });
});

Deno.test("messagePortTransport: ignores a program's own messages on the port", async () => {
  using lab = new Lab();
  await lab.greet();
  const own: unknown[] = [];
  for (const message of ["text", null, 5, { type: "own" }, new Uint8Array(3)]) {
    lab.port.postMessage(message);
    own.push(message);
  }
  lab.say("bytes", { bytes: utf8("ours") });
  assertEquals(text((await lab.transport.read())!), "ours");
});

Deno.test("messagePortTransport: sends the written bytes only, in messages of up to 1 MiB", async () => {
  using lab = new Lab();
  await lab.greet();
  const buffer = new Uint8Array(100).fill(1);
  await lab.transport.write(buffer.subarray(10, 13));
  const { bytes } = await lab.hear() as { bytes: Uint8Array };
  assertEquals([bytes.length, bytes.buffer.byteLength], [3, 3]);
  assertEquals(buffer.length, 100, "the writer keeps the buffer");

  const writing = lab.transport.write(new Uint8Array(2 * MAX_MESSAGE + 5));
  const sizes: number[] = [];
  for (let i = 0; i < 3; i++) {
    const { bytes } = await lab.hear() as { bytes: Uint8Array };
    sizes.push(bytes.length);
    lab.say("taken", { size: bytes.length });
  }
  assertEquals(sizes, [MAX_MESSAGE, MAX_MESSAGE, 5]);
  await writing;
});

Deno.test("messagePortTransport: short messages are strings for a peer that takes them", async () => {
  using lab = new Lab();
  const { from } = await lab.hear();
  lab.say("hello", { from: "test", to: from, text: true });
  const all = Uint8Array.from({ length: 256 }, (_, i) => i);
  const buffer = all.slice();
  await lab.transport.write(buffer.subarray(100, 103));
  await lab.transport.write(buffer);
  buffer.fill(0);
  const short: unknown = await lab.hear();
  assertEquals(short, "\0qtalkdef");
  const longest: unknown = await lab.hear();
  assertEquals(longest, `\0qtalk${String.fromCharCode(...all)}`);
  // A longer one is not.
  await lab.transport.write(new Uint8Array(257));
  assertEquals(await lab.hear(), {
    qtalk: "bytes",
    bytes: new Uint8Array(257),
  });
});

Deno.test("messagePortTransport: reads strings, before and after a read begins", async () => {
  using lab = new Lab();
  await lab.greet();
  const all = Uint8Array.from({ length: 256 }, (_, i) => i);
  const longer = "x".repeat(1_000);
  const message = `\0qtalk${String.fromCharCode(...all)}`;
  lab.port.postMessage(message);
  lab.port.postMessage("\0qtalksecond");
  lab.port.postMessage(`\0qtalk${longer}`);
  lab.port.postMessage("\0qtalk");
  assertEquals(await lab.transport.read(), all);
  assertEquals(text((await lab.transport.read())!), "second");
  assertEquals(text((await lab.transport.read())!), longer);
  assertEquals(await lab.transport.read(), new Uint8Array(0));
  const reading = lab.transport.read();
  lab.port.postMessage(message);
  // What comes meanwhile must not change what was read.
  lab.port.postMessage("\0qtalknext");
  const read = await reading;
  await turn();
  assertEquals(read, all);
  assertEquals(text((await lab.transport.read())!), "next");
});

Deno.test("messagePortTransport: a program's listener that was added later sees none of its strings", async () => {
  using lab = new Lab();
  await lab.greet();
  const own: unknown[] = [];
  lab.near.addEventListener("message", ({ data }) => {
    if (typeof data === "string") own.push(data);
  });
  lab.port.postMessage("\0qtalkours");
  lab.port.postMessage("theirs");
  lab.port.postMessage("\0qtalkdone");
  assertEquals(text((await lab.transport.read())!), "ours");
  assertEquals(text((await lab.transport.read())!), "done");
  assertEquals(own, ["theirs"]);
});

Deno.test("messagePortTransport: strings before the greeting are for an earlier transport", async () => {
  using lab = new Lab();
  const { from } = await lab.hear();
  lab.port.postMessage("\0qtalkold");
  lab.say("hello", { from: "test", to: from });
  lab.port.postMessage("\0qtalknew");
  assertEquals(text((await lab.transport.read())!), "new");
});

for (const takesText of [false, true]) {
  Deno.test(`messagePortTransport: small writes wait when too many are not read${takesText ? ", as strings" : ""}`, async () => {
    using lab = new Lab();
    const { from } = await lab.hear();
    lab.say("hello", { from: "test", to: from, text: takesText });
    let written = 0;
    const writing = watch((async () => {
      for (;;) {
        await lab.transport.write(new Uint8Array(1));
        written++;
      }
    })());
    let last = -1;
    while (written !== last) {
      last = written;
      await turn();
    }
    assertEquals(written, Math.floor(MAX_IN_FLIGHT / 257));
    lab.say("taken", { size: 257 * 100 });
    await until(() => written >= last + 100);
    lab.say("gone");
    await until(() => writing.state !== "pending");
    assertEquals(`${writing.reason}`, "Error: the peer closed the transport");
  });
}

Deno.test("messagePortTransport: a session answers messages that arrived together in one", async () => {
  using lab = new Lab();
  const session = qmux(lab.transport);
  session.accept(() => {});
  await lab.greet();
  await turn();
  for (const bytes of [open(7), open(8)]) {
    const data = { qtalk: "bytes", bytes };
    lab.near.dispatchEvent(new MessageEvent("message", { data }));
  }
  const { bytes } = await lab.hear();
  const answers = parseFrames(bytes as Uint8Array).map(({ type }) => type);
  assertEquals(answers, ["open-confirm", "open-confirm"]);
  await session.close();
});

Deno.test("messagePortTransport: reports what was read in batches", async () => {
  using lab = new Lab();
  await lab.greet();
  const reading = watch((async () => {
    for (;;) if (await lab.transport.read() === null) return;
  })());
  for (let i = 0; i < 300; i++) {
    lab.say("bytes", { bytes: new Uint8Array(1_000) });
  }
  // A quarter of what may be in flight is 209 messages.
  assertEquals(await lab.hear(), { qtalk: "taken", size: 209 * 1_256 });
  lab.say("end");
  await until(() => reading.state !== "pending");
});

const HOSTILE: Record<string, [(lab: Lab) => void, string]> = {
  "a message without bytes": [
    (lab) => lab.say("bytes", { bytes: "text" }),
    "received a message without bytes",
  ],
  "bytes that the peer can still change": [
    (lab) => {
      const bytes = new Uint8Array(new SharedArrayBuffer(8));
      lab.say("bytes", { bytes });
    },
    "received bytes in shared memory",
  ],
  "a string with characters that are no bytes": [
    (lab) => lab.port.postMessage("\0qtalka\u0100"),
    "received a string with characters that are no bytes",
  ],
  "a size that exceeds what was sent": [
    (lab) => lab.say("taken", { size: 1 }),
    "the peer has read more than was sent",
  ],
  "a size that is not a number": [
    (lab) => lab.say("taken", { size: "x" }),
    "the peer has read more than was sent",
  ],
  "a peer that sends without waiting": [
    (lab) => {
      for (let i = 0; i < 3; i++) {
        lab.say("bytes", { bytes: new Uint8Array(MAX_MESSAGE) });
      }
    },
    "received more bytes than the peer may send before they are read",
  ],
};

for (const [what, [say, message]] of Object.entries(HOSTILE)) {
  Deno.test(`messagePortTransport: ${what} is a protocol error`, async () => {
    using lab = new Lab();
    await lab.greet();
    say(lab);
    assertEquals(await lab.hear(), { qtalk: "gone" });
    const error = await assertRejects(
      async () => {
        for (;;) await lab.transport.read();
      },
      MuxError,
      message,
    );
    assertEquals(error.code, "protocol-error");
    await assertRejects(
      () => lab.transport.write(utf8("x")),
      MuxError,
      message,
    );
  });
}

Deno.test("messagePortTransport: close() does not wait for a peer that never starts", async () => {
  using lab = new Lab();
  const writing = assertRejects(() => lab.transport.write(utf8("x")), MuxError);
  const ending = assertRejects(() => lab.transport.closeWrite(), MuxError);
  await lab.transport.close();
  assertEquals((await writing).code, "session-closed");
  await ending;
});

// --- Ports that are used again ------------------------------------------------

/** Two message ports that are closed with their block. */
function channel(): [MessagePort, MessagePort] & Disposable {
  const { port1, port2 } = new MessageChannel();
  return Object.assign([port1, port2] as [MessagePort, MessagePort], {
    [Symbol.dispose]() {
      port1.close();
      port2.close();
    },
  });
}

/** Opens a channel from one session to another. */
async function exercise(a: Session, b: Session): Promise<void> {
  b.accept((channel) => channel.close());
  const channel = await within(a.open(), "a channel");
  await channel.close();
  await channel.closed;
}

const CLOSINGS: Record<string, (a: Session, b: Session) => unknown> = {
  "one end": (a) => a.close(),
  "both ends": (a, b) => Promise.all([a.close(), b.close()]),
  "the other end": (_, b) => b.close(),
};

for (const [who, close] of Object.entries(CLOSINGS)) {
  Deno.test(`messagePortTransport: a new session over the same port works when ${who} closed the last`, async () => {
    using ports = channel();
    const [port1, port2] = ports;
    for (let i = 0; i < 3; i++) {
      const a = qmux(messagePortTransport(port1));
      const b = qmux(messagePortTransport(port2));
      await exercise(a, b);
      await close(a, b);
      assertEquals(await Promise.all([a.closed, b.closed]), [
        undefined,
        undefined,
      ]);
    }
  });
}

Deno.test("messagePortTransport: a new session over the same port may start before the other end's", async () => {
  using ports = channel();
  const [port1, port2] = ports;
  let b = qmux(messagePortTransport(port2));
  for (let i = 0; i < 3; i++) {
    const a = qmux(messagePortTransport(port1));
    await exercise(a, b);
    await a.close();
    const next = qmux(messagePortTransport(port1));
    const opening = next.open();
    await b.closed;
    b = qmux(messagePortTransport(port2));
    b.accept((channel) => channel.close());
    assert((await within(opening, "a channel")).id >= 0);
    await next.close();
    await b.closed;
    b = qmux(messagePortTransport(port2));
  }
  await b.close();
});

/**
 * A port on a runtime that keeps the listeners of signals which have aborted, as
 * Node does after a garbage collection (nodejs/node#63954).
 */
class ForgetfulPort extends EventTarget {
  /** The listeners by the type of their events. */
  readonly listeners = new Map<string, number>();
  readonly sent: unknown[] = [];

  override addEventListener(
    type: string,
    listener: EventListener,
    _options?: AddEventListenerOptions,
  ): void {
    this.listeners.set(type, (this.listeners.get(type) ?? 0) + 1);
    super.addEventListener(type, listener);
  }

  override removeEventListener(type: string, listener: EventListener): void {
    this.listeners.set(type, this.listeners.get(type)! - 1);
    super.removeEventListener(type, listener);
  }

  postMessage(message: unknown): void {
    this.sent.push(message);
  }

  terminate(): void {}

  say(data: Record<string, unknown>): void {
    this.dispatchEvent(new MessageEvent("message", { data }));
  }

  /** How many listeners there are. */
  get count(): number {
    return [...this.listeners.values()].reduce((sum, of) => sum + of, 0);
  }
}

const ENDINGS: Record<
  string,
  (transport: Transport, port: ForgetfulPort) => unknown
> = {
  "is closed": (transport) => transport.close(),
  "is closed by the peer": (_, port) => port.say({ qtalk: "gone" }),
  "gets what breaks the rules": (_, port) => port.say({ qtalk: "bytes" }),
  "meets another peer": (_, port) => port.say({ qtalk: "hello", from: "else" }),
  "loses the port": (_, port) => port.dispatchEvent(new Event("close")),
  "cannot read a message": (_, port) =>
    port.dispatchEvent(new Event("messageerror")),
  "sees the worker fail": (_, port) => port.dispatchEvent(new Event("error")),
  "sees the worker ended": (_, port) => port.terminate(),
};

for (const [how, end] of Object.entries(ENDINGS)) {
  Deno.test(`messagePortTransport: one that ${how} takes its listeners from the port itself`, async () => {
    const port = new ForgetfulPort();
    const transport = messagePortTransport(port);
    port.say({ qtalk: "hello", from: "peer" });
    assert(port.count > 0, "it listens");
    const reading = transport.read().catch(() => null);
    await end(transport, port);
    assertEquals(await reading, null);
    assertEquals(port.count, 0, JSON.stringify([...port.listeners]));
    // Nothing keeps the port from another transport.
    const next = messagePortTransport(port);
    await next.close();
    assertEquals(port.count, 0);
  });
}

Deno.test("messagePortTransport: one that no peer has met in time takes its listeners from the port itself", async () => {
  using time = new FakeTime();
  const port = new ForgetfulPort();
  const transport = messagePortTransport(port, { greetingTimeout: 5 });
  const reading = assertRejects(() => transport.read(), MuxError);
  time.tick(5);
  await reading;
  assertEquals(port.count, 0);
});

Deno.test("messagePortTransport: a new session works after garbage was collected during the last", async () => {
  using ports = channel();
  const [port1, port2] = ports;
  for (let i = 0; i < 3; i++) {
    const a = qmux(messagePortTransport(port1));
    const b = qmux(messagePortTransport(port2));
    await exercise(a, b);
    collectGarbage();
    await turn();
    collectGarbage();
    await a.close();
    // A session that was still there would take the port.
    assertEquals(await within(b.closed, "the other end"), undefined);
  }
});

Deno.test("messagePortTransport: two at once are an error, and the first goes on", async () => {
  using ports = channel();
  const [port1, port2] = ports;
  const a = qmux(messagePortTransport(port1));
  // Even before the other end has started.
  for (let i = 0; i < 2; i++) {
    const error = assertThrows(
      () => messagePortTransport(port1),
      MuxError,
      "Cannot connect over message port: a session uses it already",
    );
    assertEquals(error.code, "invalid-state");
  }
  const b = qmux(messagePortTransport(port2));
  assertThrows(() => messagePortTransport(port2), MuxError);
  await exercise(a, b);
  await a.close();
  await b.closed;
});

Deno.test("messagePortTransport: a greeting for an earlier transport is answered, and its sender is not the peer", async () => {
  using lab = new Lab();
  const { from } = await lab.hear();
  lab.say("hello", { from: "old", to: "earlier" });
  const hello = { qtalk: "hello", from, to: undefined, text: true };
  assertEquals(await lab.hear(), hello);
  lab.say("bytes", { bytes: utf8("old") });
  lab.say("gone");
  lab.say("hello", { from: "new", to: from });
  lab.say("bytes", { bytes: utf8("new") });
  assertEquals(text((await lab.transport.read())!), "new");
});

Deno.test("messagePortTransport: the other end has greetingTimeout to start", async () => {
  using time = new FakeTime();
  for (const greetingTimeout of [undefined, 500]) {
    using lab = new Lab({ greetingTimeout });
    const reading = watch(lab.transport.read());
    const writing = watch(lab.transport.write(utf8("x")));
    const limit = greetingTimeout ?? 30_000;
    time.tick(limit - 1);
    await turn();
    assertEquals([reading.state, writing.state], ["pending", "pending"]);
    time.tick(1);
    await turn();
    for (const { reason } of [reading, writing]) {
      assert(reason instanceof MuxError, String(reason));
      assertEquals([reason.code, reason.message], [
        "timeout",
        `Cannot connect over message port: no peer has started at the other end within ${limit} ms`,
      ]);
    }
  }
  // Once it has started, nothing limits its silence.
  using lab = new Lab();
  await lab.greet();
  const reading = watch(lab.transport.read());
  await turn();
  assertEquals(time.waiting, 0);
  time.tick(60_000);
  assertEquals(reading.state, "pending");
});

Deno.test("messagePortTransport: a session over a port that is closed ends when the greeting takes too long", async () => {
  for (const which of [0, 1]) {
    using ports = channel();
    ports[which]!.close();
    const session = qmux(
      messagePortTransport(ports[0], { greetingTimeout: 10 }),
    );
    await assertRejects(() => session.open(), MuxError, "within 10 ms");
    await assertRejects(() => session.closed, MuxError, "within 10 ms");
  }
});

Deno.test("messagePortTransport: a session over a port that an earlier one has seen end ends at once", async () => {
  const closings: Record<string, (port: MessagePort, a: Session) => unknown> = {
    "during the session": (port) => port.close(),
    "after the session": async (port, a) => {
      await a.close();
      port.close();
    },
    "after two sessions": async (port, a) => {
      await a.close();
      await qmux(messagePortTransport(port)).close();
      port.close();
    },
  };
  for (const [when, close] of Object.entries(closings)) {
    using ports = channel();
    const [port1, port2] = ports;
    const original = port1.close;
    const a = qmux(messagePortTransport(port1));
    const b = qmux(messagePortTransport(port2));
    await exercise(a, b);
    await close(port1, a);
    await within(b.closed, "the other end");
    assertEquals(port1.close, original, "the port's own method is back");
    const next = qmux(messagePortTransport(port1));
    const opening = assertRejects(() => next.open(), MuxError);
    const error = await assertRejects(() => next.closed, MuxError);
    assertEquals([error.code, error.message], [
      "connection-lost",
      "Cannot connect over message port: no peer is at the other end, because the port was closed",
    ], when);
    await opening;
  }
});

Deno.test("messagePortTransport: closing the port before the other end has started ends the session at once", async () => {
  using ports = channel();
  const session = qmux(messagePortTransport(ports[0]));
  ports[0].close();
  await assertRejects(() => session.closed, MuxError, "the port was closed");
});

Deno.test("messagePortTransport: a port that the runtime refuses to transfer is closed", async () => {
  using ports = channel();
  ports[0].close();
  const { structuredClone } = globalThis;
  // As in Node.
  globalThis.structuredClone = (_value, options) => {
    assertEquals(options?.transfer, [ports[0]]);
    throw new DOMException(
      "MessagePort in transfer list is already detached",
      "DataCloneError",
    );
  };
  try {
    const session = qmux(messagePortTransport(ports[0]));
    await assertRejects(() => session.closed, MuxError, "the port was closed");
  } finally {
    globalThis.structuredClone = structuredClone;
  }
});

Deno.test("messagePortTransport: greetingTimeout out of range throws an error that names it", () => {
  using ports = channel();
  for (const greetingTimeout of [-1, NaN, "5" as unknown as number]) {
    assertThrows(
      () => messagePortTransport(ports[0], { greetingTimeout }),
      RangeError,
      'Cannot use option "greetingTimeout"',
    );
  }
  // A transport that was not made does not use the port.
  void messagePortTransport(ports[0]).close();
});

Deno.test("messagePortTransport: closing the port ends the sessions of both ends", async () => {
  using ports = channel();
  const [port1, port2] = ports;
  const { close } = port1;
  const a = qmux(messagePortTransport(port1));
  const b = qmux(messagePortTransport(port2));
  await exercise(a, b);
  const opening = assertRejects(() => a.open(), MuxError);
  port1.close();
  const error = await assertRejects(() => a.closed, MuxError);
  assertEquals(error.code, "connection-lost");
  assertEquals((error.cause as Error).message, "the port was closed");
  await opening;
  await within(b.closed, "the other end");
  assertEquals(port1.close, close, "the port's own method is back");
});

// --- Workers -----------------------------------------------------------------

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

// --- Windows -----------------------------------------------------------------

/** A window that receives the messages of one other, as in a browser. */
class FakeWindow extends EventTarget {
  readonly origin: string;
  /** The window that sends to this one. */
  other!: FakeWindow;

  constructor(origin: string) {
    super();
    this.origin = origin;
  }

  postMessage(data: unknown, target: string, transfer: Transferable[]): void {
    const copy = structuredClone(data, { transfer });
    // A browser only logs that.
    if (target !== this.origin) return;
    queueMicrotask(() => this.hear(copy, this.other, this.other.origin));
  }

  hear(data: unknown, source: FakeWindow, origin: string): void {
    const event = new MessageEvent("message", { data, origin });
    Object.defineProperty(event, "source", { value: source });
    this.dispatchEvent(event);
  }

  static pair(): [FakeWindow, FakeWindow] {
    const page = new FakeWindow("https://page.example");
    const frame = new FakeWindow("https://frame.example:8443");
    page.other = frame;
    frame.other = page;
    return [page, frame];
  }
}

testTransport("windowTransport", () => {
  const [page, frame] = FakeWindow.pair();
  return Promise.resolve({
    a: windowTransport(frame, frame.origin, page),
    b: windowTransport(page, page.origin, frame),
    close() {},
  });
});

Deno.test('windowTransport: the target must be an origin, and not "*"', () => {
  const [target] = FakeWindow.pair();
  for (
    const origin of ["*", "/", "null", "", "a.example", "https://a.example/"]
  ) {
    assertThrows(
      () => windowTransport(target, origin),
      TypeError,
      "is not an origin such as",
    );
  }
});

Deno.test("windowTransport: waits for a frame that loads later", async () => {
  const [page, frame] = FakeWindow.pair();
  const near = windowTransport(frame, frame.origin, page);
  const writing = near.write(utf8("are you there?"));
  for (let i = 0; i < 5; i++) await turn();
  const far = windowTransport(page, page.origin, frame);
  assertEquals(text((await far.read())!), "are you there?");
  await writing;
  await near.close();
  await far.close();
});

Deno.test("windowTransport: ignores messages of other windows and other origins", async () => {
  const [page, frame] = FakeWindow.pair();
  const near = windowTransport(frame, frame.origin, page);
  const far = windowTransport(page, page.origin, frame);
  await near.write(utf8("hello"));
  const evil = new FakeWindow("https://evil.example");
  page.hear({ qtalk: "bytes", bytes: utf8("forged") }, evil, frame.origin);
  page.hear({ qtalk: "gone" }, frame, evil.origin);
  page.hear({ qtalk: "hello", from: "evil" }, evil, evil.origin);
  await far.write(utf8("genuine"));
  assertEquals(text((await near.read())!), "genuine");
  await near.close();
  await far.close();
});

Deno.test("windowTransport: sends nothing to a document of another origin", async () => {
  const [page, frame] = FakeWindow.pair();
  const near = windowTransport(frame, "https://another.example", page);
  let heard = 0;
  frame.addEventListener("message", () => heard++);
  const writing = watch(near.write(utf8("secret")));
  for (let i = 0; i < 5; i++) await turn();
  assertEquals([heard, writing.state], [0, "pending"]);
  await near.close();
});

Deno.test("windowTransport: ends when the window loads another document", async () => {
  const [page, frame] = FakeWindow.pair();
  const near = windowTransport(frame, frame.origin, page);
  const first = windowTransport(page, page.origin, frame);
  await near.write(utf8("hello"));
  assertEquals(text((await first.read())!), "hello");
  const reading = near.read();
  const second = windowTransport(page, page.origin, frame);
  await assertRejects(() => reading, Error, "the peer started again");
  await first.close();
  await second.close();
});

Deno.test("messagePortTransport: what is not a port is refused at once", () => {
  for (const wrong of [null, undefined, {}, new EventTarget()]) {
    assertThrows(
      () => messagePortTransport(wrong as unknown as MessagePort),
      TypeError,
      "it is not a port or a worker",
    );
  }
});
