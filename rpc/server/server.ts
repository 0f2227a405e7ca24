import { type Codec, ValueReader } from "../../codec/internal.ts";
import type { MemoryAccount, RawChannel } from "../../mux/internal.ts";
import { errorText } from "../errors.ts";
import { invoke, notFound } from "../handler/invoke.ts";
import type { SessionState } from "../session_state.ts";
import type { Handler } from "../types.ts";
import { HeaderCache } from "../wire/header_cache.ts";
import { MAX_CALL_HEADER_SIZE } from "../wire/headers.ts";
import { ArgumentMemory } from "./argument_memory.ts";
import { CallQueue } from "./call_queue.ts";
import { IncomingCall } from "./incoming_call.ts";
import {
  type CallerIn,
  type Request,
  RequestDecoder,
} from "./request_decoder.ts";
import { ChannelResponder } from "./responder.ts";

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
   * Called with errors that no caller gets: a header that cannot be decoded
   * (then without a selector), or an error of a handler that has responded.
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
  /** Where arguments are read into. */
  readonly #memory: ArgumentMemory;
  readonly #nestedMemory: ArgumentMemory;
  /** Channels without a call: most were opened ahead of need. */
  #idle = 0;
  #refusing = false;

  /** Makes a server; {@linkcode serve} gives it channels. */
  constructor(options: ServerOptions) {
    this.#options = options;
    const { state, account } = options;
    const events = {
      // A peer that does not read what it is sent gets no more of it.
      mayBegin: () => !state.congested,
      run: (call: IncomingCall) => this.#run(call),
      refuse: (call: IncomingCall) => this.#refuse(call),
    };
    this.#calls = new CallQueue(options, events);
    this.#nestedCalls = new CallQueue(options, {
      ...events,
      mayBegin: () => true,
    });
    state.onRoom = () => this.#calls.runNextSoon();
    this.#memory = new ArgumentMemory(account, false);
    this.#nestedMemory = new ArgumentMemory(account, true);
    state.onArgumentsFreed = () => this.#memory.decodeSoon();
    const decoder = new RequestDecoder(options.codecs, options.callerIn);
    this.#requests = new HeaderCache(
      (header) => decoder.decode(header),
      state.rememberHeader,
    );
  }

  /** How many channels wait for a call. */
  get idle(): number {
    return this.#idle;
  }

  /** Answers all calls that begin from now on with `unavailable`. */
  refuse(): void {
    this.#refusing = true;
  }

  /** Waits for the call on a channel that the peer opened, and answers it. */
  serve(channel: RawChannel): void {
    const { maxValueSize, account } = this.#options;
    // A call of a callback must begin when other calls have taken all the rest.
    const memory = account.headers.reserved;
    const reader = new ValueReader(channel, maxValueSize, memory);
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
      try {
        const header = reader.next(MAX_CALL_HEADER_SIZE);
        if (header === undefined) return reader.whenReadable(advance);
        idle = false;
        this.#idle--;
        if (header === null) return channel.shutdown();
        call = this.#begin(channel, reader, header);
      } catch (error) {
        if (idle) this.#idle--;
        // Without a header, no caller can be answered. EOF would end a response.
        channel.discard();
        if (error !== channel.failure) this.#options.onError(error, undefined);
        return;
      }
      if (call.responder.state !== "returned") channel.whenClosed(advance);
    };
    channel.whenReadable(advance);
  }

  #begin(
    channel: RawChannel,
    reader: ValueReader,
    header: Uint8Array,
  ): IncomingCall {
    const { state } = this.#options;
    const request = this.#requests.get(header);
    if (request.extended) state.peerExtended = true;
    const responder = new ChannelResponder(channel, request, state);
    const call = new IncomingCall(request, channel, reader, responder, state);
    // While draining, running calls may still need their callbacks.
    call.callback = state.callbacks.match(request.selector);
    const nested = isNested(call);
    reader.memory = nested ? this.#nestedMemory : this.#memory;
    if (this.#refusing && call.callback === undefined) {
      void responder.return(
        refusal("unavailable", "this side is closing"),
      );
    } else this.#queueOf(call).begin(call);
    return call;
  }

  #queueOf(call: IncomingCall): CallQueue<IncomingCall> {
    return isNested(call) ? this.#nestedCalls : this.#calls;
  }

  #run(call: IncomingCall): void {
    const { responder, request, callback } = call;
    let result: void | Promise<void>;
    try {
      result = request.namesNothing
        ? notFound(call, responder)
        : invoke(callback ?? this.#options.handler, call, responder);
    } catch (error) {
      return this.#failed(error, call);
    }
    if (!isPromise(result)) return this.#finished(call);
    const calls = this.#queueOf(call);
    const { arguments: memory } = this.#options.account;
    call.hold(calls === this.#nestedCalls ? memory.reserved : memory);
    calls.add(call);
    result.then(
      () => {
        call.letGo();
        this.#finished(call);
        calls.remove(call);
      },
      (error) => {
        call.letGo();
        this.#failed(error, call);
        calls.remove(call);
      },
    );
  }

  #refuse(call: IncomingCall): void {
    const { running } = this.#queueOf(call);
    void call.responder.return(
      refusal("busy", `${running} calls are running`),
    );
    call.release();
  }

  /** The caller has closed the call, or the session has ended. */
  #closed(call: IncomingCall): void {
    const calls = this.#queueOf(call);
    // What waits has not begun: it never will.
    if (calls.isWaiting(call)) call.channel.discard();
    calls.remove(call);
    call.callerClosed();
  }

  /** The handler has finished: if it did not respond, the answer is `null`. */
  #finished(call: IncomingCall): void {
    const { responder } = call;
    if (responder.state === "pending") void responder.return();
    if (responder.state === "returned") call.release();
    else call.handlerFinished();
  }

  #failed(error: unknown, call: IncomingCall): void {
    const { responder } = call;
    if (responder.state === "pending") {
      const failure = error instanceof Error
        ? error
        : new Error(errorText(error));
      void responder.return(failure);
      return call.release();
    }
    // A continued call stays open after its handler, but not if that fails.
    if (responder.state === "continued") {
      call.channel.abort(error);
      call.channel.cancelRead();
    }
    call.release();
    this.#options.onError(error, call.selector);
  }
}

/** Whether a call of this side may wait for the call. */
function isNested({ request, callback }: IncomingCall): boolean {
  return request.nested || callback !== undefined;
}

/** The error for a call that no handler gets: the caller can make it again. */
function refusal(code: "busy" | "unavailable", why: string): Error {
  return Object.assign(new Error(`${code}: ${why}`), { code });
}

function isPromise(value: void | Promise<void>): value is Promise<void> {
  return typeof (value as Promise<void> | undefined)?.then === "function";
}
