import { checkMethods } from "../check_option.ts";
import { isRawChannel, splice } from "./channel/channel_pipe.ts";
import { MuxError } from "./errors.ts";
import type { Channel, Session } from "./types.ts";

/**
 * Connects two sessions: for every channel that is opened on one, it opens a
 * channel on the other and pipes each into the other, without decoding the bytes.
 * EOF and CLOSE are forwarded too, after the bytes before them. Flow control is
 * end-to-end: a slow reader slows down the writer at the far end.
 *
 * The proxy accepts the channels of both sessions, so nothing else may. When one
 * session ends, what has arrived on it is still delivered, then the other is
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
 * @param b the other session
 * @returns resolves when both sessions have ended
 * @throws {MuxError} the error of a session that did not end cleanly;
 * `invalid-state` if a session has a handler or is being iterated
 * @throws {TypeError} if one of them is not a session
 */
export async function proxy(a: Session, b: Session): Promise<void> {
  for (const session of [a, b]) {
    checkMethods("session", session, "a session", "accept", "open");
  }
  const splices = new Set<Promise<void>>();
  const spliceInto = (other: Session) => (channel: Channel) => {
    const done = openAndSplice(channel, other).finally(() =>
      splices.delete(done)
    );
    splices.add(done);
  };
  a.accept(spliceInto(b));
  b.accept(spliceInto(a));
  try {
    await Promise.race([a.closed, b.closed]);
  } catch {
    // The last line rejects with the error, when both sessions have ended.
  }
  while (splices.size > 0) await Promise.all(splices);
  await Promise.all([a.close(), b.close()]);
  await Promise.all([a.closed, b.closed]);
}

async function openAndSplice(channel: Channel, into: Session): Promise<void> {
  let other: Channel;
  try {
    other = await into.open();
  } catch {
    // The channel is confirmed already, so it can only be closed. CLOSE without
    // EOF says that nothing was completed.
    return await abort(channel);
  }
  await splice(channel, other);
}

/** Sends CLOSE without EOF. */
async function abort(channel: Channel): Promise<void> {
  const reason = new MuxError(
    "open-refused",
    "Cannot proxy channel: the other session did not open one",
  );
  if (isRawChannel(channel)) channel.abort(reason);
  else await channel.writable.abort(reason);
  await channel.close();
}
