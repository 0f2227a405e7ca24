import { type Channel, MuxError, type Transport } from "../../mux/internal.ts";

/**
 * Splices a transport and a channel: passes bytes and their end in both
 * directions. Closes both when both directions have ended, or when the other
 * side has closed the channel.
 *
 * @throws {unknown} the error of the transport or the channel
 */
export async function spliceTransport(
  transport: Transport,
  channel: Channel,
): Promise<void> {
  const sending = send(transport, channel);
  sending.catch(() => {});
  try {
    for await (const chunk of channel.readable) await transport.write(chunk);
    // Not every transport can end one direction alone.
    await transport.closeWrite().catch(() => {});
    // A silent transport must not keep a closed channel.
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
    // The other side receives no more, but may still send.
    if (error instanceof MuxError && error.code === "channel-closed") return;
    await writer.abort(error).catch(() => {});
    throw error;
  }
}
