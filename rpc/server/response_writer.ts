import { type Codec, ValueWriter } from "../../codec/internal.ts";
import type { RawChannel } from "../../mux/internal.ts";
import {
  addErrorHeader,
  addForm,
  addTrailer,
} from "../wire/headers/error_header.ts";
import { sharedHeader } from "../wire/headers/header_cache.ts";
import {
  type ResponseExtension,
  responseHeaderValue,
} from "../wire/headers/response_header.ts";
import { MessageWriter } from "../wire/message_writer.ts";
import type { Metadata } from "../wire/metadata.ts";
import { carriesBytes } from "../wire/value_source.ts";

/** The usual field `Q`: no callback is kept. */
export const NOTHING_KEPT: ResponseExtension = { keptIds: [] };
/** As `NOTHING_KEPT`, and the channel may have another call. */
export const MAY_GO_ON: ResponseExtension = { keptIds: [], again: true };
/** As `NOTHING_KEPT`, and a trailer follows the stream. */
export const ONLY_TRAILER: ResponseExtension = { keptIds: [], trailer: true };
/** As `NOTHING_KEPT`, and bytes follow. */
export const BYTES_FOLLOW: ResponseExtension = { keptIds: [] };

/** All sessions have the same: no response is stored. */
const MESSAGES = new MessageWriter();

/** Whose response is encoded. */
export interface ResponseOwner {
  /** Reports an error of which the caller learns nothing. */
  report(error: unknown): void;
}

/** Encodes and sends the responses of one session in one codec. */
export class ResponseWriter {
  readonly #codec: Codec;
  readonly #prefix: () => string;
  readonly #refusesPings: boolean;
  /** The limit for the metadata of a response, in bytes. */
  readonly maxMetaSize: number;
  /** The header of most responses. */
  #mostUsual: Uint8Array | undefined;
  /** The usual headers, those without an error, by what they say in addition. */
  #returned: Map<ResponseExtension | undefined, Uint8Array> | undefined;
  #continued: Map<ResponseExtension | undefined, Uint8Array> | undefined;
  #carriesBytes: boolean | undefined;

  /**
   * Makes a writer for responses in `codec`.
   *
   * @param prefix what the IDs of all functions of this side begin with
   * @param refusesPings whether they ask extended callers not to ping this side
   * @param maxMetaSize the limit for metadata
   */
  constructor(
    codec: Codec,
    prefix: () => string,
    refusesPings: boolean,
    maxMetaSize: number,
  ) {
    this.#codec = codec;
    this.maxMetaSize = maxMetaSize;
    this.#prefix = prefix;
    this.#refusesPings = refusesPings;
  }

  /**
   * Encodes a response: values, or an error.
   *
   * @param extension what to tell an extended caller
   * @param owner learns of details of an error that cannot be sent
   * @throws {CodecError} if a value cannot be encoded
   */
  response(
    values: readonly unknown[],
    continued: boolean,
    extension: ResponseExtension | undefined,
    owner: ResponseOwner,
  ): ValueWriter {
    const failure = values.length === 1 && values[0] instanceof Error
      ? values[0]
      : undefined;
    const message = MESSAGES.begin();
    if (failure !== undefined) {
      const codec = this.#codec;
      const lost = addErrorHeader(
        message,
        codec,
        failure,
        continued,
        this.#withPing(extension),
        this.maxMetaSize,
      );
      if (lost !== undefined) owner.report(lost);
      message.add(codec, null);
      return message;
    }
    this.#addHeader(message, continued, extension);
    if (values.length === 0) message.add(this.#codec, null);
    for (const value of values) message.add(this.#codec, value);
    return message;
  }

  /** Whether the codec decodes bytes to bytes. */
  get carriesBytes(): boolean {
    return this.#carriesBytes ??= carriesBytes(this.#codec);
  }

  /**
   * Encodes one more value of a continued response.
   *
   * @param bytes whether it is sent as it is
   */
  value(value: unknown, bytes = false): ValueWriter {
    const message = MESSAGES.begin();
    this.#addValue(message, value, bytes);
    return message;
  }

  /** As {@linkcode value}, for the first value of a stream in another form. */
  valueInForm(value: unknown, bytes: boolean): ValueWriter {
    const message = MESSAGES.begin();
    addForm(message, this.#codec, bytes);
    this.#addValue(message, value, bytes);
    return message;
  }

  #addValue(message: ValueWriter, value: unknown, bytes: boolean): void {
    if (bytes) message.addBytes(value as Uint8Array);
    else message.add(this.#codec, value);
  }

  /**
   * Encodes the trailer of a stream of values.
   *
   * @param meta metadata that was not sent yet
   */
  trailer(
    failure: { reason: unknown } | undefined,
    owner: ResponseOwner,
    meta: Metadata | undefined,
  ): ValueWriter {
    const message = MESSAGES.begin();
    const lost = addTrailer(
      message,
      this.#codec,
      failure,
      this.maxMetaSize,
      meta,
    );
    if (lost !== undefined) owner.report(lost);
    return message;
  }

  /** Sends an encoded message; see {@linkcode MessageWriter.send}. */
  send(
    channel: RawChannel,
    message: ValueWriter,
    signal?: AbortSignal,
  ): Promise<void> | undefined {
    return MESSAGES.send(channel, message, signal);
  }

  #addHeader(
    message: ValueWriter,
    continued: boolean,
    extension: ResponseExtension | undefined,
  ): void {
    if (!continued && extension === NOTHING_KEPT) {
      return message.addRaw(
        this.#mostUsual ??= this.#encoded(continued, extension),
      );
    }
    const isUsual = extension === undefined || extension === NOTHING_KEPT ||
      extension === MAY_GO_ON ||
      extension === ONLY_TRAILER || extension === BYTES_FOLLOW;
    if (!isUsual) {
      return message.add(this.#codec, this.#headerValue(continued, extension));
    }
    const usual = continued
      ? this.#continued ??= new Map()
      : this.#returned ??= new Map();
    let header = usual.get(extension);
    if (header === undefined) {
      header = this.#encoded(continued, extension);
      usual.set(extension, header);
    }
    message.addRaw(header);
  }

  #encoded(
    continued: boolean,
    extension: ResponseExtension | undefined,
  ): Uint8Array {
    const writer = new ValueWriter();
    writer.add(this.#codec, this.#headerValue(continued, extension));
    return sharedHeader(writer.message());
  }

  #headerValue(
    continued: boolean,
    extension: ResponseExtension | undefined,
  ): unknown {
    const header = { error: undefined, continued };
    // There may be functions among the values that follow.
    const announces = continued && extension !== undefined &&
      extension !== BYTES_FOLLOW;
    return responseHeaderValue(
      header,
      this.#withPing(
        announces ? { ...extension, lends: this.#prefix() } : extension,
      ),
    );
  }

  #withPing(
    extension: ResponseExtension | undefined,
  ): ResponseExtension | undefined {
    return this.#refusesPings && extension !== undefined
      ? { ...extension, ping: false }
      : extension;
  }
}
