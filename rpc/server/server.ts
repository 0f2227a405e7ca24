import { type Codec, SpareBuffer, ValueReader } from "../../codec/internal.ts";
import type { MemoryAccount, RawChannel } from "../../mux/internal.ts";
import { CallError } from "../errors.ts";
import { invoke, notFound } from "../handler/invoke.ts";
import type { SessionState } from "../session_state.ts";
import type { Handler } from "../types.ts";
import { Fifo } from "../../queue.ts";
import { toError } from "../wire/headers/error_header.ts";
import { MAX_CALL_HEADER_SIZE } from "../wire/headers/header.ts";
import { HeaderCache, type HeaderUse } from "../wire/headers/header_cache.ts";
import { ArgumentMemory } from "./argument_memory.ts";
import { CallQueue, type QueuedCall } from "./call_queue.ts";
import { HeaderMemory } from "./header_memory.ts";
import { IncomingCall } from "./incoming_call.ts";
import {
  type CallerIn,
  type Request,
  RequestDecoder,
  UnreadableCall,
} from "./request_decoder.ts";
import { mayBegin, refuse, refuseClosing, unanswered } from "./refusals.ts";
import { ChannelResponder } from "./responder.ts";
import { UnsentResponses } from "./unsent_responses.ts";

/** What a server needs besides channels. */
export interface ServerOptions {
  /** The codecs of calls: each call is answered in its own. */
  codecs: readonly Codec[];
  /** The largest argument value, in bytes. */
  maxValueSize: number;
  /** Bounds what the peer can make this side hold. */
  account: MemoryAccount;
  /**
   * How many calls may run at the same time, and as many nested ones; more wait.
   */
  maxConcurrentCalls: number;
  /** How many calls may wait; more are answered with `busy`. */
  maxQueuedCalls: number;
  /** Milliseconds that a call may wait; then it is answered with `busy`. */
  callQueueTimeout: number;
  /** What all calls of the session share. */
  state: SessionState;
  /** Answers all calls except those of callbacks. */
  handler: Handler;
  /** Makes the caller for calls back in a codec. */
  callerIn: CallerIn;
  /**
   * Called with errors that no caller gets, such as a header that cannot be
   * decoded (then without a selector), and with the bugs of handlers.
   */
  onError: (error: unknown, selector: string | undefined) => void;
}

/** Answers the calls of one session, each on its channel. */
export class Server {
  readonly #options: ServerOptions;
  readonly #requests: HeaderCache<Request>;
  readonly #calls: CallQueue<IncomingCall>;
  /**
   * Calls that may have been made by a handler for which a call of this side
   * waits. They have room of their own, or both would wait forever.
   */
  readonly #nestedCalls: CallQueue<IncomingCall>;
  /** Answers that the peer has not taken. */
  readonly #unsent: UnsentResponses;
  /** Keeps the buffer of a large argument. */
  readonly #spare = new SpareBuffer();
  /** Calls of callbacks that run. */
  readonly #callbackCalls = new Fifo<QueuedCall>();
  /** Where arguments are read into. */
  readonly #memory: ArgumentMemory;
  readonly #nestedMemory: ArgumentMemory;
  readonly #headers: HeaderMemory;
  /** Channels without a call: opened ahead of need, or left by a call. */
  #idle = 0;
  /**
   * Calls that came before the peer was admitted, with their arguments unread;
   * undefined once it is.
   */
  #held: Fifo<QueuedCall> | undefined;
  #refusing = false;
  /** How many calls have begun. */
  begun = 0;

  /** Makes a server; {@linkcode serve} gives it channels. */
  constructor(options: ServerOptions) {
    this.#options = options;
    const { state, account } = options;
    state.onError = options.onError;
    this.#unsent = new UnsentResponses(
      account,
      () => this.#calls.runNextSoon(),
    );
    const events = {
      // A peer that does not read what it is sent gets no more of it.
      mayBegin: () => !this.#unsent.congested && !this.#memory.isFull,
      run: (call: IncomingCall) => this.#run(call),
      refuse: (call: IncomingCall) => this.#refuse(call),
    };
    this.#calls = new CallQueue(options, events);
    this.#nestedCalls = new CallQueue(options, {
      ...events,
      mayBegin: () => true,
    });
    state.onGivenUp = (handlers, reason) =>
      this.#giveUpCallbacks(handlers, reason);
    this.#memory = new ArgumentMemory(account, false);
    this.#nestedMemory = new ArgumentMemory(account, true);
    this.#headers = new HeaderMemory(account);
    state.onArgumentsFreed = () => {
      this.#memory.decodeSoon();
      this.#calls.runNextSoon();
    };
    const decoder = new RequestDecoder(
      options.codecs,
      options.callerIn,
      () => state.prefix,
      state.refusesPings,
      state.maxMetaSize,
    );
    this.#requests = new HeaderCache(
      (header) => decoder.decode(header),
      state.rememberHeader,
      useOf,
    );
  }

  /** How many channels wait for a call. */
  get idle(): number {
    return this.#idle;
  }

  /** How many calls run, besides those of callbacks. */
  get running(): number {
    return this.#calls.running + this.#nestedCalls.running;
  }

  /** Answers all calls that begin from now on with `unavailable`. */
  refuse(): void {
    this.#refusing = true;
    this.#takeHeld((call) => refuseClosing(call));
  }

  /**
   * Lets no call begin until {@linkcode admit}, except those of callbacks, which
   * this side has asked for.
   */
  hold(): void {
    this.#held ??= new Fifo();
  }

  /** Lets calls begin, those that were held first. */
  admit(): void {
    this.#takeHeld((call) => this.#queueOf(call).begin(call));
    this.#held = undefined;
  }

  #takeHeld(take: (call: IncomingCall) => void): void {
    for (;;) {
      const call = this.#held?.shift();
      if (call === undefined) return;
      take(call as IncomingCall);
    }
  }

  /** Answers the calls on a channel that the peer opened, one after the other. */
  serve(channel: RawChannel): void {
    // Made with the first bytes: hundreds of channels may wait for a call.
    let reader: ValueReader | undefined;
    let idle = true;
    let call: IncomingCall | undefined;
    this.#idle++;
    const advance = () => {
      // It is also what the channel calls when the caller has closed it, because
      // one function for each call is enough.
      if (call !== undefined) {
        if (call.counts || call.responder.state !== "returned") {
          this.#closed(call);
        }
        return;
      }
      let request: Request | null | undefined;
      try {
        reader ??= this.#readerOf(channel);
        request = this.#requests.read(reader, MAX_CALL_HEADER_SIZE);
        if (request === undefined) return reader.whenReadable(advance);
        idle = false;
        this.#idle--;
        if (request === null) return channel.shutdown();
        if (request.from !== undefined && this.#isOwn(request.from)) {
          return channel.discard();
        }
        this.#meet(request);
        if (request.isPing) return this.#pong(request, channel);
        call = this.#begin(channel, reader, request);
      } catch (error) {
        if (idle) this.#idle--;
        if (error instanceof UnreadableCall) this.#answer(error, channel);
        // Without a header, no caller can be answered. EOF would end a response.
        else channel.discard();
        if (error !== channel.failure) this.#options.onError(error, undefined);
        return;
      }
      const { goesOn, isSent, state } = call.responder;
      if (isSent) return goOn();
      if (!goesOn && state === "returned") return;
      channel.whenClosed(advance);
      if (request.again) call.onGoOn = goOn;
    };
    /** Waits for another call, as for the first. */
    const goOn = () => {
      channel.cancelWhenClosed(advance);
      this.#queueOf(call!).remove(call!);
      call!.leaveChannel();
      call = undefined;
      idle = true;
      this.#idle++;
      this.#options.state.onIdle?.();
      reader!.memory = this.#options.account.headers.reserved;
      // The caller may close it without another call, and it must keep nothing of the
      // last one alive.
      channel.requireEof(undefined);
      channel.nameErrors(undefined);
      channel.whenReadable(advance);
    };
    channel.whenReadable(advance);
  }

  #readerOf(channel: RawChannel): ValueReader {
    const { maxValueSize, account } = this.#options;
    // A call of a callback must begin when other calls have taken all the rest.
    const memory = account.headers.reserved;
    return new ValueReader(channel, maxValueSize, memory, this.#spare);
  }

  #begin(
    channel: RawChannel,
    reader: ValueReader,
    request: Request,
  ): IncomingCall {
    const { state } = this.#options;
    this.begun++;
    const responder = this.#responderOf(channel, request);
    const call = new IncomingCall(request, channel, reader, responder, state);
    // While draining, running calls may still need their callbacks.
    call.callback = state.handlerOfCallback(request.selector);
    if (call.callback !== undefined) {
      responder.name = state.nameOf(request.selector);
    }
    const nested = isNested(call);
    reader.memory = nested ? this.#nestedMemory : this.#memory;
    if (request.weight > 0 && !this.#headers.hold(call, nested)) {
      refuse(call, "busy", "there is no memory for its header");
    } else if (this.#refusing && call.callback === undefined) {
      refuseClosing(call);
    } else if (this.#held !== undefined && call.callback === undefined) {
      this.#hold(call, this.#held);
    } else this.#queueOf(call).begin(call);
    return call;
  }

  /** Whether a call comes from this side; then there is no other one. */
  #isOwn(from: string): boolean {
    const { state } = this.#options;
    if (!state.isOwn(from)) return false;
    state.onEcho?.();
    return true;
  }

  /** Learns from a call header what the peer is. */
  #meet({ extended, refusesPings, context }: Request): void {
    const { state } = this.#options;
    state.peerCodec = context.codec;
    if (extended) state.peerExtended = true;
    if (refusesPings) state.peerRefusesPings = true;
  }

  /**
   * Says that this side is there, whatever else it does: a ping takes the place of
   * no call, waits for none, and reaches no handler.
   */
  #pong(request: Request, channel: RawChannel): void {
    void this.#responderOf(channel, request).return();
  }

  /** A nested call is held, too: only its caller says that it is nested. */
  #hold(call: IncomingCall, held: Fifo<QueuedCall>): void {
    const { length } = held;
    const { maxQueuedCalls } = this.#options;
    if (length < maxQueuedCalls) return held.push(call);
    const limit = ', the limit of "maxQueuedCalls"';
    refuse(call, "busy", `${length} calls are waiting`, limit);
  }

  /** Answers a call in a codec that this side does not accept. */
  #answer({ request, message, code }: UnreadableCall, channel: RawChannel) {
    const responder = this.#responderOf(channel, request);
    responder.returnError(new CallError(message, { code }));
  }

  #responderOf(channel: RawChannel, request: Request): ChannelResponder {
    const { state } = this.#options;
    return new ChannelResponder(channel, request, state, this.#unsent);
  }

  #queueOf(call: IncomingCall): CallQueue<IncomingCall> {
    return isNested(call) ? this.#nestedCalls : this.#calls;
  }

  #handlerOf({ callback, selector }: IncomingCall): Handler {
    const { handler, state } = this.#options;
    if (callback === undefined) return handler;
    return state.around === undefined
      ? callback
      : state.withAround(callback, selector);
  }

  #run(call: IncomingCall): void {
    const { responder, request, callback } = call;
    let result: void | Promise<void>;
    try {
      result = request.usual || mayBegin(call)
        ? invoke(this.#handlerOf(call), call, responder)
        : notFound(call, responder);
    } catch (error) {
      return this.#failed(error, call);
    }
    if (!isPromise(result)) return this.#finished(call, result);
    const calls = this.#queueOf(call);
    const { arguments: memory } = this.#options.account;
    call.hold(calls === this.#nestedCalls ? memory.reserved : memory);
    // What was answered at once has left its channel, and counts no more.
    if (!responder.isSent) calls.add(call);
    if (callback !== undefined) this.#callbackCalls.push(call);
    result.then(
      (value) => {
        call.letGo();
        this.#finished(call, value);
        this.#remove(call, calls);
      },
      (error) => {
        call.letGo();
        this.#failed(error, call);
        this.#remove(call, calls);
      },
    );
  }

  /** The handler of a call has finished. */
  #remove(call: IncomingCall, calls: CallQueue<IncomingCall>): void {
    if (call.callback !== undefined) this.#callbackCalls.remove(call);
    calls.remove(call);
  }

  /** Ends the calls of callbacks of a call that this side has given up. */
  #giveUpCallbacks(handlers: ReadonlySet<Handler>, reason: unknown): void {
    let next: QueuedCall | undefined;
    for (
      let call = this.#callbackCalls.first;
      call !== undefined;
      call = next
    ) {
      next = call.next;
      const { callback } = call as IncomingCall;
      if (handlers.has(callback!)) (call as IncomingCall).giveUp(reason);
    }
  }

  #refuse(call: IncomingCall): void {
    const { running } = this.#queueOf(call);
    const { maxConcurrentCalls } = this.#options;
    const limit = running >= maxConcurrentCalls
      ? ', the limit of "maxConcurrentCalls"'
      : "";
    refuse(call, "busy", `${running} calls are running`, limit);
  }

  /** The caller has closed the call, or the session has ended. */
  #closed(call: IncomingCall): void {
    const calls = this.#queueOf(call);
    const held = this.#held;
    // What waits has not begun: it never will.
    if (held !== undefined && call.queue === held) {
      held.remove(call);
      this.#dropWaiting(call);
    } else {
      if (calls.isWaiting(call)) this.#dropWaiting(call);
      calls.remove(call);
    }
    call.callerClosed();
  }

  #dropWaiting(call: IncomingCall): void {
    call.releaseHeader?.();
    call.channel.discard();
  }

  /** The handler has finished: if it did not respond, the answer is `null`. */
  #finished(call: IncomingCall, result: unknown): void {
    const { responder } = call;
    if (responder.state === "pending") {
      // A function that belongs into handlerFrom() would answer null, unnoticed.
      if (result !== undefined) return this.#failed(unanswered(call), call);
      try {
        void responder.return();
      } catch (error) {
        // As when the metadata that it has set cannot be sent.
        return this.#failed(error, call);
      }
    }
    if (responder.state === "returned") call.release();
    else call.handlerFinished();
  }

  #failed(error: unknown, call: IncomingCall): void {
    const { responder } = call;
    if (responder.state === "pending") {
      responder.returnError(toError(error));
      call.release();
      return call.report(error, true);
    }
    // A continued call stays open after its handler, but not if that fails.
    if (responder.state === "continued") {
      call.channel.abort(error);
      call.channel.cancelRead();
    }
    call.release();
    call.report(error, false);
  }
}

/** Whether a call of this side may wait for the call. */
function isNested({ request, callback }: IncomingCall): boolean {
  return request.nested || callback !== undefined;
}

/**
 * For how long a header may be used again: metadata and a trace context belong to
 * one call.
 */
function useOf({ deadline, meta, extension, from }: Request): HeaderUse {
  if (meta !== undefined || from !== undefined) return "never";
  if (extension?.["trace"] !== undefined) return "never";
  return deadline === undefined ? "long" : "brief";
}

function isPromise(value: void | Promise<void>): value is Promise<void> {
  return typeof (value as Promise<void> | undefined)?.then === "function";
}
