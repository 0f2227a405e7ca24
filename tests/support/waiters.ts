/**
 * Everything that can wait on a session, waiting; and what must become of it.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { MuxError, type MuxErrorCode } from "../../mux/errors.ts";
import type { Session } from "../../mux/types.ts";
import type { Channel } from "../../mux/types.ts";
import type { RawPeer } from "./raw_peer.ts";
import { open, utf8 } from "./wire.ts";
import { within } from "./within.ts";

/** Waits of every kind, on one session. */
export interface Waiters {
  /** The number of another channel, open, that nobody reads. */
  id: number;
  /** That channel: what came for it can still be read. */
  unread: Channel;
  /** Each wait, as what it rejected with, or `undefined`. */
  settled: Promise<Record<string, unknown>>;
}

async function outcome(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
    return undefined;
  } catch (error) {
    return error;
  }
}

/** Starts a read, a write without credit, an open and an accept. */
export async function startWaiters(
  session: Session,
  raw: RawPeer,
): Promise<Waiters> {
  const incoming = session[Symbol.asyncIterator]();
  const first = incoming.next(), second = incoming.next();
  await raw.send(open(1_000, 0), open(1_001, 0));
  await raw.expect("open-confirm");
  const { sender: id } = await raw.expect("open-confirm");
  const channel = (await first).value!;
  const unread = (await second).value!;
  const reader = channel.readable.getReader();
  const writer = channel.writable.getWriter();
  reader.closed.catch(() => {});
  writer.closed.catch(() => {});
  const waits = {
    read: outcome(reader.read()),
    write: outcome(writer.write(utf8("no credit for this"))),
    open: outcome(session.open()),
    "channel.closed": outcome(channel.closed),
    "unread.closed": outcome(unread.closed),
    "session.closed": outcome(session.closed),
    accept: (async () => {
      while (!(await incoming.next()).done) { /* Somebody opened one more. */ }
    })(),
  };
  await raw.expect("open");
  const settle = async () => {
    const entries = Object.entries(waits).map(async ([name, wait]) =>
      [name, await within(wait, `${name} to settle`)] as const
    );
    return Object.fromEntries(await Promise.all(entries));
  };
  return { id, unread, settled: settle() };
}

/** All waits have ended with one error, of that code and text. */
export async function assertAllFailed(
  { settled }: Waiters,
  code: MuxErrorCode,
  text: string,
): Promise<void> {
  const { accept, ...failures } = await settled;
  assertEquals(accept, undefined);
  for (const [name, error] of Object.entries(failures)) {
    assert(error instanceof MuxError, `${name}: ${error}`);
    assertEquals(error.code, code, name);
    assert(error.message.includes(text), `${name}: ${error.message}`);
  }
}
