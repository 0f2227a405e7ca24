import type { ValueReader } from "../codec/value_stream.ts";
import type { QmuxChannel } from "../mux/channel.ts";
import { BorrowedCallbacks, mayPoint, revive } from "./callback.ts";
import { RpcError } from "./errors.ts";
import type { Request } from "./languages.ts";
import type { Link } from "./link.ts";
import type { ChannelResponder } from "./responder.ts";
import { ValueIterator } from "./stream.ts";
import type { Call, Caller } from "./types.ts";
import { absent, ValueReceiver } from "./value_receiver.ts";

/** A call that came in, as its handler sees it. */
export class IncomingCall implements Call {
  /** What its header says. */
  readonly request: Request;
  readonly #channel: QmuxChannel;
  readonly #reader: ValueReader;
  readonly #responder: ChannelResponder;
  readonly #link: Link;
  #receiver: ValueReceiver | undefined;
  #abort: AbortController | undefined;

  /** Makes the call that a header began. */
  constructor(
    request: Request,
    channel: QmuxChannel,
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
    return this.request.language.caller;
  }

  get channel(): QmuxChannel {
    return this.#channel;
  }

  get signal(): AbortSignal {
    // Made on demand: most handlers are done before anybody could abort them.
    if (this.#abort === undefined) {
      const abort = this.#abort = new AbortController();
      this.#channel.watch(() => {
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
      this.#channel.over;
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
    const { language, announced } = this.request;
    return new ValueReceiver(
      this.#reader,
      language.codec,
      (bytes) => this.#decode(bytes),
      announced,
    );
  }

  #decode(bytes: Uint8Array): unknown {
    const value = this.request.language.codec.decode(bytes);
    if (!mayPoint(value, bytes)) return value;
    const borrowed = this.#responder.borrowed ??= new BorrowedCallbacks(
      this.caller,
      this.#link,
    );
    return revive(value, (id) => borrowed.take(id));
  }

  /** Whether one of ours went away without the end that they all send. */
  #wasCut(): boolean {
    return this.request.announced && !this.#channel.eof;
  }
}

function cancelled(): RpcError {
  return new RpcError("cancelled", "Call was closed by the caller");
}
