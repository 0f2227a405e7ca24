import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { turn, within } from "../../../tests/support/within.ts";
import { FakeTime } from "../../../tests/support/fake_time.ts";
import { collectGarbage } from "../../../tests/support/memory.ts";
import { MuxError } from "../../errors.ts";
import { qmux } from "../../session.ts";
import type { Session, Transport } from "../../types.ts";
import { messagePortTransport } from "./message_port.ts";

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
