import { reasonOf } from "../../abort_reason.ts";
import {
  CodecError,
  PREFIX_SIZE,
  ValueReader,
  type ValueWriter,
} from "../../codec/internal.ts";
import { copyOf, MuxError, type RawChannel } from "../../mux/internal.ts";
import { HeldValue } from "../callback/pointers.ts";
import {
  incomplete,
  markUnsent,
  namedAfterCall,
  type Outcome,
  rejectAtCaller,
  RpcError,
} from "../errors.ts";
import { LentCallbacks } from "../callback/lent_callbacks.ts";
import { MAX_CALL_HEADER_SIZE, MAX_KEPT_SIZE } from "../wire/headers/header.ts";
import {
  type ReceivedHeader,
  remoteError,
} from "../wire/headers/response_header.ts";
import { type Metadata, refusalOfMeta } from "../wire/metadata.ts";
import type { ValueStream } from "../wire/value_source.ts";
import type { CallContext } from "./call_context.ts";
import {
  CallLimits,
  deadlineExceeded,
  type LimitedCall,
  timedOut,
  type TimeLimit,
} from "./call_limits.ts";
import type { ChannelRequest } from "./channel_pool.ts";
import { PENDING_CALL, type PendingCallState } from "./pending_call_state.ts";
import {
  type ResponsePort,
  RpcResponse,
  unexpectedStream,
} from "./response.ts";
import {
  type ArgumentsOwner,
  StreamedArguments,
} from "./streamed_arguments.ts";

/**
 * A call until its outcome, of which it has exactly one.
 *
 * @typeParam T what the call resolves to
 */
export abstract class PendingCall<T = unknown>
  implements ArgumentsOwner, LimitedCall {
  readonly selector: string;
  /** Whether its header says that the channel may have other calls. */
  again = false;
  /** The channel that the call waits for, if there was no spare one. */
  opening: ChannelRequest | undefined;
  /** Settles the promise of the call. */
  protected readonly outcome: Outcome<T>;
  readonly #context: CallContext;
  #state: PendingCallState = PENDING_CALL.opening;
  #channel!: RawChannel;
  /** Made by `#reader`. */
  #valueReader: ValueReader | undefined;
  #arguments: StreamedArguments | undefined;
  #lent: LentCallbacks | undefined;
  #header: ReceivedHeader | undefined;
  #limits: CallLimits | undefined;
  /** Whether the response of an extended peer may have functions. */
  #tookFunctions = false;
  /** A value that waits for what makes the functions in it. */
  #held: HeldValue | undefined;
  /** Bytes of the values that have arrived. */
  #receivedSize = 0;

  /** Makes a call that has not begun. */
  constructor(selector: string, context: CallContext, outcome: Outcome<T>) {
    this.selector = selector;
    this.#context = context;
    this.outcome = outcome;
  }

  /**
   * Takes a reply value; returns the event if no other value is needed.
   *
   * @param continued whether the response is continued
   */
  protected abstract take(
    value: unknown,
    continued: boolean,
  ): "satisfy" | "hand-over" | undefined;

  /**
   * Resolves with the values that were taken.
   *
   * @param continued the rest of a response that was handed over
   */
  protected abstract resolve(continued: ResponsePort | undefined): void;

  /** Whether the caller wants all of a continued response. */
  get mayContinue(): boolean {
    return false;
  }

  /** Whether its channel may have another call now that one value has arrived. */
  protected get answered(): boolean {
    return this.again && this.#header!.again && !this.#header!.continued;
  }

  /** What errors call it. */
  get name(): string {
    return this.#context.state.nameOf(this.selector);
  }

  /** Milliseconds that the call has left; undefined without a time limit. */
  get timeLeft(): number | undefined {
    return this.#limits?.left;
  }

  /** Ends the call at the caller's signal or timeout. */
  limit(signal: AbortSignal | undefined, limit: TimeLimit): void {
    const { timeout, inherited } = limit;
    if (signal === undefined && timeout === undefined) return;
    // Encoding the arguments may have run code of the program.
    if (signal?.aborted) return this.giveUp(reasonOf(signal));
    this.#limits = new CallLimits(this, signal, timeout, () => {
      const error = inherited
        ? deadlineExceeded(this.name)
        : timedOut(this.name, timeout!);
      this.#lent?.giveUp(error);
      this.fail(error);
    });
  }

  /**
   * Encodes what the codec has refused, with pointers in place of functions,
   * which are lent until the call ends.
   *
   * @throws {unknown} `refusal`, or why lending is not possible
   */
  lend(
    value: unknown,
    refusal: unknown,
    encode: (value: unknown, lends: string) => ValueWriter,
  ): ValueWriter {
    const lent = this.#lending();
    return lent.encode(
      this.#context.codec,
      value,
      refusal,
      (plain) => encode(plain, lent.prefix),
    );
  }

  /** The channel is open: sends the request and waits for the response. */
  run(
    channel: RawChannel,
    request: ValueWriter | Uint8Array,
    stream: ValueStream | undefined,
  ): void {
    this.#state = this.#state.open;
    if (this.#state.name !== "header") return channel.discard();
    this.#channel = channel;
    const context = this.#context;
    // A responder of this package has done with a call when it has answered it.
    if (context.state.peerExtended) channel.deferClose(true);
    try {
      // If sending fails, waiting for the response fails too.
      context.messages.send(channel, request)?.catch(() => {});
      if (stream !== undefined) {
        const lent = this.#lending();
        this.#arguments = new StreamedArguments(context, channel, lent, this);
        void this.#arguments.send(stream);
      }
      channel.whenReadable(this.#advance);
    } catch (error) {
      this.failNamed(error);
    }
  }

  /** Rejects the call, because there is no channel to send it on. */
  failUnsent(error: unknown): void {
    // What has ended it may have ended others, which were sent.
    if (this.#state.name !== "opening") return;
    let own = namedAfterCall(error, this.name);
    // A session gives one error to all that wait for it.
    if (own === error && error instanceof MuxError) own = copyOf(error);
    markUnsent(own);
    this.failNamed(own);
  }

  /** Rejects the call with an error of this side, which then names the call. */
  failNamed(error: unknown): void {
    const named = namedAfterCall(error, this.name);
    const { nested, state } = this.#context;
    if (nested && this.#isPeersFault(error)) state.blamePeer(named);
    this.fail(named);
  }

  /** Whether the peer, which is called back, is the cause of an error. */
  #isPeersFault(error: unknown): boolean {
    if (error instanceof RpcError && error.code === "load-failed") return false;
    // Before that, the arguments were encoded: those are the program's.
    return this.#state.name !== "opening" || error instanceof MuxError ||
      error instanceof RpcError && error.code === "limit-exceeded";
  }

  /** Rejects the call, unless it has its outcome, and closes its channel. */
  fail(reason: unknown): void {
    if (!this.#fail(reason)) return;
    rejectAtCaller(this.outcome, reason, this.#context.callSites?.of(this));
  }

  giveUp(reason: unknown): void {
    this.#lent?.giveUp(reason);
    // The reason belongs to the program, with its stack.
    if (this.#fail(reason)) this.outcome.reject(reason);
  }

  /**
   * Closes the channel; returns whether the call had no outcome yet.
   *
   * @param errorSent if set, the channel is closed when it settles
   */
  #fail(reason: unknown, errorSent?: Promise<void>): boolean {
    const before = this.#state;
    this.#state = before.fail;
    if (this.#state === before) return false;
    this.#lent?.cut();
    this.#end(reason);
    if (before.name === "opening") {
      this.#context.state.notSent(this);
      this.opening?.cancel(reason);
    } else {
      const channel = this.#channel;
      this.#releaseUnread();
      const abort = () => channel.abort(reason);
      if (errorSent === undefined) abort();
      else errorSent.then(abort, abort);
      channel.cancelRead();
      this.#reader.release();
    }
    return true;
  }

  get responderExtended(): boolean {
    return this.#header?.extended ?? false;
  }

  argumentsFailed(
    reason: unknown,
    errorSent: Promise<void> | undefined,
  ): void {
    // As in giveUp().
    if (this.#fail(reason, errorSent)) this.outcome.reject(reason);
  }

  /** Made when the response arrives: what waits for one should be small. */
  get #reader(): ValueReader {
    const { maxValueSize, memory, spare } = this.#context;
    return this.#valueReader ??= new ValueReader(
      this.#channel,
      maxValueSize,
      memory,
      spare,
    );
  }

  #lending(): LentCallbacks {
    return this.#lent ??= new LentCallbacks(
      this.#context.state,
      this.selector,
    );
  }

  // --- The response ---------------------------------------------------------

  readonly #advance = (): void => {
    try {
      for (;;) {
        const { name } = this.#state;
        const reader = this.#reader;
        let next: ReceivedHeader | Uint8Array | null | undefined;
        if (name === "header") {
          const { responseHeaders } = this.#context;
          next = responseHeaders.read(reader, MAX_CALL_HEADER_SIZE);
        } else if (name === "values" || name === "first") {
          if (name === "first" && !this.#canContinue()) return;
          if (this.#takeTiny(name === "first")) continue;
          next = reader.next();
        } else return;
        if (next === undefined) return reader.whenReadable(this.#advance);
        if (next === null) return this.#peerEnded();
        if (name === "header") this.#readHeader(next as ReceivedHeader);
        else this.#readValue(next as Uint8Array, name === "first");
        if (this.#held !== undefined) return;
      }
    } catch (error) {
      this.failNamed(error);
    }
  };

  /** Loads what continues a call, where the caller wants that; then reads on. */
  #canContinue(): boolean {
    const { state } = this.#context;
    if (!this.mayContinue || state.continuing !== undefined) return true;
    state.loadContinuing().then(
      this.#advance,
      (error) => this.failNamed(error),
    );
    return false;
  }

  #readHeader(header: ReceivedHeader): void {
    const { channels, responseHeaders, state } = this.#context;
    this.#header = header;
    if (header.saysNull) channels.allowSpares();
    if (header.extended) {
      state.peerExtended = true;
      if (header.refusesPings) state.peerRefusesPings = true;
      this.#channel.requireEof(incomplete);
    }
    if (header.meta !== undefined) {
      this.#checkMeta(header.meta, responseHeaders.size);
    }
    this.#lent?.keep(header.keptIds);
    if (header.error !== undefined) {
      const late = header.about?.code === "deadline-exceeded";
      if (late && this.#limits?.expireIfDue()) return;
      // Texts of other peers are passed on as they are, as the reference does.
      const id = header.extended ? this.selector : undefined;
      return this.fail(remoteError(header, this.name, id));
    }
    if (header.continued) {
      // Its handler has the channel, and may wait until both sides have closed it.
      this.#channel.deferClose(false);
      this.#state = this.#state.continue;
    } else this.#state = this.#state.complete;
  }

  #checkMeta(meta: Metadata, headerSize: number): void {
    const { codec, state } = this.#context;
    const whose = `the response to "${this.name}"`;
    const { maxMetaSize } = state;
    const refusal = refusalOfMeta(meta, codec, headerSize, maxMetaSize, whose);
    if (refusal !== undefined) throw refusal;
  }

  /** The metadata in the header of the response. */
  protected get meta(): Metadata | undefined {
    return this.#header?.meta;
  }

  /** Takes the next value if it is a tiny one; returns whether it was. */
  #takeTiny(continued: boolean): boolean {
    const { decodeTiny } = this.#context;
    if (decodeTiny === undefined) return false;
    const channel = this.#channel;
    const { buffered } = channel;
    const value = this.#reader.takeTiny(decodeTiny);
    if (value === undefined) return false;
    this.#countSize(buffered - channel.buffered - PREFIX_SIZE);
    this.#takeValue(value, continued);
    return true;
  }

  #countSize(bytes: number): void {
    const { maxValueSize } = this.#context;
    this.#receivedSize += bytes;
    if (this.#receivedSize <= maxValueSize) return;
    throw new CodecError(
      "too-large",
      `Cannot complete call "${this.name}": its values exceed ${maxValueSize} bytes together (option "maxValueSize")`,
    );
  }

  #readValue(bytes: Uint8Array, continued: boolean): void {
    const context = this.#context;
    this.#countSize(bytes.length);
    const value = context.decode(bytes, this.selector);
    if (context.mayHaveFunctions) {
      if (this.#header!.extended) this.#tookFunctions = true;
      if (value instanceof HeldValue) return this.#hold(value, continued);
    }
    this.#takeValue(value, continued);
  }

  /** Takes a value, and reads on, when what makes its functions was loaded. */
  #hold(held: HeldValue, continued: boolean): void {
    this.#held = held;
    held.whenReady().then(() => {
      if (this.#held === undefined) return;
      this.#held = undefined;
      try {
        this.#takeValue(held.finish(), continued);
      } catch (error) {
        return this.failNamed(error);
      }
      this.#advance();
    }, (error) => this.failNamed(error));
  }

  #takeValue(value: unknown, continued: boolean): void {
    const event = this.take(value, continued);
    if (event === "satisfy") this.#finish(this.#state.satisfy);
    else if (event === "hand-over") this.#finish(this.#state["hand-over"]);
  }

  #peerEnded(): void {
    if (this.#state.name !== "header") return this.#finish(this.#state.end);
    this.failNamed(
      new RpcError(
        "no-response",
        `Cannot complete call "${this.name}": the peer closed it without a response${
          this.#context.state.peerExtended
            ? ""
            : `; it may use another codec than ${this.#context.codec.name} (option "codec")`
        }`,
      ),
    );
  }

  #finish(state: PendingCallState): void {
    this.#state = state;
    if (state.name === "continued") {
      this.#limits?.answered();
      const { ContinuedCall } = this.#context.state.continuing!;
      return this.resolve(
        new ContinuedCall(
          this.selector,
          this.name,
          this.#context,
          this.#channel,
          this.#reader,
          this.#lending(),
          this.#arguments,
          this.#header!,
          this.#limits,
        ),
      );
    }
    this.#end();
    const channel = this.#channel;
    const mayGoOn = this.answered && this.#header!.lends === undefined &&
      this.#receivedSize <= MAX_KEPT_SIZE && !this.#context.state.draining;
    if (mayGoOn && !channel.ended && channel.buffered === 0) {
      // Between two calls, nothing is lost if it ends.
      channel.requireEof(undefined);
      this.#context.channels.giveBack(channel);
    } else {
      this.#releaseUnread();
      // This tells the responder that its functions have an owner.
      if (this.#tookFunctions) channel.discardWithEof();
      else channel.discard();
    }
    this.resolve(undefined);
  }

  /** Releases the functions in what is left unread. */
  #releaseUnread(): void {
    this.#context.releaseUnread(
      this.#channel,
      this.#reader,
      this.#header,
      this.#arguments?.complete ?? false,
      this.#held,
    );
    this.#held = undefined;
  }

  /** Ends the limits, arguments and callbacks of the call. */
  #end(reason?: unknown): void {
    this.#limits?.end();
    this.#arguments?.stop(reason);
    this.#lent?.release();
  }
}

/** A call that resolves to its first reply value. */
export class ValueCall extends PendingCall {
  #value: unknown = null;

  protected override take(value: unknown, continued: boolean): "satisfy" {
    // The value before a stream is `null`, which is no result. Other peers may
    // mean it.
    if (continued && value === null && this.responderExtended) {
      throw unexpectedStream(this.name);
    }
    this.#value = value;
    return "satisfy";
  }

  protected override resolve(): void {
    this.outcome.resolve(this.#value);
  }
}

/** A call that resolves to its whole response. */
export class ResponseCall extends PendingCall<RpcResponse> {
  readonly #values: unknown[] = [];

  override get mayContinue(): boolean {
    return true;
  }

  protected override take(
    value: unknown,
    continued: boolean,
  ): "satisfy" | "hand-over" | undefined {
    this.#values.push(value);
    if (continued) return "hand-over";
    return this.answered ? "satisfy" : undefined;
  }

  protected override resolve(continued: ResponsePort | undefined): void {
    this.outcome.resolve(new RpcResponse(this.#values, continued, this.meta));
  }
}
