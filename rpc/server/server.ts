import {
  type Codec,
  type ValueBudget,
  ValueReader,
} from "../../codec/internal.ts";
import type { RawChannel } from "../../mux/internal.ts";
import { IncomingCall } from "./incoming_call.ts";
import { errorText } from "../errors.ts";
import { HeaderCache } from "../wire/header_cache.ts";
import { type Request, RequestDecoder } from "./request_decoder.ts";
import { MAX_CALL_HEADER_SIZE } from "../wire/headers.ts";
import { ChannelResponder } from "./responder.ts";
import { invoke } from "../handler/router.ts";
import type { Link } from "../callback/link.ts";
import type { Caller, Handler } from "../types.ts";

/** What a server needs besides channels. */
export interface ServerOptions {
  /** How values may travel: a call is answered in the one that it is in. */
  codecs: readonly Codec[];
  /** Bytes that one argument value may have. */
  maxValueSize: number;
  /** What values that come in parts may take together. */
  budget: ValueBudget;
  /** Calls that may be answered at once; the next ones are told `busy`. */
  maxConcurrentCalls: number;
  /** What the calls of the session share, in both directions. */
  link: Link;
  /** Answers the calls but those of callbacks. */
  handler: Handler;
  /** Makes what handlers call back by, in the codec of the call. */
  callerIn: (codec: Codec) => Caller;
  /**
   * Hears what nobody awaits: a header that cannot be decoded (no selector
   * then), and what a handler throws after it responded.
   */
  onError: (error: unknown, selector: string | undefined) => void;
}

/** Answers the calls of one session: one a channel. */
export class Server {
  readonly #options: ServerOptions;
  readonly #requests: HeaderCache<Request>;
  #running = 0;
  /** Channels that no call has begun on: most were opened ahead of need. */
  #idle = 0;
  #refusing = false;

  /** Makes a server; {@linkcode serve} gives it channels. */
  constructor(options: ServerOptions) {
    this.#options = options;
    const languages = new RequestDecoder(options.codecs, options.callerIn);
    this.#requests = new HeaderCache((header) => languages.read(header));
  }

  /** How many channels wait for a call to begin. */
  get idle(): number {
    return this.#idle;
  }

  /** From now on calls that begin are told to try elsewhere, or later. */
  refuse(): void {
    this.#refusing = true;
  }

  /** Waits for the call on a channel that was opened, and answers it. */
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
        // No header, no caller to tell: the channel is all that it costs.
        void channel.close();
        if (error !== channel.failure) this.#options.onError(error, undefined);
      }
    };
    channel.whenReadable(advance);
  }

  #begin(channel: RawChannel, reader: ValueReader, header: Uint8Array): void {
    const { handler, link, maxConcurrentCalls } = this.#options;
    const request = this.#requests.get(header);
    if (request.extended) link.peerExtended = true;
    const responder = new ChannelResponder(channel, request, link);
    // Calls under way may need to be called back to come to their end.
    const callback = link.callbacks.match(request.selector);
    if (this.#refusing && callback === undefined) {
      void responder.return(
        notBegun("unavailable", "this side is closing"),
      );
      return;
    }
    if (this.#running >= maxConcurrentCalls) {
      void responder.return(
        notBegun("busy", `${this.#running} calls are running`),
      );
      return;
    }
    const call = new IncomingCall(request, channel, reader, responder, link);
    let result: void | Promise<void>;
    try {
      result = invoke(callback ?? handler, call, responder);
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

  /** A handler that is done without a word has answered `null`. */
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
    // What continued outlives its handler, but not its failure.
    if (responder.state === "continued") {
      call.channel.abort(error);
      call.channel.cancelRead();
    }
    call.release();
    this.#options.onError(error, call.selector);
  }
}

/** The error for a call that was not begun: it can be made again. */
function notBegun(code: "busy" | "unavailable", why: string): Error {
  return Object.assign(new Error(`${code}: ${why}`), { code });
}

function isPromise(value: void | Promise<void>): value is Promise<void> {
  return typeof (value as Promise<void> | undefined)?.then === "function";
}
