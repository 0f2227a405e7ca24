import { splice } from "./channel/pipe.ts";
import type { Channel, Session } from "./types.ts";

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
 * import { memoryTransports, proxy, qmux } from "@qtalk/qtalk/mux";
 * import { assertEquals } from "@std/assert";
 *
 * const [client, left] = memoryTransports().map((end) => qmux(end));
 * const [right, server] = memoryTransports().map((end) => qmux(end));
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
export async function proxy(a: Session, b: Session): Promise<void> {
  const splices = new Set<Promise<void>>();
  const joinTo = (other: Session) => (channel: Channel) => {
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

async function relay(channel: Channel, session: Session): Promise<void> {
  let other: Channel;
  try {
    other = await session.open();
  } catch {
    // It was confirmed already, so CLOSE is all that can be said.
    return await channel.close();
  }
  await splice(channel, other);
}
