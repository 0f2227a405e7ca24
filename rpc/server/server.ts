import { type Codec, ValueReader } from "../../codec/internal.ts";
import type { MemoryAccount, RawChannel } from "../../mux/internal.ts";
import { errorText } from "../errors.ts";
import { invoke, notFound } from "../handler/invoke.ts";
import type { SessionState } from "../session_state.ts";
import type { Caller, Handler } from "../types.ts";
import { HeaderCache } from "../wire/header_cache.ts";
import { MAX_CALL_HEADER_SIZE } from "../wire/headers.ts";
import { IncomingCall } from "./incoming_call.ts";
import { type Request, RequestDecoder } from "./request_decoder.ts";
import { ChannelResponder } from "./responder.ts";

/** What a server needs besides channels. */
export interface ServerOptions {
  /** The codecs of calls: each call is answered in its own. */
  codecs: readonly Codec[];
  /** The largest argument value, in bytes. */
  maxValueSize: number;
  /** Bounds what the peer can make this side hold. */
  account: MemoryAccount;
  /** How many calls may run at the same time; more are answered with `busy`. */
  maxConcurrentCalls: number;
  /** What all calls of the session share. */
  state: SessionState;
  /** Answers all calls except those of callbacks. */
  handler: Handler;
  /** Makes the caller for calls back in a codec. */
  callerIn: (codec: Codec) => Caller;
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
  #running = 0;
  /** Channels without a call: most were opened ahead of need. */
  #idle = 0;
  #refusing = false;

  /** Makes a server; {@linkcode serve} gives it channels. */
  constructor(options: ServerOptions) {
    this.#options = options;
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
    const { maxValueSize, account } = this.#options;
    // A call of a callback must begin when other calls have taken all the rest.
    const memory = account.headers.reserved;
    const reader = new ValueReader(channel, maxValueSize, memory);
    let idle = true;
    this.#idle++;
    const advance = () => {
      try {
        const header = reader.next(MAX_CALL_HEADER_SIZE);
        if (header === undefined) return reader.whenReadable(advance);
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
    const { handler, state, account, maxConcurrentCalls } = this.#options;
    const request = this.#requests.get(header);
    if (request.extended) state.peerExtended = true;
    const responder = new ChannelResponder(channel, request, state);
    // While draining, running calls may still need their callbacks.
    const callback = state.callbacks.match(request.selector);
    const { values } = account;
    reader.memory = callback === undefined ? values : values.reserved;
    if (this.#refusing && callback === undefined) {
      void responder.return(
        refusal("unavailable", "this side is closing"),
      );
      return;
    }
    if (this.#running >= maxConcurrentCalls) {
      void responder.return(
        refusal("busy", `${this.#running} calls are running`),
      );
      return;
    }
    const call = new IncomingCall(request, channel, reader, responder, state);
    let result: void | Promise<void>;
    try {
      result = request.namesNothing
        ? notFound(call, responder)
        : invoke(callback ?? handler, call, responder);
    } catch (error) {
      return this.#failed(error, call, responder);
    }
    if (!isPromise(result)) return this.#finished(call, responder);
    this.#running++;
    result.then(
      () => {
        this.#running--;
        this.#finished(call, responder);
      },
      (error) => {
        this.#running--;
        this.#failed(error, call, responder);
      },
    );
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

/** The error for a call that no handler gets: the caller can make it again. */
function refusal(code: "busy" | "unavailable", why: string): Error {
  return Object.assign(new Error(`${code}: ${why}`), { code });
}

function isPromise(value: void | Promise<void>): value is Promise<void> {
  return typeof (value as Promise<void> | undefined)?.then === "function";
}
