import type { ValueReader } from "../../codec/internal.ts";
import type { RawChannel, WaitOptions } from "../../mux/internal.ts";
import { BorrowedCallbacks } from "../callback/borrowed_callbacks.ts";
import { mayHavePointers, revivePointers } from "../callback/pointers.ts";
import { RpcError } from "../errors.ts";
import type { SessionState } from "../session_state.ts";
import type { Caller } from "../types.ts";
import {
  absent,
  ValueIterator,
  ValueReceiver,
} from "../wire/value_receiver.ts";
import type { Request } from "./request_decoder.ts";
import type { ChannelResponder } from "./responder.ts";
import type { ServerCall } from "./server_call.ts";

/** A call that the peer made, as its handler sees it. */
export class IncomingCall implements ServerCall {
  readonly request: Request;
  readonly #channel: RawChannel;
  readonly #reader: ValueReader;
  readonly #responder: ChannelResponder;
  readonly #session: SessionState;
  #receiver: ValueReceiver | undefined;
  #abort: AbortController | undefined;

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
    this.#responder = responder;
    this.#session = session;
  }

  get selector(): string {
    return this.request.selector;
  }

  get caller(): Caller {
    return this.request.context.caller;
  }

  get channel(): RawChannel {
    return this.#channel;
  }

  get signal(): AbortSignal {
    // Made on demand: most handlers finish without asking for it.
    if (this.#abort === undefined) {
      const abort = this.#abort = new AbortController();
      this.#channel.whenClosed(() => {
        if (this.#responder.state === "returned") return;
        abort.abort(this.#channel.failure ?? cancelled());
      });
    }
    return this.#abort.signal;
  }

  async receive(options?: WaitOptions): Promise<unknown> {
    const value = await (this.#receiver ??= this.#newReceiver())
      .receive(options);
    // An extended caller that cancels its call has not ended its arguments.
    const cancelling = value === undefined &&
      this.#responder.state === "pending" && this.#channel.peerClosed;
    if (cancelling && this.#isCutOff()) throw cancelled();
    return value;
  }

  receiveNow(): unknown | typeof absent {
    const bytes = this.#reader.next();
    if (bytes === undefined) return absent;
    if (bytes === null) return undefined;
    return bytes.length === 0
      ? (this.#receiver ??= this.#newReceiver()).take(bytes)
      : this.#decode(bytes);
  }

  stream(): AsyncIterable<unknown> {
    const receiver = this.#receiver ??= this.#newReceiver();
    const receive = async () => {
      const value = await receiver.receive();
      if (value === undefined && this.#isCutOff()) throw cancelled();
      return value;
    };
    return new ValueIterator(receive, () => {});
  }

  /** Drops what has arrived of a value; nothing more will be received. */
  release(): void {
    this.#reader.release();
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
      extended,
    );
  }

  #decode(bytes: Uint8Array): unknown {
    const value = this.request.context.codec.decode(bytes);
    if (!mayHavePointers(value, bytes)) return value;
    const borrowed = this.#responder.borrowed ??= new BorrowedCallbacks(
      this.caller,
      this.#session,
    );
    return revivePointers(value, (id) => borrowed.borrow(id));
  }

  /** Whether an extended caller has gone without the EOF that it always sends. */
  #isCutOff(): boolean {
    return this.request.extended && !this.#channel.eofReceived;
  }
}

function cancelled(): RpcError {
  return new RpcError("cancelled", "Call was closed by the caller");
}
