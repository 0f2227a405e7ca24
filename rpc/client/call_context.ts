import {
  type Codec,
  SpareBuffer,
  type TinyDecoder,
  tinyDecoderOf,
  type ValueMemory,
  type ValueReader,
  type ValueWriter,
} from "../../codec/internal.ts";
import type { MemoryAccount, RawChannel } from "../../mux/internal.ts";
import { concat } from "../../view.ts";
import type { LentCallbacks } from "../callback/lent_callbacks.ts";
import {
  HeldValue,
  lendsUntilReleased,
  MAX_MENTION_SIZE,
  mayHavePointers,
  mentionsPointer,
} from "../callback/pointers.ts";
import { CallSites } from "../errors.ts";
import type { SessionState } from "../session_state.ts";
import type { Caller } from "../types.ts";
import type { CallExtension } from "../wire/headers/call_header.ts";
import { MAX_CALL_HEADER_SIZE } from "../wire/headers/header.ts";
import type { HeaderCache } from "../wire/headers/header_cache.ts";
import {
  decodeResponseHeader,
  type ReceivedHeader,
  responseHeaderCache,
} from "../wire/headers/response_header.ts";
import { MessageWriter } from "../wire/message_writer.ts";
import { carriesBytes } from "../wire/value_source.ts";
import type { ChannelPool } from "./channel_pool.ts";

/** What a client needs besides channels. */
export interface ClientOptions {
  /** The codec of calls, which the peer must accept. */
  readonly codec: Codec;
  /** The largest size of one reply or complete response, in bytes. */
  readonly maxValueSize: number;
  /** Bounds what the peer can make this side hold. */
  readonly account: MemoryAccount;
  /** What all calls of the session share, in both directions. */
  readonly state: SessionState;
  /**
   * Whether the calls are nested: a handler makes them to its caller, and that
   * call may wait for them.
   */
  readonly nested?: boolean | undefined;
  /** What the headers tell an extended peer about the calls. */
  readonly extension?: CallExtension | undefined;
  /** Whether errors say where the call was made. */
  readonly callStacks?: boolean | undefined;
}

/** What reads a response, and may have begun a value. */
export type PartialReader = Pick<ValueReader, "partial">;

/** What the calls of one client share. */
export class CallContext {
  readonly codec: Codec;
  /** Decodes the smallest replies. */
  readonly decodeTiny: TinyDecoder | undefined;
  readonly maxValueSize: number;
  /** The memory of responses: handlers of this side may wait for them. */
  readonly memory: ValueMemory;
  readonly state: SessionState;
  readonly nested: boolean;
  readonly extension: CallExtension | undefined;
  /** Where calls were made, if errors are to say so: it costs much of a call. */
  readonly callSites: CallSites | undefined;
  /** The channels for calls. */
  readonly channels: ChannelPool;
  /** Keeps the buffer of a large response. */
  readonly spare: SpareBuffer = new SpareBuffer();
  /** Encodes and sends what the calls send. */
  readonly messages: MessageWriter = new MessageWriter();
  /** Decodes the headers of responses. */
  readonly responseHeaders: HeaderCache<ReceivedHeader>;
  /** Whether the reply that was decoded last may have functions. */
  mayHaveFunctions = false;
  #carriesBytes: boolean | undefined;
  readonly #client: Caller;

  /** Makes the context of a client, which calls the functions in responses. */
  constructor(
    options: ClientOptions,
    channels: ChannelPool,
    client: Caller,
  ) {
    const { codec, maxValueSize, account, state, nested, extension } = options;
    this.codec = codec;
    this.decodeTiny = tinyDecoderOf(codec);
    this.maxValueSize = maxValueSize;
    this.memory = account.values.reserved;
    this.state = state;
    this.nested = nested ?? false;
    this.extension = extension;
    this.callSites = options.callStacks ? new CallSites() : undefined;
    this.channels = channels;
    this.responseHeaders = responseHeaderCache(codec, state.rememberHeader);
    this.#client = client;
  }

  /** Whether the codec decodes bytes to bytes. */
  get carriesBytes(): boolean {
    return this.#carriesBytes ??= carriesBytes(this.codec);
  }

  /**
   * Decodes a reply to a call of `selector`. If it may have functions, it can be a
   * {@linkcode HeldValue}.
   */
  decode(bytes: Uint8Array, selector: string): unknown {
    const value = this.codec.decode(bytes);
    this.mayHaveFunctions = mayHavePointers(value, bytes);
    if (!this.mayHaveFunctions) return value;
    return this.state.receiving === undefined
      ? new HeldValue(value, this.state, () => this.#revive(value, selector))
      : this.#revive(value, selector);
  }

  /** Makes the functions and streams in a reply. */
  #revive(value: unknown, selector: string): unknown {
    const { state } = this;
    const origin = state.originOf(selector);
    return state.receiving!.revivePointers(value, (id) => {
      const original = state.originalOf(id);
      if (original !== undefined) return original;
      const fn = state.remotes.get(id, this.#client, origin);
      const value = fn.value();
      fn.grant();
      return value;
    });
  }

  /**
   * Releases the functions in what is left unread of a response, before its channel
   * is closed.
   *
   * @param reader reads the channel, and may have begun a value
   * @param header its header, unless that was not read
   * @param eofSent whether EOF was sent
   * @param held a value that was read, and is not passed on any more
   */
  releaseUnread(
    channel: RawChannel,
    reader: PartialReader,
    header: ReceivedHeader | undefined,
    eofSent: boolean,
    held: HeldValue | undefined,
  ): void {
    if (header !== undefined && !lendsUntilReleased(header, eofSent)) return;
    const { partial } = reader;
    if (held !== undefined) {
      this.state.loadReceiving().then(({ releaseIn }) => {
        releaseIn(held.value, header!.lends!, this.#client);
      }, () => {});
    }
    // Most responses are read to their end.
    if (partial === undefined && channel.ended && channel.buffered === 0) {
      return;
    }
    const add = this.#releaser(header, eofSent);
    if (partial !== undefined) add(partial);
    channel.whenDropped(add);
  }

  /**
   * Takes the bytes that are dropped of a response, and releases the functions in
   * them. What makes that possible is loaded with the first pointer among them;
   * until then, what it needs of them is kept.
   */
  #releaser(
    header: ReceivedHeader | undefined,
    eofSent: boolean,
  ): (bytes: Uint8Array) => void {
    const { codec, state } = this;
    const decode = (bytes: Uint8Array) => decodeResponseHeader(codec, bytes);
    const response = { header, decode, eofSent, caller: this.#client };
    let kept = new Uint8Array(0);
    let isLoading = false;
    let release: ((bytes: Uint8Array) => void) | undefined;
    const start = () => {
      release = state.receiving!.releaserOf(response);
      release(kept);
    };
    return (bytes) => {
      if (release !== undefined) return release(bytes);
      kept = concat(kept, bytes);
      if (state.receiving !== undefined) return start();
      if (isLoading) return;
      if (!mentionsPointer(kept)) {
        // The rest of a pointer may follow. A header that was not read is needed.
        if (header !== undefined) kept = kept.slice(-MAX_MENTION_SIZE);
        if (kept.length <= MAX_CALL_HEADER_SIZE) return;
      }
      isLoading = true;
      // If this fails, the functions end with the session.
      state.loadReceiving().then(start, () => release = () => {});
    };
  }

  /**
   * Sends a value after the request of a call; returns nothing if it was copied
   * at once. For `signal`, see {@linkcode MessageWriter.send}.
   *
   * @param lent takes the functions in the value
   */
  sendValue(
    channel: RawChannel,
    value: unknown,
    lent: LentCallbacks,
    signal?: AbortSignal,
  ): Promise<void> | undefined {
    const { codec, messages } = this;
    let message: ValueWriter;
    try {
      message = this.#encode(value);
    } catch (refusal) {
      message = lent.encode(
        codec,
        value,
        refusal,
        (plain) => this.#encode(plain),
      );
    }
    return messages.send(channel, message, signal);
  }

  #encode(value: unknown): ValueWriter {
    const message = this.messages.begin();
    message.add(this.codec, value);
    return message;
  }
}
