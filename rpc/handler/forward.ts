import { PREFIX_SIZE, ValueWriter } from "../../codec/internal.ts";
import { pipe, type RawChannel } from "../../mux/internal.ts";
import { readUint32 } from "../../uint32.ts";
import { type ChannelPool, poolOf } from "../client/channel_pool.ts";
import { RpcError } from "../errors.ts";
import type { Request } from "../server/request_decoder.ts";
import type { ServerCall } from "../server/server_call.ts";
import type { Call, Caller, HandlerFunction, Responder } from "../types.ts";
import { decodeResponseHeader, forwardedHeaderValue } from "../wire/headers.ts";
import { isServerCall, isServerResponder } from "./invoke.ts";

/**
 * Makes a handler that forwards every call to another peer, as qtalk-go's
 * `ProxyHandler` does. All kinds of calls can be forwarded.
 *
 * Only the call header is decoded. It is encoded again, with the canonical form of
 * its selector and whatever extended peers tell each other. The bytes that follow
 * it are piped in both directions, with half-close, cancellation and backpressure.
 * Both sessions must therefore use the same codec.
 *
 * A function among the arguments is called on the forwarding peer. To pass such
 * calls on, give `target` a handler that forwards in the other direction.
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
 * assertEquals(await client.call("upper", ["forwarded"]), "FORWARDED");
 * front.handle("lower", handlerFrom((s: string) => s.toLowerCase()));
 * assertEquals(await client.call("lower", ["HERE"]), "here");
 * ```
 *
 * @param target a peer, or the `caller` of a call
 * @throws {TypeError} if it is neither
 */
export function forward(target: Caller): HandlerFunction {
  const pool = poolOf(target);
  if (pool === undefined) {
    throw new TypeError("Cannot forward: target is neither peer nor caller");
  }
  return (call, respond) => forwardCall(call, respond, pool);
}

async function forwardCall(
  call: Call,
  respond: Responder,
  pool: ChannelPool,
): Promise<void> {
  if (!isServerCall(call) || !isServerResponder(respond)) {
    throw new TypeError(
      "Cannot forward call: its call or responder object was replaced",
    );
  }
  const incoming = call.channel;
  const header = forwardedHeader(call.request);
  const outgoing = await takeChannel(pool);
  try {
    // If this fails, the response fails too.
    outgoing.send(header)?.catch(() => {});
  } catch {
    // As above.
  }
  const requestPiped = pipe(incoming, outgoing);
  await new Promise<void>((resolve) => outgoing.whenReadable(resolve));
  if (outgoing.buffered === 0 && !incoming.peerClosed) {
    outgoing.discard();
    throw outgoing.failure ??
      new RpcError(
        "no-response",
        "Cannot forward call: the target closed it without a response",
      );
  }
  if (!pool.allowsSpares) inspectHeader(outgoing, call, pool);
  respond.handOver();
  await Promise.all([requestPiped, pipe(outgoing, incoming)]);
}

async function takeChannel(pool: ChannelPool): Promise<RawChannel> {
  return pool.take() ??
    await new Promise((resolve, reject) => pool.open(resolve, reject));
}

/** Looks in the response header for whether the pool may open spare channels. */
function inspectHeader(
  channel: RawChannel,
  { request }: ServerCall,
  pool: ChannelPool,
): void {
  const bytes = channel.peek() ?? new Uint8Array(0);
  const end = bytes.length < PREFIX_SIZE
    ? Infinity
    : PREFIX_SIZE + readUint32(bytes, 0);
  if (bytes.length < end) return;
  try {
    const header = decodeResponseHeader(
      request.context.codec,
      bytes.subarray(PREFIX_SIZE, end),
    );
    if (header.saysNull) pool.allowSpares();
  } catch {
    // The caller gets the header too, and reports what is wrong with it.
  }
}

/** The header of the forwarded call, encoded once for all calls with this header. */
function forwardedHeader(request: Request): Uint8Array {
  return request.forwarded ??= encodeHeader(request);
}

function encodeHeader({ selector, extension, context }: Request): Uint8Array {
  const writer = new ValueWriter();
  writer.begin();
  writer.add(context.codec, forwardedHeaderValue(selector, extension));
  return writer.message().slice();
}
