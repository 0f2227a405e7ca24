import {
  type Channel,
  memoryTransports,
  qmux,
  type Session,
} from "@qtalk/qtalk/mux";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { turn, watch, within } from "../../tests/support/within.ts";
import type { Transport } from "../../mux/types.ts";
import { spliceTransport } from "./splice_transport.ts";

const utf8 = new TextEncoder();

/** A pipe whose other end is the test. */
class Pipe implements Transport {
  readonly written: string[] = [];
  readonly #reads: PromiseWithResolvers<Uint8Array | null>[] = [];
  #asked = 0;
  ended = false;
  closed = false;
  /** What writing fails with. */
  broken: Error | undefined;

  read(): Promise<Uint8Array | null> {
    return this.#slot(this.#asked++).promise;
  }

  /** Lets the next read have that: bytes, their end, or an error. */
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

/** A pipe joined to a channel, and that channel's far end. */
async function joined(
  use: (
    pipe: Pipe,
    far: Channel,
    joining: Promise<void>,
    session: Session,
  ) => Promise<void>,
): Promise<void> {
  const [left, right] = memoryTransports();
  await using near = qmux(left);
  await using session = qmux(right);
  const accepted = session[Symbol.asyncIterator]().next();
  const channel = await near.open();
  const { value: far } = await accepted;
  const pipe = new Pipe();
  const joining = spliceTransport(pipe, channel);
  joining.catch(() => {});
  await within(use(pipe, far!, joining, session), "the case");
  assert(pipe.closed, "the pipe is closed in the end");
}

Deno.test("spliceTransport(): each direction ends separately", () =>
  joined(async (pipe, far, joining) => {
    pipe.give("to the channel");
    pipe.give(null);
    const text = new Response(far.readable).text();
    assertEquals(await text, "to the channel");
    const state = watch(joining);
    await turn();
    assertEquals(state.state, "pending");
    await new Blob(["to the pipe"]).stream().pipeTo(far.writable);
    await joining;
    assertEquals(pipe.written.join(""), "to the pipe");
    assert(pipe.ended);
    await far.closed;
  }));

Deno.test("spliceTransport(): the transport is still read after the channel's EOF", () =>
  joined(async (pipe, far, joining) => {
    await far.writable.close();
    while (!pipe.ended) await turn();
    pipe.give("still here");
    pipe.give(null);
    assertEquals(await new Response(far.readable).text(), "still here");
    await joining;
  }));

Deno.test("spliceTransport(): it ends when the channel is closed, even if the transport is silent", () =>
  joined(async (pipe, far, joining) => {
    const writer = far.writable.getWriter();
    await writer.write(utf8.encode("bye"));
    await far.close();
    await joining;
    assertEquals(pipe.written.join(""), "bye");
  }));

Deno.test("spliceTransport(): a channel that is closed while bytes are sent is no error", () =>
  joined(async (pipe, far, joining) => {
    pipe.give("one");
    const reader = far.readable.getReader();
    await reader.read();
    reader.releaseLock();
    await far.close();
    pipe.give("two");
    await joining;
  }));

Deno.test("spliceTransport(): a read error closes the channel and rejects", () =>
  joined(async (pipe, far, joining) => {
    pipe.give(new Error("reset"));
    await assertRejects(() => joining, Error, "reset");
    await far.closed;
  }));

Deno.test("spliceTransport(): a write error closes the channel and rejects", () =>
  joined(async (pipe, far, joining) => {
    pipe.broken = new Error("nobody reads");
    const writer = far.writable.getWriter();
    await writer.write(utf8.encode("x"));
    await assertRejects(() => joining, Error, "nobody reads");
    await far.closed;
    writer.closed.catch(() => {});
  }));

Deno.test("spliceTransport(): the end of the session rejects with connection-lost", () =>
  joined(async (_pipe, _far, joining, session) => {
    await session.close();
    const error = await assertRejects(() => joining, Error);
    assertEquals((error as { code?: string }).code, "connection-lost");
  }));
