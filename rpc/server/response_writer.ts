import { type Codec, ValueWriter } from "../../codec/internal.ts";
import type { RawChannel } from "../../mux/internal.ts";
import { errorCode, errorText } from "../errors.ts";
import {
  addError,
  type ResponseExtension,
  responseHeaderValue,
} from "../wire/headers.ts";
import { MessageWriter } from "../wire/message_writer.ts";

/** The extension field for a caller of whose callbacks none is kept. */
export const NOTHING_KEPT: ResponseExtension = { keptIds: [] };

/** Encodes and sends the responses of one session in one codec. */
export class ResponseWriter {
  readonly #codec: Codec;
  readonly #messages = new MessageWriter();
  /** The usual headers: those without an error. */
  #plain: UsualHeaders | undefined;
  /** The usual headers for extended callers. */
  #extended: UsualHeaders | undefined;

  /** Makes a writer for responses in `codec`. */
  constructor(codec: Codec) {
    this.#codec = codec;
  }

  /**
   * Encodes a response: values, or an error.
   *
   * @param extension what to tell an extended caller
   * @throws {CodecError} if a value cannot be encoded
   */
  response(
    values: readonly unknown[],
    continued: boolean,
    extension: ResponseExtension | undefined,
  ): ValueWriter {
    const failure = values.length === 1 && values[0] instanceof Error
      ? values[0]
      : undefined;
    const message = this.#messages.begin();
    if (failure !== undefined) {
      const header = {
        error: errorText(failure),
        code: errorCode(failure),
        continued,
      };
      message.add(this.#codec, responseHeaderValue(header, extension));
      message.add(this.#codec, null);
      return message;
    }
    this.#addHeader(message, continued, extension);
    if (values.length === 0) message.add(this.#codec, null);
    for (const value of values) message.add(this.#codec, value);
    return message;
  }

  /** Encodes one more value of a continued response. */
  value(value: unknown): ValueWriter {
    const message = this.#messages.begin();
    message.add(this.#codec, value);
    return message;
  }

  /** Encodes the error that ends a stream of values. */
  error(reason: unknown): ValueWriter {
    const message = this.#messages.begin();
    addError(message, this.#codec, reason);
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
    if (extension === undefined || extension === NOTHING_KEPT) {
      const usual = extension === undefined
        ? this.#plain ??= usualHeaders(this.#codec, extension)
        : this.#extended ??= usualHeaders(this.#codec, extension);
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
