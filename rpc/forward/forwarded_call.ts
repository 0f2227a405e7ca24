import { PREFIX_SIZE } from "../../codec/internal.ts";
import type { RawChannel } from "../../mux/internal.ts";
import { pipe } from "../../mux/internal_server.ts";
import {
  CallbackRoutes,
  type RoutedSession,
} from "../callback/callback_routes.ts";
import { kindOf } from "../callback/pointers.ts";
import { releaserOf } from "../callback/received_pointers.ts";
import { poolOf } from "../client/channel_pool.ts";
import { type RemoteError, RpcError } from "../errors.ts";
import {
  isServerCall,
  isServerResponder,
  notFound,
} from "../handler/invoke.ts";
import type { ServerCall, ServerResponder } from "../server/server_call.ts";
import type { Caller } from "../types.ts";
import { callbackIdIn } from "../wire/selector.ts";
import { CallLends } from "./loans/call_lends.ts";
import { watchCaller } from "./caller_watch.ts";
import { passedOn, replaced, tooManyLent } from "./errors.ts";
import type { KeptRequest } from "./kept_request.ts";
import {
  beginLoan,
  type ForwardedLoan,
  keepLent,
  releaserIn,
} from "./loans/lent_functions.ts";
import { beginPlainLoan, plainLoans } from "./loans/plain_loans.ts";
import { isOfCallback, isRelease, passRelease } from "./loans/release.ts";
import {
  changedHeader,
  headerBytes,
  refusalIn,
  takeHeader,
} from "./response_header.ts";
import { channelFor, sendHeader, type Target } from "./target.ts";

/** What a call needs to go to another peer when one has refused it. */
export interface Attempts {
  readonly request: KeptRequest;
  /**
   * A peer has refused the call. Resolves to whether the caller gets its answer: not
   * if the call goes to another peer.
   */
  refused(error: RemoteError): Promise<boolean>;
}

/**
 * Lets the peer of `to` call the functions that the peer of `from` lends to it,
 * whatever the handler of its session is.
 *
 * @param lender calls the peer of `from`
 * @param maxCallbacks how many functions of that peer all others may hold. Default:
 * any number
 */
function addRoute(
  prefix: string,
  from: RoutedSession | undefined,
  lender: Caller,
  to: RoutedSession | undefined,
  maxCallbacks?: number,
): void {
  if (from === undefined || to === undefined || to.ended) return;
  to.routes ??= new CallbackRoutes();
  to.routes.add(prefix, from, () => async (call, respond) => {
    if (!isServerCall(call) || !isServerResponder(respond)) throw replaced();
    await callLender(call, respond, from, lender, maxCallbacks);
  });
}

/**
 * Forwards the call or the release of a function to the peer that has lent it.
 *
 * @param source the session of that peer
 * @param lender calls that peer
 * @param maxCallbacks how many functions of that peer all others may hold. Default:
 * any number
 */
export async function callLender(
  call: ServerCall,
  respond: ServerResponder,
  source: RoutedSession,
  lender: Caller,
  maxCallbacks: number | undefined,
): Promise<void> {
  const pool = poolOf(lender);
  if (pool === undefined) return await notFound(call, respond);
  if (isRelease(call)) return await passRelease(call, source, lender);
  const target = { caller: lender, pool, nested: true, maxCallbacks };
  await forwardCall(call, respond, target);
}

/**
 * Forwards one call, and its response.
 *
 * @param attempts given if the call can go to another peer
 */
export async function forwardCall(
  call: ServerCall,
  respond: ServerResponder,
  target: Target,
  attempts?: Attempts,
): Promise<void> {
  const { pool } = target;
  const incoming = call.channel;
  const { lends, extended } = call.request;
  if (lends !== undefined) {
    addRoute(lends, call.session, call.caller, pool.session);
  }
  const outgoing = await channelFor(call, target, attempts !== undefined);
  sendHeader(call, outgoing, pool);
  const lent = attempts !== undefined
    ? attempts.request.lent
    : lends === undefined
    ? undefined
    : new CallLends(lends, call);
  /**
   * Whether the target was sent EOF: it then takes a complete response for taken.
   * That of the caller may have arrived, and not have been passed on.
   */
  let eofSent = false;
  const onEofSent = () => eofSent = true;
  const isEofSent = () => eofSent || attempts?.request.eofSent === true;
  const requestPiped = attempts === undefined
    ? pipe(incoming, outgoing, lent?.onBytes, onEofSent)
    : attempts.request.piped;
  // A caller that is not extended may leave before it is known what the response lends.
  const early: Uint8Array[] = [];
  if (!extended) outgoing.whenDropped((bytes) => early.push(bytes.slice()));
  attempts?.request.sendTo(outgoing);
  /** What was taken of the response, to read its header. */
  let taken: Uint8Array | undefined;
  /** Releases what is left of a response that the caller does not wait for. */
  const releaseAll = () => {
    const { codec, responseHeaders } = call.request.context;
    const release = releaserOf({
      header: undefined,
      decode: (bytes) => responseHeaders.get(bytes),
      eofSent: isEofSent(),
      caller: releaserIn(codec, target),
    });
    if (taken !== undefined) release(taken);
    outgoing.whenDropped(release);
  };
  /** Whether the response is complete and lends functions. */
  let lendsAtOnce = false;
  const giveUp = (answered: boolean) => {
    if (!answered) {
      releaseAll();
      // The loan of an extended caller must not release it again.
      if (extended) taken = undefined;
    }
    if (lendsAtOnce && incoming.eofReceived && !isEofSent()) {
      // The caller has taken them.
      outgoing.discardWithEof();
      onEofSent();
    } else outgoing.discard();
  };
  let watch = watchCaller(call, giveUp);
  await new Promise<void>((resolve) => outgoing.whenReadable(resolve));
  if (outgoing.buffered === 0 && !incoming.peerClosed) {
    watch.stop();
    if (attempts === undefined) lent?.end();
    else attempts.request.stop();
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
      watch = watchCaller(call, giveUp);
    }
  }
  const reads = extended || isOfCallback(call.selector);
  let bytes = reads || !pool.allowsSpares
    ? headerBytes(outgoing, taken)
    : undefined;
  if (reads && bytes === undefined && taken === undefined) {
    // What the response lends must be known, and whether it is that of a stream.
    await takeHeader(outgoing, (some) => taken = some);
    bytes = headerBytes(outgoing, taken);
  }
  const loan = extended
    ? inspectHeader(bytes, taken, call, target, outgoing, lent)
    : inspectPlain(bytes, taken, call, target, outgoing);
  for (const bytes of early) loan?.onDropped(bytes);
  lent?.end();
  // From now on, the loan has what does not reach the caller.
  watch.answered();
  lendsAtOnce = extended && loan?.isComplete === true;
  if (loan?.isRefused) {
    watch.stop();
    attempts?.request.stop();
    // What is left in the channel follows.
    if (taken !== undefined) loan.onDropped(taken);
    outgoing.discard();
    loan.end(isEofSent());
    throw tooManyLent(call);
  }
  if (extended && bytes !== undefined) {
    const header = changedHeader(bytes, call, pool);
    if (header !== undefined) {
      const size = PREFIX_SIZE + bytes.length;
      if (taken === undefined) outgoing.consume(size);
      else taken = taken.subarray(size);
      const changed = sendResponseHeader(header, call);
      if (changed !== undefined) await changed;
    }
  }
  if (taken !== undefined) await sendTaken(taken, incoming, loan);
  respond.handOver();
  await Promise.all([
    requestPiped,
    pipe(outgoing, incoming, loan?.onBytes),
  ]);
  watch.stop();
  loan?.end(isEofSent());
}

/**
 * Looks in the response header for whether the pool may open spare channels, and
 * whether the response lends functions. Returns what watches over those.
 *
 * @param taken what was taken of the response already
 */
function inspectHeader(
  bytes: Uint8Array | undefined,
  taken: Uint8Array | undefined,
  call: ServerCall,
  target: Target,
  channel: RawChannel,
  lent?: CallLends,
): ForwardedLoan | undefined {
  if (bytes === undefined) return undefined;
  const { pool, maxCallbacks } = target;
  const { codec, responseHeaders } = call.request.context;
  try {
    const header = responseHeaders.get(bytes);
    if (header.saysNull) pool.allowSpares();
    const { lends, keptIds, continued } = header;
    // A caller that has gone has released what it had lent.
    if (lent !== undefined && pool.session && !call.channel.peerClosed) {
      keepLent(keptIds, lent, pool.session, call);
    }
    if (continued) forgetRead(call, pool.session);
    if (lends === undefined) return undefined;
    const lender = releaserIn(codec, target);
    addRoute(lends, pool.session, lender, call.session, maxCallbacks);
    const loan = beginLoan({
      lends,
      borrower: call.session,
      source: pool.session,
      lender,
      max: maxCallbacks,
      continued,
      bytes: taken ?? channel.peek(),
      cutOff: () => cutOff(channel, call),
    });
    channel.whenDropped(loan.onDropped);
    return loan;
  } catch {
    // The caller gets the header too, and reports what is wrong with it.
    return undefined;
  }
}

/**
 * The same for a caller that is not extended. The target does not tell it of
 * functions, so all of the bytes have to be looked through.
 *
 * @param taken what was taken of the response already
 */
function inspectPlain(
  header: Uint8Array | undefined,
  taken: Uint8Array | undefined,
  call: ServerCall,
  target: Target,
  channel: RawChannel,
): ForwardedLoan | undefined {
  inspectHeader(header, taken, call, target, channel);
  const source = target.pool.session;
  if (source === undefined) return undefined;
  const { codec, responseHeaders } = call.request.context;
  // Copied, as the channel uses its memory again.
  const bytes = headerBytes(channel, taken)?.slice();
  const loan = beginPlainLoan({
    borrower: call.session,
    source,
    lender: () => releaserIn(codec, target),
    max: target.maxCallbacks,
    bytes: taken ?? channel.peek(),
    isContinued: () => {
      try {
        return bytes === undefined || responseHeaders.get(bytes).continued;
      } catch {
        return true; // What this is, the caller reports.
      }
    },
    cutOff: () => cutOff(channel, call),
  });
  channel.whenDropped(loan.onDropped);
  return loan;
}

/**
 * Drops the rest of a response, when the bytes that are being piped have left. It looks
 * incomplete to the caller, even if the target has ended it with EOF already.
 */
function cutOff(channel: RawChannel, call: ServerCall): void {
  queueMicrotask(() => channel.fail(tooManyLent(call)));
}

/** A call that reads a stream has begun to: the target has it no longer. */
function forgetRead(
  { selector, session }: ServerCall,
  source: RoutedSession | undefined,
): void {
  const id = callbackIdIn(selector);
  if (!isOfCallback(selector) || kindOf(id) === "function") return;
  session.routes?.loansOf(id)?.forget(id);
  if (source !== undefined) plainLoans(session, source)?.forget(id);
}

/** Sends what was taken of a response as {@linkcode pipe} sends what follows. */
async function sendTaken(
  bytes: Uint8Array,
  to: RawChannel,
  loan: ForwardedLoan | undefined,
): Promise<void> {
  let rest = bytes;
  try {
    while (rest.length > 0) {
      const sent = to.trySend(rest);
      if (sent === 0) {
        await new Promise<void>((resolve) => to.whenWritable(resolve));
      }
      loan?.onBytes(rest.subarray(0, sent));
      rest = rest.subarray(sent);
    }
  } catch {
    // The caller has gone.
    loan?.onDropped(rest);
  }
}

/** Sends the header of a response. A caller that has gone needs none. */
function sendResponseHeader(
  bytes: Uint8Array,
  { channel }: ServerCall,
): Promise<void> | undefined {
  try {
    return channel.send(bytes)?.catch(() => {});
  } catch {
    return undefined;
  }
}
