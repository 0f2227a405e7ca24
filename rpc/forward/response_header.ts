import { type Codec, PREFIX_SIZE, ValueWriter } from "../../codec/internal.ts";
import type { RawChannel } from "../../mux/internal.ts";
import { readUint32 } from "../../uint32.ts";
import { concat } from "../../view.ts";
import type { ChannelPool } from "../client/channel_pool.ts";
import { isNotBegun, type RemoteError } from "../errors.ts";
import type { ServerCall } from "../server/server_call.ts";
import { forwardedResponseValue } from "../wire/headers/forwarded_headers.ts";
import { MAX_CALL_HEADER_SIZE } from "../wire/headers/header.ts";
import { remoteError } from "../wire/headers/response_header.ts";

/**
 * The header of a response, without its length; undefined if some is missing.
 *
 * @param taken what was taken from the channel already
 */
export function headerBytes(
  channel: RawChannel,
  taken?: Uint8Array,
): Uint8Array | undefined {
  const bytes = taken ?? channel.peek() ?? new Uint8Array(0);
  const end = bytes.length < PREFIX_SIZE
    ? Infinity
    : PREFIX_SIZE + readUint32(bytes, 0);
  return bytes.length < end ? undefined : bytes.subarray(PREFIX_SIZE, end);
}

/**
 * Waits for all of the header of a response, which may arrive in pieces.
 *
 * @param onTaken called with all that was taken from the channel so far, unless the
 * header has arrived whole
 */
export async function takeHeader(
  channel: RawChannel,
  onTaken: (bytes: Uint8Array) => void,
): Promise<void> {
  if (headerBytes(channel) !== undefined) return;
  let taken = new Uint8Array(0);
  // What is longer is no header.
  while (taken.length <= PREFIX_SIZE + MAX_CALL_HEADER_SIZE) {
    const bytes = channel.take();
    if (bytes !== undefined) {
      onTaken(taken = concat(taken, bytes));
      if (headerBytes(channel, taken) !== undefined) return;
    } else if (channel.ended) return;
    else await new Promise<void>((resolve) => channel.whenReadable(resolve));
  }
}

/** The error of a response that says that the call was not begun. */
export function refusalIn(
  bytes: Uint8Array | undefined,
  { selector, request: { context } }: ServerCall,
): RemoteError | undefined {
  if (bytes === undefined) return undefined;
  try {
    const header = context.responseHeaders.get(bytes);
    if (header.error === undefined || header.continued) return undefined;
    const error = remoteError(header, selector);
    return isNotBegun(error) ? error : undefined;
  } catch {
    return undefined; // As in inspectHeader().
  }
}

/**
 * A response header says about its sender whether it may be pinged. The caller takes
 * that to be this side, so it gets another header if the two differ: the one that
 * this returns. It also gets another header if the target says `again`, which this
 * side did not ask for.
 */
export function changedHeader(
  bytes: Uint8Array,
  call: ServerCall,
  pool: ChannelPool,
): Uint8Array | undefined {
  const { codec, responseHeaders } = call.request.context;
  const { refusesPings = false } = call.session;
  try {
    const received = responseHeaders.get(bytes);
    if (received.refusesPings && pool.session !== undefined) {
      pool.session.peerRefusesPings = true;
    }
    const isSame = received.refusesPings === refusesPings && !received.again;
    return !received.extended || isSame
      ? undefined
      : encoded(codec, forwardedResponseValue(codec, bytes, refusesPings));
  } catch {
    return undefined; // As in inspectHeader().
  }
}

function encoded(codec: Codec, header: unknown): Uint8Array {
  const writer = new ValueWriter();
  writer.begin();
  writer.add(codec, header);
  return writer.message().slice();
}
