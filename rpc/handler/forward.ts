import { readUint32, writeUint32 } from "../../uint32.ts";
import { PREFIX_SIZE } from "../../codec/internal.ts";
import { pipe, type RawChannel } from "../../mux/internal.ts";
import { IncomingCall } from "../server/incoming_call.ts";
import { type ChannelPool, channelsOf } from "../client/channel_pool.ts";
import { RpcError } from "../errors.ts";
import { decodeResponseHeader } from "../wire/headers.ts";
import { ChannelResponder } from "../server/responder.ts";
import type { Call, Caller, HandlerFunction, Responder } from "../types.ts";

/**
 * Makes a handler that has somebody else answer: it passes every call on to
 * `target`, of whatever kind it is, and what comes back to the caller. Nothing
 * but the header is read, which goes on as it came, selector and all; the bytes
 * behind it are passed on in both directions, with half-close, cancellation and
 * backpressure. So the two sessions have to speak the same codec.
 *
 * Callbacks among the arguments call the forwarding peer. To have them arrive,
 * give `target` a `forward()` in the other direction for its handler.
 *
 * @example
 * ```ts
 * import { forward, handlerFrom, memoryPair } from "@qtalk/qtalk";
 * import { assertEquals } from "@std/assert";
 *
 * const service = { upper: (s: string) => s.toUpperCase() };
 * const [middle, backend] = memoryPair({}, { handler: handlerFrom(service) });
 * const [client, front] = memoryPair({}, { handler: forward(middle) });
 * await using _ = client, __ = backend;
 *
 * assertEquals(await client.call("upper", ["unread"]), "UNREAD");
 * front.handle("lower", handlerFrom((s: string) => s.toLowerCase()));
 * assertEquals(await client.call("lower", ["HERE"]), "here");
 * ```
 *
 * @param target a peer, or the caller of a call
 * @throws {TypeError} if it is neither
 */
export function forward(target: Caller): HandlerFunction {
  const channels = channelsOf(target);
  if (channels === undefined) {
    throw new TypeError("Cannot forward: target is neither peer nor caller");
  }
  return (call, respond) => passOn(call, respond, channels);
}

async function passOn(
  call: Call,
  respond: Responder,
  channels: ChannelPool,
): Promise<void> {
  if (!(call instanceof IncomingCall && respond instanceof ChannelResponder)) {
    throw new TypeError("Cannot forward call: it is not as it came");
  }
  const here = call.channel;
  const there = await opened(channels);
  try {
    // Whatever keeps it from being sent also keeps the answer from coming.
    there.send(framed(call.request.header))?.catch(() => {});
  } catch {
    // As above.
  }
  const asking = pipe(here, there);
  await new Promise<void>((resolve) => there.whenReadable(resolve));
  if (there.buffered === 0 && !here.peerClosed) {
    there.discard();
    throw there.failure ??
      new RpcError(
        "no-response",
        "Cannot forward call: the other side closed it without a response",
      );
  }
  if (!channels.allowsSpares) learn(there, call, channels);
  respond.handOver();
  await Promise.all([asking, pipe(there, here)]);
}

async function opened(channels: ChannelPool): Promise<RawChannel> {
  return channels.take() ??
    await new Promise((resolve, reject) => channels.open(resolve, reject));
}

/** Looks whether the other side can have channels ahead of need: just once. */
function learn(
  there: RawChannel,
  { request }: IncomingCall,
  channels: ChannelPool,
): void {
  const bytes = there.peek() ?? new Uint8Array(0);
  const end = bytes.length < PREFIX_SIZE ? Infinity : PREFIX_SIZE +
    readUint32(bytes, 0);
  if (bytes.length < end) return;
  try {
    const header = decodeResponseHeader(
      request.context.codec,
      bytes.subarray(PREFIX_SIZE, end),
    );
    if (header.saysNull) channels.allowSpares();
  } catch {
    // The caller will see what is wrong with it.
  }
}

function framed(value: Uint8Array): Uint8Array {
  const frame = new Uint8Array(PREFIX_SIZE + value.length);
  writeUint32(frame, 0, value.length);
  frame.set(value, PREFIX_SIZE);
  return frame;
}
