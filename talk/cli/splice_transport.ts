import { type Channel, MuxError, type Transport } from "../../mux/internal.ts";
import { isRawChannel } from "../../mux/internal_server.ts";

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
  let sent = false;
  const sending = send(transport, channel).then(() => {
    sent = true;
  });
  sending.catch(() => {});
  try {
    for await (const chunk of channel.readable) await transport.write(chunk);
    // Not every transport can end one direction alone.
    await transport.closeWrite().catch(() => {});
    // A silent transport must not keep a closed channel.
    await Promise.race([sending, channel.closed]);
  } finally {
    // First: the end of the transport, or of the channel, would be sent as EOF,
    // and the bytes would look complete.
    if (!sent) abort(channel);
    await Promise.allSettled([transport.close(), channel.close()]);
  }
}

/** Sends CLOSE without EOF: the bytes are incomplete. */
function abort(channel: Channel): void {
  const reason = new MuxError("channel-closed", "Channel is closed early");
  if (isRawChannel(channel)) channel.abort(reason);
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
