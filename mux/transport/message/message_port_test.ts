import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { testTransport } from "../../../tests/conformance/transport_suite.ts";
import { open, parseFrames, text, utf8 } from "../../../tests/support/wire.ts";
import { turn, until, watch, within } from "../../../tests/support/within.ts";
import { FakeTime } from "../../../tests/support/fake_time.ts";
import { MuxError } from "../../errors.ts";
import { qmux } from "../../session.ts";
import type { Transport } from "../../types.ts";
import type { GatheringTransport } from "../types.ts";
import {
  messagePortTransport,
  type MessageTransportOptions,
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

for (const [processors, size] of [[1, 16 * 1024], [2, 4 * 1024]] as const) {
  Deno.test(`messagePortTransport: with ${processors} processors, small frames leave together up to ${size / 1024} KiB`, () => {
    const name = "hardwareConcurrency";
    const own = Object.getOwnPropertyDescriptor(navigator, name);
    const simulated = { value: processors, configurable: true };
    Object.defineProperty(navigator, name, simulated);
    try {
      using lab = new Lab();
      const { earlyWrite } = lab.transport as Partial<GatheringTransport>;
      assertEquals(earlyWrite, size);
    } finally {
      if (own === undefined) Reflect.deleteProperty(navigator, name);
      else Object.defineProperty(navigator, name, own);
    }
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

Deno.test("messagePortTransport: what is not a port is refused at once", () => {
  for (const wrong of [null, undefined, {}, new EventTarget()]) {
    assertThrows(
      () => messagePortTransport(wrong as unknown as MessagePort),
      TypeError,
      "it is not a port or a worker",
    );
  }
});
