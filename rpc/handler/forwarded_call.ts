import "../internal.ts"; // Keeps bundles in few chunks.
import { type Codec, PREFIX_SIZE, ValueWriter } from "../../codec/internal.ts";
import { pipe, type RawChannel } from "../../mux/internal.ts";
import { printableText } from "../../printable_text.ts";
import { timeLimit } from "../../time_limit.ts";
import { readUint32 } from "../../uint32.ts";
import { concat } from "../../view.ts";
import {
  type ChannelPool,
  type ChannelRequest,
  type ForwardTargets,
  poolOf,
} from "../client/channel_pool.ts";
import { prefixOf } from "../callback/pointers.ts";
import { releaseDropped } from "../callback/received_pointers.ts";
import {
  CallbackRoutes,
  type Loan,
  Loans,
  type RoutedSession,
} from "../callback/callback_routes.ts";
import {
  CallError,
  errorText,
  isNotBegun,
  markUnsent,
  type RemoteError,
  RpcError,
} from "../errors.ts";
import type { Request } from "../server/request_decoder.ts";
import type { ServerCall, ServerResponder } from "../server/server_call.ts";
import type { Caller, HandlerFunction } from "../types.ts";
import { errorCode } from "../wire/error_header.ts";
import {
  forwardedHeaderValue,
  forwardedResponseValue,
} from "../wire/forwarded_headers.ts";
import {
  addCallHeader,
  MAX_CALL_HEADER_SIZE,
  type ReceivedHeader,
  remoteError,
} from "../wire/headers.ts";
import { RELEASE_SELECTOR } from "../wire/selector.ts";
import { FairShares, Place } from "./fair_shares.ts";
import { isServerCall, isServerResponder, notFound } from "./invoke.ts";
import { KeptRequest } from "./kept_request.ts";

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

/** Forwards one call, whose turn it is. */
type Forwarding = (call: ServerCall, respond: ServerResponder) => Promise<void>;

/**
 * Makes the handler of `forward()` with one session as the target.
 *
 * @param pool the channels to the target
 */
export function forwardingTo(
  target: Caller,
  pool: ChannelPool,
  maxConcurrentCalls: number,
): HandlerFunction {
  return inTurn(
    new FairShares(() => Math.min(maxConcurrentCalls, pool.capacity)),
    (call, respond) =>
      forwardCall(call, respond, target, pool, call.request.nested),
  );
}

/**
 * Makes the handler of `forward()` with several peers as the target, or changing
 * ones.
 *
 * @param maxConcurrentCalls how many calls each of them can have
 */
export function forwardingToSome(
  targets: ForwardTargets,
  maxConcurrentCalls: number,
): HandlerFunction {
  return inTurn(
    new FairShares(() => targets.capacity(maxConcurrentCalls)),
    (call, respond) => forwardToSome(call, respond, targets),
    targets,
  );
}

/** Lets calls wait for their turn. */
function inTurn(
  shares: FairShares,
  forward: Forwarding,
  targets?: ForwardTargets,
): HandlerFunction {
  return async (call, respond) => {
    if (!isServerCall(call) || !isServerResponder(respond)) {
      throw replaced();
    }
    // Nested calls have slots of their own, and others may wait for them.
    if (call.request.nested) return await forward(call, respond);
    const place = new Place(call.session);
    if (!shares.join(place)) await turnOf(place, call, shares, targets);
    try {
      await forward(call, respond);
    } finally {
      shares.leave(place);
    }
  };
}

/** An answer that refuses a call. */
interface Refusal {
  readonly error: RemoteError;
  /** Decides whether the caller gets it. */
  readonly passOn: (passOn: boolean) => void;
  /** Settles when it was passed on. */
  readonly answered: Promise<void>;
}

/** What a call needs to go to another peer when one has refused it. */
interface Attempts {
  readonly request: KeptRequest;
  /**
   * A peer has refused the call. Resolves to whether the caller gets its answer: not
   * if the call goes to another peer.
   */
  refused(error: RemoteError): Promise<boolean>;
}

async function forwardToSome(
  call: ServerCall,
  respond: ServerResponder,
  targets: ForwardTargets,
): Promise<void> {
  const { selector, request: { nested } } = call;
  // What a session that was lost had lent is not at any other one.
  if (isOfCallback(selector)) return await notFound(call, respond);
  const request = targets.failsOver ? new KeptRequest(call) : undefined;
  /** The latest answer that refuses the call. */
  let refusal: Refusal | undefined;
  const options = {
    parent: call,
    // Made only if the call has to wait, or fails.
    get signal() {
      return call.signal;
    },
  };
  const send = async (peer: Caller): Promise<void> => {
    refusal?.passOn(false);
    refusal = undefined;
    const pool = poolOf(peer);
    if (pool === undefined) throw noTarget();
    if (request === undefined) {
      return await forwardCall(call, respond, peer, pool, nested);
    }
    const refused = Promise.withResolvers<never>();
    const answered = forwardCall(call, respond, peer, pool, nested, undefined, {
      request,
      refused: (error) => {
        const { promise, resolve: passOn } = Promise.withResolvers<boolean>();
        refusal = { error, passOn, answered };
        refused.reject(error);
        return promise;
      },
    });
    await Promise.race([answered, refused.promise]);
  };
  try {
    await targets.forward({ selector, options, send });
  } catch (error) {
    const latest = refusal as Refusal | undefined;
    if (latest !== undefined && latest.error === error) {
      latest.passOn(true);
      return await latest.answered;
    }
    latest?.passOn(false);
    // Errors of an attempt say already that the call was forwarded.
    throw error instanceof CallError ? error : passedOn(error, call);
  } finally {
    request?.forget();
  }
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
  if (to === undefined || to.ended) return;
  to.routes ??= new CallbackRoutes();
  to.routes.add(prefix, from, () => async (call, respond) => {
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
  if (!selector.startsWith(RELEASE_SELECTOR)) {
    const id = selector.slice(1);
    return () => session?.routes?.loansOf(id)?.used(id);
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
  return () => session?.routes?.loansOf(id)?.giveBack(id, all);
}

/** Whether a selector calls or releases a function of an extended peer. */
function isOfCallback(selector: string): boolean {
  const id = selector.startsWith(RELEASE_SELECTOR)
    ? selector.slice(RELEASE_SELECTOR.length)
    : selector.slice(1);
  return prefixOf(id) !== undefined;
}

function noTarget(): TypeError {
  return new TypeError("Cannot forward: the target has no session");
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
  targets: ForwardTargets | undefined,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const end = () => {
    cancelLimit();
    cancelConnected?.();
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
  const cancelConnected = targets?.onConnected(() => shares.recheck());
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
  attempts?: Attempts,
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
    const passed = passedOn(error, call);
    if (attempts !== undefined) markUnsent(passed);
    throw passed;
  }
  if (isLate(call)) {
    pool.giveBack(outgoing);
    throw tooLate(call);
  }
  let header: Uint8Array;
  try {
    header = forwardedHeader(call, pool.session);
  } catch (error) {
    pool.giveBack(outgoing);
    throw passedOn(error, call);
  }
  try {
    // If this fails, the response fails too.
    outgoing.send(header)?.catch(() => {});
  } catch {
    // As above.
  }
  const requestPiped = attempts === undefined
    ? pipe(incoming, outgoing)
    : attempts.request.piped;
  attempts?.request.sendTo(outgoing);
  // What has arrived of it has left, unless the target takes no more.
  if (incoming.buffered === 0) onSent?.();
  /** What was taken of the response, to read its header. */
  let taken: Uint8Array | undefined;
  const release = (header: ReceivedHeader | undefined) =>
    releaseDropped({
      channel: outgoing,
      // With a header that was read, it goes to the caller.
      reader: header === undefined && taken !== undefined
        ? { partial: taken }
        : undefined,
      header,
      decode: (bytes) => call.request.context.responseHeaders.get(bytes),
      eofSent: incoming.eofReceived,
      caller: target,
    });
  const onUnanswered = () => release(undefined);
  let watch = watchCaller(call, outgoing, onUnanswered);
  await new Promise<void>((resolve) => outgoing.whenReadable(resolve));
  if (outgoing.buffered === 0 && !incoming.peerClosed) {
    watch.stop();
    attempts?.request.stop();
    outgoing.discard();
    throw passedOn(
      outgoing.failure ??
        new RpcError("no-response", "the target closed it without a response"),
      call,
    );
  }
  if (attempts !== undefined) {
    const { request } = attempts;
    if (request.canRepeat) {
      await takeHeader(outgoing, (bytes) => taken = bytes);
    }
    const error = request.canRepeat
      ? refusalIn(headerBytes(outgoing, taken), call)
      : undefined;
    if (error === undefined) request.settle();
    else {
      request.stop();
      watch.stop();
      if (!await attempts.refused(error)) return outgoing.discard();
      request.leave(outgoing);
      watch = watchCaller(call, outgoing, onUnanswered);
    }
  }
  const { extended } = call.request;
  const loan = !pool.allowsSpares || extended
    ? inspectHeader(
      headerBytes(outgoing, taken),
      call,
      target,
      pool,
      outgoing,
      release,
    )
    : undefined;
  if (extended) {
    const bytes = headerBytes(outgoing, taken);
    const header = bytes && changedHeader(bytes, call, pool);
    if (bytes !== undefined && header !== undefined) {
      const size = PREFIX_SIZE + bytes.length;
      if (taken === undefined) outgoing.consume(size);
      else taken = taken.subarray(size);
      const changed = sendFirst(header, call);
      if (changed !== undefined) await changed;
    }
  }
  if (taken !== undefined) {
    loan?.onBytes(taken);
    await sendFirst(taken, call);
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
  bytes: Uint8Array | undefined,
  call: ServerCall,
  target: Caller,
  pool: ChannelPool,
  channel: RawChannel,
  release: (header: ReceivedHeader) => void,
): Loan | undefined {
  if (bytes === undefined) return undefined;
  const { responseHeaders } = call.request.context;
  try {
    const header = responseHeaders.get(bytes);
    if (header.saysNull) pool.allowSpares();
    const { lends } = header;
    if (lends === undefined) return undefined;
    const { session, channel: incoming } = call;
    addRoute(lends, pool.session, target, session);
    const loan = session?.routes?.loans(
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

/**
 * The header of a response, without its length; undefined if some is missing.
 *
 * @param taken what was taken from the channel already
 */
function headerBytes(
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
async function takeHeader(
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
function refusalIn(
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
 * this returns.
 */
function changedHeader(
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
    return !received.extended || received.refusesPings === refusesPings
      ? undefined
      : encoded(codec, forwardedResponseValue(codec, bytes, refusesPings));
  } catch {
    return undefined; // As in inspectHeader().
  }
}

/**
 * Sends the beginning of a response; what follows is piped after it. A caller that has
 * gone needs none of it.
 */
function sendFirst(
  bytes: Uint8Array,
  { channel }: ServerCall,
): Promise<void> | undefined {
  try {
    return channel.send(bytes)?.catch(() => {});
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
  const mark = target?.nextMark;
  if (deadline === undefined && mark === undefined) {
    return refusesPings
      ? encodeHeader(request, true)
      : request.forwarded ??= encodeHeader(request, false);
  }
  const left = deadline &&
    Math.max(0, Math.ceil(deadline - performance.now()));
  const header = encodeHeader(request, refusesPings, left, mark);
  // The first call to what this side has dialed, which may be no peer.
  if (mark !== undefined) target!.nextMark = undefined;
  return header;
}

function encodeHeader(
  { selector, extension, context: { codec } }: Request,
  refusesPings: boolean,
  left?: number,
  mark?: string,
): Uint8Array {
  const writer = new ValueWriter();
  writer.begin();
  addCallHeader(
    writer,
    codec,
    forwardedHeaderValue(selector, extension, refusesPings, left, mark),
  );
  return writer.message().slice();
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
