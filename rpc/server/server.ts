import {
  type Codec,
  type ValueBudget,
  ValueReader,
} from "../../codec/internal.ts";
import type { RawChannel } from "../../mux/internal.ts";
import { errorText } from "../errors.ts";
import { invoke, notFound } from "../handler/invoke.ts";
import type { SessionState } from "../session_state.ts";
import type { Handler } from "../types.ts";
import { HeaderCache } from "../wire/header_cache.ts";
import { MAX_CALL_HEADER_SIZE } from "../wire/headers.ts";
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
  /** Limits the memory of all values that have arrived in part. */
  budget: ValueBudget;
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
  readonly #calls: CallQueue;
  /**
   * Calls that may have been made by a handler for which a call of this side
   * waits. They have room of their own, or both would wait forever.
   */
  readonly #nestedCalls: CallQueue;
  /** Channels without a call: most were opened ahead of need. */
  #idle = 0;
  #refusing = false;

  /** Makes a server; {@linkcode serve} gives it channels. */
  constructor(options: ServerOptions) {
    this.#options = options;
    this.#calls = new CallQueue(options);
    this.#nestedCalls = new CallQueue(options);
    const decoder = new RequestDecoder(options.codecs, options.callerIn);
    this.#requests = new HeaderCache((header) => decoder.decode(header));
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
    const { maxValueSize, budget } = this.#options;
    const reader = new ValueReader(channel, maxValueSize, budget);
    let idle = true;
    this.#idle++;
    const advance = () => {
      try {
        const header = reader.next(MAX_CALL_HEADER_SIZE);
        if (header === undefined) return channel.whenReadable(advance);
        idle = false;
        this.#idle--;
        if (header === null) channel.shutdown();
        else this.#begin(channel, reader, header);
      } catch (error) {
        if (idle) this.#idle--;
        // Without a header, no caller can be answered.
        void channel.close();
        if (error !== channel.failure) this.#options.onError(error, undefined);
      }
    };
    channel.whenReadable(advance);
  }

  #begin(channel: RawChannel, reader: ValueReader, header: Uint8Array): void {
    const { state } = this.#options;
    const request = this.#requests.get(header);
    if (request.extended) state.peerExtended = true;
    const responder = new ChannelResponder(channel, request, state);
    // While draining, running calls may still need their callbacks.
    const callback = state.callbacks.match(request.selector);
    if (this.#refusing && callback === undefined) {
      void responder.return(
        refusal("unavailable", "this side is closing"),
      );
      return;
    }
    const nested = request.nested || callback !== undefined;
    const calls = nested ? this.#nestedCalls : this.#calls;
    const call = new IncomingCall(request, channel, reader, responder, state);
    if (calls.hasRoom) this.#run(call, callback, responder, calls);
    else this.#wait(call, callback, responder, calls);
  }

  #run(
    call: IncomingCall,
    callback: Handler | undefined,
    responder: ChannelResponder,
    calls: CallQueue,
  ): void {
    let result: void | Promise<void>;
    try {
      result = request.namesNothing
        ? notFound(call, responder)
        : invoke(callback ?? this.#options.handler, call, responder);
    } catch (error) {
      return this.#failed(error, call, responder);
    }
    if (!isPromise(result)) return this.#finished(call, responder);
    calls.add(call);
    result.then(
      () => {
        this.#finished(call, responder);
        calls.remove(call);
      },
      (error) => {
        this.#failed(error, call, responder);
        calls.remove(call);
      },
    );
  }

  #wait(
    call: IncomingCall,
    callback: Handler | undefined,
    responder: ChannelResponder,
    calls: CallQueue,
  ): void {
    const busy = () => {
      void responder.return(
        refusal("busy", `${calls.running} calls are running`),
      );
      call.release();
    };
    const run = () => this.#run(call, callback, responder, calls);
    if (!calls.wait(call.channel, run, busy)) busy();
  }

  /** The handler has finished: if it did not respond, the answer is `null`. */
  #finished(call: IncomingCall, responder: ChannelResponder): void {
    if (responder.state === "pending") void responder.return();
    if (responder.state === "returned") call.release();
  }

  #failed(
    error: unknown,
    call: IncomingCall,
    responder: ChannelResponder,
  ): void {
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

/** The error for a call that was not begun: the caller can make it again. */
function refusal(code: "busy" | "unavailable", why: string): Error {
  return Object.assign(new Error(`${code}: ${why}`), { code });
}

function isPromise(value: void | Promise<void>): value is Promise<void> {
  return typeof (value as Promise<void> | undefined)?.then === "function";
}
