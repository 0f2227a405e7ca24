/**
 * What handlers of this package use of a call beyond the interfaces `Call` and
 * `Responder`. A program may wrap both and pass the wrappers on to such a
 * handler, which must then do with less.
 *
 * @module
 */
import type {
  Channel,
  MemoryAccount,
  RawChannel,
  RawSession,
} from "../../mux/internal.ts";
import type { RoutedSession } from "../callback/callback_routes.ts";
import type { AnyFunction } from "../remote/value_kinds.ts";
import type { Call, Handler, Responder } from "../types.ts";
import type { absent } from "../wire/value_receiver.ts";
import type { ValueSource, ValueStream } from "../wire/value_source.ts";
import type { Request } from "./request_decoder.ts";

/** A function that answers calls. */
export interface FunctionToCall {
  readonly fn: AnyFunction;
  /** What it gets as `this`. */
  readonly owner: unknown;
  /** What it wants besides its arguments, or in their place. */
  readonly wants: "call" | "stream" | undefined;
  /** How many arguments it has that are not optional, as far as it says. */
  readonly expected: number;
}

/** As `Middleware`, of which this is a part. */
export type MiddlewareToRun = (
  call: Call,
  next: () => Promise<unknown>,
) => unknown;

/**
 * How handlers answer that need more than a value. It is loaded with the server, if
 * the program has such handlers.
 */
export interface Answering {
  /** Answers a call with what a function returns. */
  callFunction(
    called: FunctionToCall,
    call: Call,
    respond: Responder,
  ): void | Promise<void>;
  /** Answers a call by a handler with middleware around it. */
  runMiddleware(
    list: readonly MiddlewareToRun[],
    handler: Handler,
    call: Call,
    respond: Responder,
  ): Promise<void>;
  /** Answers a call with a stream of values. */
  respondWithValues(
    source: ValueSource,
    call: Call,
    respond: Responder,
    reports?: boolean,
  ): Promise<void>;
  /** Starts to take the values of a stream, to respond to a call with them. */
  sourceFor(stream: ValueStream, call: Call): ValueSource;
}

/** A call as the server made it. */
export interface ServerCall extends Call {
  /** The decoded call header. */
  readonly request: Request;
  /** The session that the call arrived on. */
  readonly session: RoutedSession & {
    /** What the session may hold. */
    readonly account: MemoryAccount;
    /** What has passed over the session so far. */
    readonly traffic:
      | Pick<RawSession, "received" | "sent" | "channels">
      | undefined;
  };
  /** As in `Call`. A call that has asked for it ends its channel. */
  readonly channel: RawChannel;
  /** Whether the caller has given the call up, or its session has ended. */
  readonly hasLeft: boolean;
  /**
   * The next value if all of it has arrived, as it usually has; otherwise
   * `absent`, and `receive()` waits for it.
   */
  receiveNow(): unknown | typeof absent;
  /** Drops what was not read, and what still arrives: it is not wanted. */
  drop(): void;
  /**
   * Reports an error of the handler, unless it is meant for the caller or caused
   * by it.
   *
   * @param answers whether the caller gets the error
   */
  report(error: unknown, answers: boolean): void;
  /**
   * The values that the caller streams. Only EOF of an extended caller ends them;
   * anything else that ends them early is thrown.
   */
  stream(): AsyncIterable<unknown>;
}

/** A responder as the server made it. */
export interface ServerResponder extends Responder {
  /** As `return()`, for any number of values. */
  returnAll(values: readonly unknown[]): Promise<void>;
  /** As `send()`, but returns no promise if there is nothing to wait for. */
  sendNow(value: unknown): Promise<void> | undefined;
  /** Continues the call with bytes only, among which no functions are. */
  continueWithBytes(): Promise<Channel>;
  /**
   * Answers with a stream of values, which `sendNow()` sends. It must end with
   * {@linkcode end} or {@linkcode fail}: the header tells an extended caller to
   * expect a trailer.
   */
  continueWithStream(): Promise<void>;
  /** Ends the stream of values: its trailer, EOF, then CLOSE. */
  end(): void;
  /**
   * Ends the stream of values with an error.
   *
   * @returns whether the error can be sent: the caller must be extended
   */
  fail(reason: unknown): boolean;
  /** Leaves answering to code that writes to the channel itself. */
  handOver(): void;
}
