import { QmuxChannel } from "./channel.ts";
import { transfer } from "./transfer.ts";
import type { Channel, MuxSession } from "./types.ts";

/**
 * Joins two sessions: every channel that one end opens is opened at the other
 * end too, and their bytes are passed on in both directions, unread. EOF passes
 * as EOF and CLOSE as CLOSE, behind the bytes before it; a reader that takes its
 * time holds the writer at the far end back.
 *
 * Both sessions belong to the proxy: nobody else may accept their channels.
 * When one ends, what arrived on it is still delivered, then the other is
 * closed.
 *
 * @example
 * ```ts
 * import { memoryTransports, proxy, Session } from "@qtalk/qtalk/mux";
 * import { assertEquals } from "@std/assert";
 *
 * const [client, left] = memoryTransports().map((end) => new Session(end));
 * const [right, server] = memoryTransports().map((end) => new Session(end));
 * const proxied = proxy(left!, right!);
 *
 * server!.accept((channel) => channel.readable.pipeTo(channel.writable));
 *
 * const { readable, writable } = await client!.open();
 * const writer = writable.getWriter();
 * await writer.write(new TextEncoder().encode("there and back"));
 * await writer.close();
 * assertEquals(await new Response(readable).text(), "there and back");
 *
 * await client!.close();
 * await proxied;
 * ```
 *
 * @param a one session
 * @param b the other
 * @returns resolves when both have ended
 * @throws {MuxError} why one of them failed; `invalid-state` if somebody else
 * accepts its channels
 */
export async function proxy(a: MuxSession, b: MuxSession): Promise<void> {
  const splices = new Set<Promise<void>>();
  const joinTo = (other: MuxSession) => (channel: Channel) => {
    const splicing = relay(channel, other).finally(() =>
      splices.delete(splicing)
    );
    splices.add(splicing);
  };
  a.accept(joinTo(b));
  b.accept(joinTo(a));
  try {
    await Promise.race([a.closed, b.closed]);
  } catch {
    // The outcome is taken below, when both have ended.
  }
  while (splices.size > 0) await Promise.all(splices);
  await Promise.all([a.close(), b.close()]);
  await Promise.all([a.closed, b.closed]);
}

async function relay(channel: Channel, session: MuxSession): Promise<void> {
  let other: Channel;
  try {
    other = await session.open();
  } catch {
    // It was confirmed already, so CLOSE is all that can be said.
    return await channel.close();
  }
  await splice(channel, other);
}

/**
 * Passes the bytes of two channels on to each other, then their ends. Resolves
 * when nothing is left to pass on; never rejects.
 */
export async function splice(a: Channel, b: Channel): Promise<void> {
  if (a instanceof QmuxChannel && b instanceof QmuxChannel) {
    await Promise.all([pump(a, b), pump(b, a)]);
    return;
  }
  await Promise.allSettled([
    a.readable.pipeTo(b.writable),
    b.readable.pipeTo(a.writable),
  ]);
  await Promise.allSettled([a.close(), b.close()]);
}

/**
 * One direction of {@linkcode splice}, without streams: making them costs more
 * than a small call has to pass on.
 */
export async function pump(from: QmuxChannel, to: QmuxChannel): Promise<void> {
  try {
    await transfer(from, to);
  } catch {
    // What still comes has nowhere to go, and its sender must not wait.
    return from.cancel();
  }
  passEnd(from, to);
}

/** All of `from` was passed on: passes on how it ended, now and later. */
function passEnd(from: QmuxChannel, to: QmuxChannel): void {
  if (from.failure !== undefined) return to.abort(from.failure);
  if (from.eof) to.finish();
  from.watch(() => to.drop());
}
