import { type Codec, ValueWriter } from "../../codec/internal.ts";
import type { RawChannel } from "../../mux/internal.ts";
import {
  addErrorHeader,
  addForm,
  addTrailer,
  type ResponseExtension,
  responseHeaderValue,
} from "../wire/headers.ts";
import { MessageWriter } from "../wire/message_writer.ts";
import type { Metadata } from "../wire/metadata.ts";
import { carriesBytes } from "../wire/value_source.ts";

/** The extension field for a caller of whose callbacks none is kept. */
export const NOTHING_KEPT: ResponseExtension = { keptIds: [] };
/** As above, for a stream of values. */
export const ONLY_TRAILER: ResponseExtension = { keptIds: [], trailer: true };

/** Whose response is encoded. */
export interface ResponseOwner {
  /** Reports an error of which the caller learns nothing. */
  report(error: unknown): void;
}

/** Encodes and sends the responses of one session in one codec. */
export class ResponseWriter {
  readonly #codec: Codec;
  readonly #messages = new MessageWriter();
  /** The limit for the metadata of a response, in bytes. */
  readonly maxMetaSize: number;
  /** The usual headers: those without an error. */
  #plain: UsualHeaders | undefined;
  /** The usual headers for extended callers. */
  #extended: UsualHeaders | undefined;
  #carriesBytes: boolean | undefined;
  /** The same for streams of values. */
  #stream: UsualHeaders | undefined;

  /** Makes a writer for responses in `codec`. */
  constructor(codec: Codec, maxMetaSize: number) {
    this.#codec = codec;
    this.maxMetaSize = maxMetaSize;
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
    const message = this.#messages.begin();
    if (failure !== undefined) {
      const codec = this.#codec;
      const lost = addErrorHeader(
        message,
        codec,
        failure,
        continued,
        extension,
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
    const message = this.#messages.begin();
    this.#addValue(message, value, bytes);
    return message;
  }

  /** As {@linkcode value}, for the first value of a stream in another form. */
  valueInForm(value: unknown, bytes: boolean): ValueWriter {
    const message = this.#messages.begin();
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
    const message = this.#messages.begin();
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
    return this.#messages.send(channel, message, signal);
  }

  #addHeader(
    message: ValueWriter,
    continued: boolean,
    extension: ResponseExtension | undefined,
  ): void {
    const usual = extension === undefined
      ? this.#plain ??= usualHeaders(this.#codec, extension)
      : extension === NOTHING_KEPT
      ? this.#extended ??= usualHeaders(this.#codec, extension)
      : extension === ONLY_TRAILER
      ? this.#stream ??= usualHeaders(this.#codec, extension)
      : undefined;
    if (usual !== undefined) {
      message.addRaw(continued ? usual.continued : usual.returned);
    } else {
      const header = { error: undefined, continued };
      message.add(this.#codec, responseHeaderValue(header, extension));
    }
  }
}

/** Encoded headers of responses without an error. */
interface UsualHeaders {
  readonly returned: Uint8Array;
  readonly continued: Uint8Array;
}

function usualHeaders(
  codec: Codec,
  extension: ResponseExtension | undefined,
): UsualHeaders {
  const encode = (continued: boolean) => {
    const writer = new ValueWriter();
    const header = { error: undefined, continued };
    writer.add(codec, responseHeaderValue(header, extension));
    return writer.message().slice();
  };
  return { returned: encode(false), continued: encode(true) };
}
