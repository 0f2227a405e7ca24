import { rejectedBy } from "../../check_option.ts";
import {
  decodeWeighed,
  PREFIX_SIZE,
  type ValueReader,
} from "../../codec/internal.ts";
import {
  type ErrorOwner,
  type MemoryKind,
  MuxError,
  type RawChannel,
  type WaitOptions,
} from "../../mux/internal.ts";
import type { BorrowedCallbacks } from "../callback/borrowed_callbacks.ts";
import { HeldValue, mayHavePointers } from "../callback/pointers.ts";
import { printableText } from "../../printable_text.ts";
import { backgroundTimer, timeLimit } from "../../time_limit.ts";
import { readUint32 } from "../../uint32.ts";
import { CallError, namedAfterCall, RemoteError, RpcError } from "../errors.ts";
import type { SessionState } from "../session_state.ts";
import type { Caller, CallingPeer, Handler } from "../types.ts";
import { legible } from "../wire/headers/error_header.ts";
import { MAX_KEPT_SIZE } from "../wire/headers/header.ts";
import { type Metadata, NO_META } from "../wire/metadata.ts";
import { ValueIterator } from "../wire/value_iterator.ts";
import { absent, ValueReceiver } from "../wire/value_receiver.ts";
import type { Fifo } from "../../queue.ts";
import type { QueuedCall } from "./call_queue.ts";
import { type Request, traceIn } from "./request_decoder.ts";
import type { AnsweredCall, ChannelResponder } from "./responder.ts";
import type { ServerCall } from "./server_call.ts";
import { InheritingCaller } from "../client/inheriting_caller.ts";

/**
 * Milliseconds for which a handler may go on to read what the caller of a call has
 * sent before it gave the call up.
 */
export const READING_TIME = 10_000;

/** How deep the causes of an error are searched for the reason of an ending. */
const MAX_CAUSES = 8;

/**
 * Values of up to so many bytes of memory are not counted: those of all calls that
 * may run at the same time are 4 MiB.
 */
const LIGHT = 4 * 1024;
/** Bytes of encoded values that are light, whatever they contain. */
const SMALL = 120;

/** A call that the peer made, as its handler sees it. */
export class IncomingCall
  implements ServerCall, QueuedCall, ErrorOwner, AnsweredCall {
  counts = false;
  queue: Fifo<QueuedCall> | undefined;
  previous: QueuedCall | undefined;
  next: QueuedCall | undefined;
  /** Cancels the limit on the time to wait for its turn, or to read on. */
  cancelLimit: (() => void) | undefined;
  /** Gives back the memory of a large header, once. */
  releaseHeader: (() => void) | undefined;
  onGoOn: (() => void) | undefined;
  /** Answers the call if it is the call of a callback. */
  callback: Handler | undefined;
  readonly request: Request;
  readonly responder: ChannelResponder;
  readonly #channel: RawChannel;
  readonly #reader: ValueReader;
  readonly session: SessionState;
  #receiver: ValueReceiver | undefined;
  /** Whether the handler has asked for a value. */
  #hasRead = false;
  /** Whether it has got one that had arrived, and was not too large. */
  #hasTaken = false;
  /** Whether it has asked for the channel. */
  #isShared = false;
  #abort: AbortController | undefined;
  /** Aborts the signal when the caller leaves. */
  #onClosed: (() => void) | undefined;
  /** On the clock of `performance.now()`; undefined if there is none. */
  readonly #deadline: number | undefined;
  /** Bytes of memory of the value that was received last, unless it is light. */
  #weight = 0;
  /** Where they are taken from, while the handler runs. */
  #memory: MemoryKind | undefined;
  /** Whether the handler has finished, and left the call continued. */
  #finished = false;
  /** What reading the arguments at once has thrown last. */
  #readError: unknown;

  /** Makes the call that a header has begun. */
  constructor(
    request: Request,
    channel: RawChannel,
    reader: ValueReader,
    responder: ChannelResponder,
    session: SessionState,
  ) {
    this.request = request;
    this.#channel = channel;
    this.#reader = reader;
    this.responder = responder;
    responder.call = this;
    this.session = session;
    channel.nameErrors(this);
    if (request.extended) channel.requireEof(cancelled);
    if (request.deadline !== undefined) {
      this.#deadline = session.now() + request.deadline;
    }
  }

  get selector(): string {
    return this.request.selector;
  }

  get peer(): CallingPeer {
    return this.session.peer!;
  }

  get meta(): Metadata {
    return this.request.meta ?? NO_META;
  }

  get trace(): string | undefined {
    return traceIn(this.request.extension);
  }

  get responseMeta(): Record<string, unknown> {
    return this.responder.meta ??= {};
  }

  get caller(): Caller {
    const caller = this.#plainCaller;
    return this.#deadline === undefined
      ? caller
      : new InheritingCaller(caller, this);
  }

  get #plainCaller(): Caller {
    const { context, extended } = this.request;
    return extended ? context.caller : context.plainCaller;
  }

  get deadline(): number | undefined {
    return this.responder.state === "pending" ? this.#deadline : undefined;
  }

  /** Whether its deadline has passed without an answer. */
  get isLate(): boolean {
    const deadline = this.#deadline;
    return deadline !== undefined && deadline <= this.session.now() &&
      this.responder.state === "pending";
  }

  get channel(): RawChannel {
    if (this.responder.goesOn) {
      throw new RpcError(
        "invalid-state",
        `Cannot use channel: call "${this.responder.name}" has been answered`,
      );
    }
    // The handler may use it at any time, so it can have no other call.
    this.#isShared = true;
    return this.#channel;
  }

  get hasLeft(): boolean {
    if (this.responder.goesOn) return false;
    const { failure, peerClosed } = this.#channel;
    // Other implementations may close a channel when they have sent everything.
    return failure !== undefined || this.request.extended && peerClosed;
  }

  get signal(): AbortSignal {
    // Made on demand: most handlers finish without asking for it.
    if (this.#abort === undefined) {
      const abort = this.#abort = new AbortController();
      if (this.responder.goesOn) return abort.signal;
      this.#onClosed = () => {
        if (this.responder.state === "returned") return;
        abort.abort(this.#channel.failure ?? this.named(cancelled()));
      };
      this.#channel.whenClosed(this.#onClosed);
      const { deadline } = this;
      if (deadline !== undefined) this.#abortAt(deadline, abort);
    }
    return this.#abort.signal;
  }

  /**
   * Stops watching the channel and the deadline: the call was answered, and its channel
   * is free for others. The handler may run on for long, and nothing else would do it.
   */
  leaveChannel(): void {
    if (this.#onClosed) this.#channel.cancelWhenClosed(this.#onClosed);
    this.cancelLimit?.();
  }

  #abortAt(deadline: number, abort: AbortController): void {
    const expire = () => {
      if (this.responder.state !== "pending") return;
      const tooLate = new RpcError(
        "deadline-exceeded",
        `Cannot answer call "${
          printableText(this.responder.name)
        }" in time: its deadline has passed`,
      );
      this.responder.tooLate = tooLate;
      abort.abort(tooLate);
    };
    const left = deadline - performance.now();
    if (left <= 0) return expire();
    const { cancelLimit } = this;
    const cancel = timeLimit(left, expire);
    this.cancelLimit = () => {
      cancelLimit?.();
      cancel();
    };
  }

  named(error: unknown): unknown {
    return namedAfterCall(error, this.responder.name);
  }

  receive(options?: WaitOptions): Promise<unknown> {
    try {
      if (this.#weight > 0 || this.responder.borrowed !== undefined) {
        if (!this.#receiver?.holds) this.#goOn();
      }
    } catch (error) {
      const own = this.named(error);
      this.#readError = own;
      return Promise.reject(own);
    }
    const rejected = rejectedBy(options?.signal);
    if (rejected !== undefined) return rejected;
    if (this.#receiver === undefined) {
      this.#hasRead = true;
      try {
        // Most calls have one argument, which has arrived: they need no receiver.
        const value = this.receiveNow();
        if (value !== absent) return Promise.resolve(value);
      } catch (error) {
        return Promise.reject(error);
      }
    }
    return (this.#receiver ??= this.#newReceiver()).receive(options);
  }

  /**
   * The program asks for another value. The last one does not count any more: of
   * several calls that hold one and wait for memory, each could wait for the others.
   */
  #goOn(): void {
    if (this.#weight > 0) this.#weigh(0);
    this.responder.borrowed?.goOn();
  }

  get isWholeRead(): boolean {
    const channel = this.#channel;
    return this.#hasTaken && !this.#isShared && this.#receiver === undefined &&
      channel.buffered === 0 && !channel.ended;
  }

  receiveNow(): unknown | typeof absent {
    // What arrives belongs to another call.
    if (this.responder.goesOn) return undefined;
    try {
      if (this.#receiver?.holds) return this.#receiver.receiveNow();
      const { decodeTiny } = this.request.context;
      if (decodeTiny !== undefined) {
        const value = this.#reader.takeTiny(decodeTiny);
        if (value !== undefined) {
          this.#hasTaken = true;
          this.#weigh(0);
          return value;
        }
      }
      const bytes = this.#reader.next();
      if (bytes === undefined) return absent;
      if (bytes === null) return this.#receiver?.receiveNow();
      this.#hasTaken = bytes.length <= MAX_KEPT_SIZE;
      return bytes.length === 0
        ? (this.#receiver ??= this.#newReceiver()).take(bytes)
        : this.#decode(bytes);
    } catch (error) {
      this.#hasTaken = false;
      throw this.#readError = this.request.extended
        ? namedAfterCall(error, this.responder.name)
        : error;
    }
  }

  stream(): AsyncIterable<unknown> {
    return new ValueIterator(() => this.receive(), () => {});
  }

  report(thrown: unknown, answers: boolean): void {
    const error = legible(thrown);
    const isForCaller = error instanceof CallError ||
      error instanceof RemoteError;
    // A caller that has left in the middle has no use for it.
    const settled = answers ||
      this.#isClosed && this.responder.state !== "returned";
    if (isForCaller && settled) return;
    if (!this.#isCausedByCaller(error)) this.responder.report(error);
  }

  /** Whether the caller has closed the call, or it was cut off. */
  get #isClosed(): boolean {
    // What happens to the channel later concerns other calls.
    return !this.responder.goesOn &&
      (this.#channel.peerClosed || this.#channel.failure !== undefined);
  }

  /** Whether an error is one of reading arguments, or says that the caller left. */
  #isCausedByCaller(error: unknown): boolean {
    if (!(error instanceof Error)) return false;
    if (error === this.#readError || error === this.#receiver?.error) {
      return true;
    }
    const { failure } = this.#channel;
    const isClosed = this.#isClosed;
    const reason = this.#abort?.signal.reason;
    let next: unknown = error;
    for (let depth = 0; depth < MAX_CAUSES && next instanceof Error; depth++) {
      if (this.session.isPeersFault(next)) return true;
      if (next === reason || isTooLate(next)) return true;
      if (isClosed && (next === failure || isEnding(next))) return true;
      next = next.cause;
    }
    return false;
  }

  /** Drops what has arrived of a value; nothing more will be received. */
  release(): void {
    this.cancelLimit?.();
    this.releaseHeader?.();
    if (!this.responder.goesOn) this.#reader.release();
  }

  drop(): void {
    if (this.responder.goesOn) return;
    const receiver = this.#receiver ??= this.#newReceiver();
    receiver.cutOff(this.named(cancelled()));
    this.#reader.release();
    this.#channel.cancelRead();
    receiver.wake();
  }

  /**
   * The caller has closed the call, or the session has ended. Unread bytes would
   * keep the slot of the channel, so they are dropped: at once, or a while later
   * if the handler has begun to read them. Left to the handler are the bytes of a
   * caller that is not extended, which may have sent all that it wanted to, those of
   * a continued call, and those that the streams of the channel read, which would end
   * as if nothing were missing. What was cut off is left for a while only.
   */
  callerClosed(): void {
    this.cancelLimit?.();
    this.#reader.releaseCut();
    const { state } = this.responder;
    if (state === "returned") return;
    const isRead = this.#isRead;
    const isLeft = state === "continued" || !this.request.extended ||
      this.#channel.inUse && !isRead;
    if (isLeft) {
      if (this.#finished) this.#dropIfUnused();
      this.#dropIfLeft();
    } else if (isRead) this.#limitReading(() => this.#giveUp());
    else this.#giveUp();
  }

  /** Calls back unless what has arrived is read within a while. */
  #limitReading(expire: () => void): void {
    if (this.#channel.buffered === 0) return;
    this.cancelLimit = backgroundTimer(READING_TIME, expire, false);
    this.#channel.whenDrained(this.cancelLimit);
  }

  /**
   * Drops what is left to a handler that does not read it. What the caller has ended is
   * complete, and may take any time.
   */
  #dropIfLeft(): void {
    const channel = this.#channel;
    if (channel.buffered === 0) return;
    const isOver = this.#finished && !this.#isRead && !channel.isBeingRead;
    if (channel.failure === undefined) {
      // Some handlers only write to the channel, and leave the argument.
      // A later reader must not take the end for a clean one.
      if (isOver && this.#hasArgumentOnly) {
        channel.fail(this.named(cancelled()));
      }
      return;
    }
    const drop = () => {
      channel.fail(channel.failure);
      this.#reader.release();
      this.#receiver?.wake();
    };
    if (isOver) drop();
    else this.#limitReading(drop);
  }

  /** Whether one value has arrived, and nothing else. */
  get #hasArgumentOnly(): boolean {
    const { chunk, chunkStart, chunkEnd, buffered } = this.#channel;
    return chunk !== undefined && chunkEnd - chunkStart >= PREFIX_SIZE &&
      readUint32(chunk, chunkStart) + PREFIX_SIZE === buffered;
  }

  /** This side has given up the call that this one is a part of. */
  giveUp(reason: unknown): void {
    if (this.responder.state === "returned") return;
    this.#abort?.abort(reason);
    this.#channel.abort(reason);
    this.drop();
  }

  #giveUp(): void {
    // The handler still learns why the caller's stream of values has failed.
    (this.#receiver ??= this.#newReceiver()).skip();
    this.drop();
  }

  /** The handler has finished and left the call continued. */
  handlerFinished(): void {
    this.cancelLimit?.();
    this.releaseHeader?.();
    this.#finished = true;
    if (!this.#channel.peerClosed) return;
    this.#dropIfUnused();
    this.#dropIfLeft();
  }

  /** A program may read on when its handler has finished, if it has begun to. */
  #dropIfUnused(): void {
    if (!this.#isRead && !this.#channel.inUse) this.drop();
  }

  /** Whether the handler has begun to read values, and may read on. */
  get #isRead(): boolean {
    return this.#hasRead || this.#receiver !== undefined;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<unknown, undefined> {
    for (;;) {
      const value = await this.receive();
      if (value === undefined) return;
      yield value;
    }
  }

  #newReceiver(): ValueReceiver {
    const { context, extended } = this.request;
    return new ValueReceiver(
      this.#reader,
      context.codec,
      (bytes) => this.#decode(bytes),
      extended ? "possible" : "none",
      extended ? this.responder.name : undefined,
    );
  }

  /**
   * The handler takes a while: from now on, the value that it has received last
   * counts as held. Handlers of streams seldom keep those before it.
   */
  hold(memory: MemoryKind): void {
    this.#memory = memory;
    if (this.#weight > 0) memory.take(this.#weight);
  }

  /** The handler has finished, and with it what it has received. */
  letGo(): void {
    if (this.#weight > 0) {
      this.#memory?.give(this.#weight);
      this.session.onArgumentsFreed?.();
    }
    this.#memory = undefined;
  }

  #weigh(bytes: number): void {
    const weight = bytes > LIGHT ? bytes : 0;
    if (weight === this.#weight) return;
    this.#memory?.give(this.#weight);
    this.#memory?.take(weight);
    if (weight < this.#weight) this.session.onArgumentsFreed?.();
    this.#weight = weight;
  }

  #newBorrowed(): BorrowedCallbacks {
    const { request, session, callback } = this;
    return new session.receiving!.BorrowedCallbacks(
      this.#plainCaller,
      session,
      session.originOf(request.selector),
      request.nested || callback !== undefined,
      this.#deadline === undefined ? undefined : this,
    );
  }

  #decode(bytes: Uint8Array): unknown {
    const { codec } = this.request.context;
    let value: unknown;
    if (bytes.length <= SMALL) {
      value = codec.decode(bytes);
      this.#weigh(0);
    } else {
      const { weight } = this.session;
      value = decodeWeighed(codec, bytes, weight);
      this.#weigh(weight.bytes);
    }
    if (!mayHavePointers(value, bytes)) return value;
    if (this.session.receiving !== undefined) return this.#revive(value);
    const held = new HeldValue(value, this.session, () => this.#revive(value));
    return (this.#receiver ??= this.#newReceiver()).hold(held);
  }

  /** Makes the functions and streams in a value. */
  #revive(value: unknown): unknown {
    const borrowed = this.responder.borrowed ??= this.#newBorrowed();
    try {
      return borrowed.revive(value);
    } finally {
      // It may have been answered while the module was loaded.
      if (this.responder.state === "returned") borrowed.ended();
    }
  }
}

/** Whether an error says that something was given up, or has ended. */
function isEnding(error: Error): boolean {
  return error.name === "AbortError" || error instanceof MuxError ||
    error instanceof RpcError && error.code === "cancelled";
}

/** Whether an error says that the caller's deadline has passed. */
function isTooLate(error: Error): boolean {
  return error instanceof RpcError && error.code === "deadline-exceeded";
}

/** The error of what an extended caller has closed without EOF. */
function cancelled(): RpcError {
  return new RpcError("cancelled", "Call was closed by the caller");
}
