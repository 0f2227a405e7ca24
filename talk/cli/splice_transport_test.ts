import {
  type Channel,
  memoryTransports,
  qmux,
  type Session,
} from "@qtalk/qtalk/mux";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { turn, until, watch, within } from "../../tests/support/within.ts";
import type { Transport } from "../../mux/types.ts";
import { spliceTransport } from "./splice_transport.ts";

const utf8 = new TextEncoder();

/** A transport that the test drives. */
class ScriptedTransport implements Transport {
  readonly written: string[] = [];
  readonly #reads: PromiseWithResolvers<Uint8Array | null>[] = [];
  #asked = 0;
  ended = false;
  closed = false;
  /** The error of writing. */
  broken: Error | undefined;

  read(): Promise<Uint8Array | null> {
    return this.#slot(this.#asked++).promise;
  }

  /** Settles the next read: with bytes, their end, or an error. */
  give(what: string | null | Error): void {
    const slot = this.#slot(this.#given++);
    if (what instanceof Error) slot.reject(what);
    else slot.resolve(what === null ? null : utf8.encode(what));
  }
  #given = 0;

  write(bytes: Uint8Array): Promise<void> {
    if (this.broken !== undefined) return Promise.reject(this.broken);
    this.written.push(new TextDecoder().decode(bytes));
    return Promise.resolve();
  }

  closeWrite(): Promise<void> {
    this.ended = true;
    return Promise.resolve();
  }

  close(): void {
    this.closed = true;
    for (const slot of this.#reads) slot.resolve(null);
  }

  #slot(index: number): PromiseWithResolvers<Uint8Array | null> {
    const slot = this.#reads[index] ??= Promise.withResolvers();
    slot.promise.catch(() => {});
    return slot;
  }
}

/** Splices a transport and a channel; `far` is the channel's other end. */
async function spliced(
  use: (
    transport: ScriptedTransport,
    far: Channel,
    splicing: Promise<void>,
    session: Session,
  ) => Promise<void>,
): Promise<void> {
  const [left, right] = memoryTransports();
  await using near = qmux(left);
  await using session = qmux(right);
  const accepted = session[Symbol.asyncIterator]().next();
  const channel = await near.open();
  const { value: far } = await accepted;
  const transport = new ScriptedTransport();
  const splicing = spliceTransport(transport, channel);
  splicing.catch(() => {});
  await within(use(transport, far!, splicing, session), "the case");
  assert(transport.closed, "the transport is not closed");
}

Deno.test("spliceTransport(): each direction ends separately", () =>
  spliced(async (transport, far, splicing) => {
    transport.give("to the channel");
    transport.give(null);
    const text = new Response(far.readable).text();
    assertEquals(await text, "to the channel");
    const state = watch(splicing);
    await turn();
    assertEquals(state.state, "pending");
    await new Blob(["to the transport"]).stream().pipeTo(far.writable);
    await splicing;
    assertEquals(transport.written.join(""), "to the transport");
    assert(transport.ended);
    await far.closed;
  }));

Deno.test("spliceTransport(): the transport is still read after the channel's EOF", () =>
  spliced(async (transport, far, splicing) => {
    await far.writable.close();
    await until(() => transport.ended);
    transport.give("still here");
    transport.give(null);
    assertEquals(await new Response(far.readable).text(), "still here");
    await splicing;
  }));

Deno.test("spliceTransport(): it ends when the channel is closed, even if the transport is silent", () =>
  spliced(async (transport, far, splicing) => {
    const writer = far.writable.getWriter();
    await writer.write(utf8.encode("bye"));
    await far.close();
    await splicing;
    assertEquals(transport.written.join(""), "bye");
  }));

Deno.test("spliceTransport(): a channel that is closed while bytes are sent is no error", () =>
  spliced(async (transport, far, splicing) => {
    transport.give("one");
    const reader = far.readable.getReader();
    await reader.read();
    reader.releaseLock();
    await far.close();
    transport.give("two");
    await splicing;
  }));

Deno.test("spliceTransport(): a read error closes the channel and rejects", () =>
  spliced(async (transport, far, splicing) => {
    transport.give(new Error("reset"));
    await assertRejects(() => splicing, Error, "reset");
    await far.closed;
  }));

Deno.test("spliceTransport(): a write error closes the channel and rejects", () =>
  spliced(async (transport, far, splicing) => {
    transport.broken = new Error("not read");
    const writer = far.writable.getWriter();
    await writer.write(utf8.encode("x"));
    await assertRejects(() => splicing, Error, "not read");
    await far.closed;
    writer.closed.catch(() => {});
  }));

Deno.test("spliceTransport(): the end of the session rejects with connection-lost", () =>
  spliced(async (_transport, _far, splicing, session) => {
    await session.close();
    const error = await assertRejects(() => splicing, Error);
    assertEquals((error as { code?: string }).code, "connection-lost");
  }));
