import type { Codec } from "../codec/codec.ts";
import type { ValueReader } from "../codec/value_stream.ts";
import type { QmuxChannel } from "../mux/channel.ts";
import { RpcError } from "./errors.ts";
import type { ChannelResponder } from "./responder.ts";
import type { Call, Caller } from "./types.ts";

/** A call that came in, as its handler sees it. */
export class IncomingCall implements Call {
  readonly selector: string;
  readonly caller: Caller;
  readonly #channel: QmuxChannel;
  readonly #reader: ValueReader;
  readonly #codec: Codec;
  readonly #responder: ChannelResponder;
  #abort: AbortController | undefined;

  /** Makes the call that a header began. */
  constructor(
    selector: string,
    caller: Caller,
    channel: QmuxChannel,
    reader: ValueReader,
    codec: Codec,
    responder: ChannelResponder,
  ) {
    this.selector = selector;
    this.caller = caller;
    this.#channel = channel;
    this.#reader = reader;
    this.#codec = codec;
    this.#responder = responder;
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
        abort.abort(
          this.#channel.failure ??
            new RpcError("cancelled", "Call was closed by the caller"),
        );
      });
    }
    return this.#abort.signal;
  }

  receive(): Promise<unknown> {
    return this.#reader.read((bytes) => this.#codec.decode(bytes));
  }

  /**
   * The next value if all of it has arrived, as it mostly has; else `absent`,
   * and {@linkcode receive} waits for it.
   */
  receiveNow(): unknown | typeof absent {
    const bytes = this.#reader.next();
    if (bytes === undefined) return absent;
    return bytes === null ? undefined : this.#codec.decode(bytes);
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
}

/** Says that a value has not arrived yet; `undefined` says that none will. */
export const absent: unique symbol = Symbol("absent");
