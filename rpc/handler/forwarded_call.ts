import { type Codec, PREFIX_SIZE, ValueWriter } from "../../codec/internal.ts";
import { pipe, type RawChannel } from "../../mux/internal.ts";
import { printableText } from "../../printable_text.ts";
import { timeLimit } from "../../time_limit.ts";
import { readUint32 } from "../../uint32.ts";
import {
  type ChannelPool,
  type ChannelRequest,
  poolOf,
} from "../client/channel_pool.ts";
import {
  type Loan,
  Loans,
  type RoutedSession,
} from "../callback/callback_routes.ts";
import { releaseDropped } from "../callback/dropped_functions.ts";
import { CallError, errorCode, errorText, RpcError } from "../errors.ts";
import type { Request } from "../server/request_decoder.ts";
import type { ServerCall, ServerResponder } from "../server/server_call.ts";
import type { Caller, HandlerFunction } from "../types.ts";
import {
  forwardedHeaderValue,
  forwardedResponseValue,
  type ReceivedHeader,
} from "../wire/headers.ts";
import { RELEASE_SELECTOR } from "../wire/selector.ts";
import { FairShares, Place } from "./fair_shares.ts";
import { isServerCall, isServerResponder } from "./invoke.ts";

/**
 * Milliseconds that a call waits for its turn, and that a target may take nothing
 * of a call whose caller has gone.
 */
const MAX_WAIT = 10_000;

/**
 * The same for what is left of a call that an extended caller has cut off: it
 * looks incomplete, whatever the target takes of it.
 */
const MAX_WAIT_OF_CUT = 250;

/**
 * Makes the handler of `forward()`.
 *
 * @param pool the channels to the target
 */
export function forwardingTo(
  target: Caller,
  pool: ChannelPool,
  maxConcurrentCalls: number,
): HandlerFunction {
  const shares = new FairShares(() =>
    Math.min(maxConcurrentCalls, pool.capacity)
  );
  return async (call, respond) => {
    if (!isServerCall(call) || !isServerResponder(respond)) {
      throw replaced();
    }
    const { nested } = call.request;
    // Nested calls have slots of their own, and others may wait for them.
    if (nested) return await forwardCall(call, respond, target, pool, nested);
    const place = new Place(call.session);
    if (!shares.join(place)) await turnOf(place, call, shares);
    try {
      await forwardCall(call, respond, target, pool, nested);
    } finally {
      shares.leave(place);
    }
  };
}

/**
 * Lets the peer of `to` call the functions that the peer of `from` lends to it,
 * whatever the handler of its session is.
 *
 * @param lender calls the peer of `from`
 */
function addRoute(
  prefix: string,
  from: RoutedSession | undefined,
  lender: Caller,
  to: RoutedSession | undefined,
): void {
  const pool = poolOf(lender);
  if (from === undefined || pool === undefined) return;
  to?.routes.add(prefix, from, () => async (call, respond) => {
    if (!isServerCall(call) || !isServerResponder(respond)) throw replaced();
    await forwardCall(call, respond, lender, pool, true, countedUse(call));
  });
}

/**
 * What counts a call that releases, or uses up, what its caller was lent. That is
 * done when the call has been sent: if it cannot be, what the caller held must still
 * be released when its session ends.
 */
function countedUse(
  { selector, channel, request, session }: ServerCall,
): () => void {
  const routes = session?.routes;
  if (!selector.startsWith(RELEASE_SELECTOR)) {
    const id = selector.slice(1);
    return () => routes?.loansOf(id)?.used(id);
  }
  const id = selector.slice(RELEASE_SELECTOR.length);
  const bytes = channel.peek() ?? new Uint8Array(0);
  let count: unknown;
  try {
    count = request.context.codec.decode(bytes.subarray(PREFIX_SIZE));
  } catch {
    // Its argument is still to come, and the caller holds nothing of it.
  }
  const all = typeof count === "number" ? count : Infinity;
  return () => routes?.loansOf(id)?.giveBack(id, all);
}

function replaced(): TypeError {
  return new TypeError(
    "Cannot forward call: its call or responder object was replaced",
  );
}

/** Waits for the call's turn, as long as the caller does. */
function turnOf(
  place: Place,
  { channel, selector }: ServerCall,
  shares: FairShares,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const end = () => {
    cancelLimit();
    channel.cancelWhenClosed(giveUp);
  };
  const giveUp = () => {
    end();
    shares.leave(place);
    reject(cancelled(selector));
  };
  const cancelLimit = timeLimit(MAX_WAIT, () => {
    end();
    shares.leave(place);
    reject(busy(selector));
  });
  place.onTurn = () => {
    end();
    resolve();
  };
  channel.whenClosed(giveUp);
  return promise;
}

function cancelled(selector: string): RpcError {
  return new RpcError(
    "cancelled",
    `Call was closed by the caller, in call "${printableText(selector)}"`,
  );
}

function busy(selector: string): CallError {
  return new CallError(
    `busy: the target has no room for calls of this client; cannot call "${
      printableText(selector)
    }"`,
    { code: "busy" },
  );
}

async function forwardCall(
  call: ServerCall,
  respond: ServerResponder,
  target: Caller,
  pool: ChannelPool,
  nested: boolean,
  onSent?: () => void,
): Promise<void> {
  const incoming = call.channel;
  const { lends } = call.request;
  if (lends !== undefined) {
    addRoute(lends, call.session, call.caller, pool.session);
  }
  let outgoing: RawChannel;
  try {
    outgoing = await takeChannel(pool, call, nested);
  } catch (error) {
    throw passedOn(error, call);
  }
  if (isLate(call)) {
    outgoing.discard();
    throw tooLate(call);
  }
  try {
    // If this fails, the response fails too.
    outgoing.send(forwardedHeader(call, pool.session))?.catch(() => {});
  } catch {
    // As above.
  }
  const requestPiped = pipe(incoming, outgoing);
  // What has arrived of it has left, unless the target takes no more.
  if (incoming.buffered === 0) onSent?.();
  const release = (header: ReceivedHeader | undefined) =>
    releaseDropped({
      channel: outgoing,
      header,
      decode: (bytes) => call.request.context.responseHeaders.get(bytes),
      eofSent: incoming.eofReceived,
      caller: target,
    });
  const watch = watchCaller(call, outgoing, () => release(undefined));
  await new Promise<void>((resolve) => outgoing.whenReadable(resolve));
  if (outgoing.buffered === 0 && !incoming.peerClosed) {
    watch.stop();
    outgoing.discard();
    throw passedOn(
      outgoing.failure ??
        new RpcError("no-response", "the target closed it without a response"),
      call,
    );
  }
  const loan = !pool.allowsSpares || call.request.extended
    ? inspectHeader(outgoing, call, target, pool, release)
    : undefined;
  if (call.request.extended) {
    const changed = passOnRefusal(outgoing, call, pool);
    if (changed !== undefined) await changed;
  }
  respond.handOver();
  watch.answered();
  await Promise.all([
    requestPiped,
    pipe(outgoing, incoming, loan?.onBytes),
  ]);
  watch.stop();
  loan?.end(incoming.eofReceived);
}

/**
 * The error for a caller whose call did not get a response from the target: no
 * bug of this side, which learns of the end of the target's session in any case.
 */
function passedOn(error: unknown, { selector, channel }: ServerCall): unknown {
  if (channel.peerClosed) return error;
  return new CallError(
    `Cannot forward call "${printableText(selector)}": ${errorText(error)}`,
    { code: errorCode(error), cause: error },
  );
}

/** A channel of the pool, for which the call waits as long as its caller does. */
function takeChannel(
  pool: ChannelPool,
  { channel, selector }: ServerCall,
  nested: boolean,
): RawChannel | Promise<RawChannel> {
  return pool.take(nested) ?? new Promise((resolve, reject) => {
    const giveUp = () => opening.cancel(cancelled(selector));
    const opening: ChannelRequest = pool.open(
      (taken) => {
        channel.cancelWhenClosed(giveUp);
        resolve(taken);
      },
      (error) => {
        channel.cancelWhenClosed(giveUp);
        reject(error);
      },
      0,
      nested,
    );
    channel.whenClosed(giveUp);
  });
}

/**
 * Closes the call at the target when its caller has closed it.
 *
 * Before the response, nothing of an extended caller's call is wanted any more.
 * After that, or from another caller, what has arrived is still delivered, as long
 * as the target takes it: a target that does not read could otherwise never be
 * informed, and would keep the slots of both channels. It has less time if the
 * caller has cut the call off, as it does when its signal aborts.
 */
function watchCaller(
  { channel: incoming, request }: ServerCall,
  outgoing: RawChannel,
  onUnanswered: () => void,
): { answered(): void; stop(): void } {
  let answered = false;
  let cancelLimit: (() => void) | undefined;
  const giveUp = () => {
    if (!answered) onUnanswered();
    outgoing.discard();
    incoming.cancelRead();
  };
  const checkProgress = () => {
    const { buffered } = incoming;
    const isCut = request.extended && !incoming.eofReceived;
    cancelLimit = timeLimit(isCut ? MAX_WAIT_OF_CUT : MAX_WAIT, () => {
      if (incoming.buffered === buffered) giveUp();
      else checkProgress();
    });
  };
  const onClosed = () => {
    if (!answered && request.extended) giveUp();
    else checkProgress();
  };
  incoming.whenClosed(onClosed);
  return {
    answered: () => answered = true,
    stop() {
      incoming.cancelWhenClosed(onClosed);
      cancelLimit?.();
    },
  };
}

/**
 * Looks in the response header for whether the pool may open spare channels, and
 * whether the response lends functions. Returns what watches over those.
 */
function inspectHeader(
  channel: RawChannel,
  call: ServerCall,
  target: Caller,
  pool: ChannelPool,
  release: (header: ReceivedHeader) => void,
): Loan | undefined {
  const bytes = headerBytes(channel);
  if (bytes === undefined) return undefined;
  const { responseHeaders } = call.request.context;
  try {
    const header = responseHeaders.get(bytes);
    if (header.saysNull) pool.allowSpares();
    const { lends } = header;
    if (lends === undefined) return undefined;
    const { session, channel: incoming } = call;
    addRoute(lends, pool.session, target, session);
    const loan = session?.routes.loans(
      lends,
      pool.session,
      () =>
        new Loans(session, (id, count) => {
          target.call(RELEASE_SELECTOR + id, count).catch(() => {});
        }),
    )?.begin(lends);
    // Of a complete response, the target does so, if no EOF tells it otherwise.
    if (loan === undefined) release(header);
    else if (header.continued || incoming.eofReceived) {
      channel.whenDropped(loan.onDropped);
    }
    // Values that follow are the caller's as they arrive, however the call ends.
    return loan === undefined || !header.continued
      ? loan
      : { ...loan, end: () => loan.end(true) };
  } catch {
    // The caller gets the header too, and reports what is wrong with it.
    return undefined;
  }
}

/** The header of a response, without its length; undefined if some is missing. */
function headerBytes(channel: RawChannel): Uint8Array | undefined {
  const bytes = channel.peek() ?? new Uint8Array(0);
  const end = bytes.length < PREFIX_SIZE
    ? Infinity
    : PREFIX_SIZE + readUint32(bytes, 0);
  return bytes.length < end ? undefined : bytes.subarray(PREFIX_SIZE, end);
}

/**
 * A response header says of its sender whether it may be pinged. The caller takes
 * that to be this side, so it gets another header if the two differ.
 */
function passOnRefusal(
  outgoing: RawChannel,
  call: ServerCall,
  pool: ChannelPool,
): Promise<void> | undefined {
  const bytes = headerBytes(outgoing);
  const { codec, responseHeaders } = call.request.context;
  const { refusesPings = false } = call.session;
  if (bytes === undefined) return undefined;
  let header: Uint8Array;
  try {
    const received = responseHeaders.get(bytes);
    if (received.refusesPings && pool.session !== undefined) {
      pool.session.peerRefusesPings = true;
    }
    if (!received.extended || received.refusesPings === refusesPings) {
      return undefined;
    }
    header = encoded(codec, forwardedResponseValue(codec, bytes, refusesPings));
  } catch {
    return undefined; // As in inspectHeader().
  }
  outgoing.consume(PREFIX_SIZE + bytes.length);
  try {
    // What follows is piped after it. A caller that has gone needs none of it.
    return call.channel.send(header)?.catch(() => {});
  } catch {
    return undefined;
  }
}

/**
 * The header of the forwarded call. Without a deadline, it is encoded once for all
 * calls with this header, unless this side has something to add.
 */
function forwardedHeader(
  { request, deadline }: ServerCall,
  target: RoutedSession | undefined,
): Uint8Array {
  const refusesPings = target?.refusesPings ?? false;
  if (deadline === undefined) {
    return refusesPings
      ? encodeHeader(request, true)
      : request.forwarded ??= encodeHeader(request, false);
  }
  const left = Math.ceil(deadline - performance.now());
  return encodeHeader(request, refusesPings, Math.max(0, left));
}

function encodeHeader(
  { selector, extension, context: { codec } }: Request,
  refusesPings: boolean,
  left?: number,
): Uint8Array {
  return encoded(
    codec,
    forwardedHeaderValue(selector, extension, refusesPings, left),
  );
}

function encoded(codec: Codec, header: unknown): Uint8Array {
  const writer = new ValueWriter();
  writer.begin();
  writer.add(codec, header);
  return writer.message().slice();
}

function isLate({ deadline }: ServerCall): boolean {
  return deadline !== undefined && deadline <= performance.now();
}

function tooLate({ selector }: ServerCall): CallError {
  return new CallError(
    `Cannot forward call "${
      printableText(selector)
    }": its deadline had passed before the target could get it`,
    { code: "deadline-exceeded" },
  );
}
