import { type Channel, MuxError, type Transport } from "../../mux/internal.ts";

/**
 * Joins a byte pipe to a channel: bytes both ways, half-close both ways. Ends,
 * and closes both, when both directions have ended, or when the channel has
 * been closed at its other end.
 *
 * @throws {unknown} what broke one of them
 */
export async function spliceTransport(
  transport: Transport,
  channel: Channel,
): Promise<void> {
  const sending = send(transport, channel);
  sending.catch(() => {});
  try {
    for await (const chunk of channel.readable) await transport.write(chunk);
    // Not every pipe can end one direction alone.
    await transport.closeWrite().catch(() => {});
    // A pipe that says nothing any more must not keep a channel that is closed.
    await Promise.race([sending, channel.closed]);
  } finally {
    await Promise.allSettled([transport.close(), channel.close()]);
  }
}

async function send(transport: Transport, channel: Channel): Promise<void> {
  const writer = channel.writable.getWriter();
  writer.closed.catch(() => {});
  try {
    for (;;) {
      const chunk = await transport.read();
      if (chunk === null) return await writer.close();
      await writer.write(chunk);
    }
  } catch (error) {
    // The other end wants no more: what it says is still read.
    if (error instanceof MuxError && error.code === "channel-closed") return;
    await writer.abort(error).catch(() => {});
    throw error;
  }
}
