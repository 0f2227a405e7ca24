/**
 * Everything that can wait on a session, waiting; and what must become of it.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { MuxError, type MuxErrorCode } from "../../mux/errors.ts";
import type { Session } from "../../mux/session.ts";
import type { RawPeer } from "./raw_peer.ts";
import { open, utf8 } from "./wire.ts";
import { within } from "./within.ts";

/** Waits of every kind, on one session. */
export interface Waiters {
  /** The number of the channel that they wait on. */
  id: number;
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
  const accepted = incoming.next();
  await raw.send(open(1_000, 0));
  const { sender: id } = await raw.expect("open-confirm");
  const channel = (await accepted).value!;
  const reader = channel.readable.getReader();
  const writer = channel.writable.getWriter();
  reader.closed.catch(() => {});
  writer.closed.catch(() => {});
  const waits = {
    read: outcome(reader.read()),
    write: outcome(writer.write(utf8("no credit for this"))),
    open: outcome(session.open()),
    "channel.closed": outcome(channel.closed),
    "session.closed": outcome(session.closed),
    accept: incoming.next().then(({ done }) => done),
  };
  await raw.expect("open");
  const settle = async () => {
    const entries = Object.entries(waits).map(async ([name, wait]) =>
      [name, await within(wait, `${name} to settle`)] as const
    );
    return Object.fromEntries(await Promise.all(entries));
  };
  return { id, settled: settle() };
}

/** All waits have ended with one error, of that code and text. */
export async function assertAllFailed(
  { settled }: Waiters,
  code: MuxErrorCode,
  text: string,
): Promise<void> {
  const { accept, ...failures } = await settled;
  assertEquals(accept, true);
  for (const [name, error] of Object.entries(failures)) {
    assert(error instanceof MuxError, `${name}: ${error}`);
    assertEquals(error.code, code, name);
    assert(error.message.includes(text), `${name}: ${error.message}`);
  }
}
