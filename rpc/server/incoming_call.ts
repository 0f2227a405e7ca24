import type { ValueReader } from "../../codec/internal.ts";
import type { RawChannel } from "../../mux/internal.ts";
import { BorrowedCallbacks, mayPoint, revive } from "../callback/callback.ts";
import { RpcError } from "../errors.ts";
import type { Request } from "./request_decoder.ts";
import type { Link } from "../callback/link.ts";
import type { ChannelResponder } from "./responder.ts";
import { ValueIterator } from "../wire/value_source.ts";
import type { Call, Caller } from "../types.ts";
import { absent, ValueReceiver } from "../wire/value_receiver.ts";

/** A call that came in, as its handler sees it. */
export class IncomingCall implements Call {
  /** What its header says. */
  readonly request: Request;
  readonly #channel: RawChannel;
  readonly #reader: ValueReader;
  readonly #responder: ChannelResponder;
  readonly #link: Link;
  #receiver: ValueReceiver | undefined;
  #abort: AbortController | undefined;

  /** Makes the call that a header began. */
  constructor(
    request: Request,
    channel: RawChannel,
    reader: ValueReader,
    responder: ChannelResponder,
    link: Link,
  ) {
    this.request = request;
    this.#channel = channel;
    this.#reader = reader;
    this.#responder = responder;
    this.#link = link;
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
    // Made on demand: most handlers are done before anybody could abort them.
    if (this.#abort === undefined) {
      const abort = this.#abort = new AbortController();
      this.#channel.whenClosed(() => {
        if (this.#responder.state === "returned") return;
        abort.abort(this.#channel.failure ?? cancelled());
      });
    }
    return this.#abort.signal;
  }

  async receive(): Promise<unknown> {
    const value = await (this.#receiver ??= this.#newReceiver()).receive();
    // One of ours that gives a call up has not ended its arguments by that.
    const given = value === undefined && this.#responder.state === "pending" &&
      this.#channel.peerClosed;
    if (given && this.#wasCut()) throw cancelled();
    return value;
  }

  /**
   * The next value if all of it has arrived, as it mostly has; else `absent`,
   * and {@linkcode receive} waits for it.
   */
  receiveNow(): unknown | typeof absent {
    const bytes = this.#reader.next();
    if (bytes === undefined) return absent;
    if (bytes === null) return undefined;
    return bytes.length === 0
      ? (this.#receiver ??= this.#newReceiver()).take(bytes)
      : this.#decode(bytes);
  }

  /**
   * The values that the caller streams: they end where it ends them, and
   * whatever else ends them is an error. (Only ours always say where.)
   */
  stream(): AsyncIterable<unknown> {
    const receiver = this.#receiver ??= this.#newReceiver();
    const receive = async () => {
      const value = await receiver.receive();
      if (value === undefined && this.#wasCut()) throw cancelled();
      return value;
    };
    return new ValueIterator(receive, () => {});
  }

  /** Nothing more is received: drops what arrived of a value. */
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
    if (!mayPoint(value, bytes)) return value;
    const borrowed = this.#responder.borrowed ??= new BorrowedCallbacks(
      this.caller,
      this.#link,
    );
    return revive(value, (id) => borrowed.take(id));
  }

  /** Whether one of ours went away without the end that they all send. */
  #wasCut(): boolean {
    return this.request.extended && !this.#channel.eofReceived;
  }
}

function cancelled(): RpcError {
  return new RpcError("cancelled", "Call was closed by the caller");
}
