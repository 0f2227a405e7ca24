import {
  type Codec,
  type CodecError,
  decodeWeighed,
  json,
  type TinyDecoder,
  tinyDecoderOf,
  type ValueWeight,
} from "../../codec/internal.ts";
import { printableText } from "../../printable_text.ts";
import { MAX_DELAY } from "../../time_limit.ts";
import { RpcError } from "../errors.ts";
import type { Caller } from "../types.ts";
import type { CallHeader } from "../wire/headers/call_header.ts";
import {
  decodeHeader,
  extensionOf,
  fieldOf,
  foreignCodec,
  type HeaderKind,
  mapIn,
  SAME_CODEC,
  wrongType,
} from "../wire/headers/header.ts";
import type { HeaderCache } from "../wire/headers/header_cache.ts";
import {
  type ReceivedHeader,
  responseHeaderCache,
} from "../wire/headers/response_header.ts";
import {
  DEFAULT_MAX_META_SIZE,
  isTrace,
  type Metadata,
  metaIn,
  refusalOfMeta,
} from "../wire/metadata.ts";
import {
  cleanSelector,
  hasEmptySegment,
  PING_SELECTOR,
} from "../wire/selector.ts";
import { ResponseWriter } from "./response_writer.ts";

/**
 * Headers of up to so many bytes are not counted: those of all calls that may be
 * open at the same time are 2 MiB.
 */
const LIGHT_HEADER = 1024;

/** Call headers. */
const CALL: HeaderKind = {
  name: "call",
  keys: ["Selector", "S"],
  refused: /^(?:selector|s|caller|decoder|context|channel)$/iu,
};

/** Makes the caller for nested calls in a codec; are the calls marked as such? */
export type CallerIn = (codec: Codec, marked: boolean) => Caller;

/** What the calls in one codec share. */
export class CodecContext {
  /** Encodes and decodes their values. */
  readonly codec: Codec;
  /** Decodes the smallest values. */
  readonly decodeTiny: TinyDecoder | undefined;
  /** Encodes and sends their responses. */
  readonly writer: ResponseWriter;
  readonly #callerIn: CallerIn;
  #responseHeaders: HeaderCache<ReceivedHeader> | undefined;
  #plainCaller: Caller | undefined;
  #caller: Caller | undefined;

  /** Made by {@linkcode RequestDecoder}. */
  constructor(codec: Codec, writer: ResponseWriter, callerIn: CallerIn) {
    this.codec = codec;
    this.decodeTiny = tinyDecoderOf(codec);
    this.writer = writer;
    this.#callerIn = callerIn;
  }

  /** Decodes the headers of responses that are forwarded. */
  get responseHeaders(): HeaderCache<ReceivedHeader> {
    return this.#responseHeaders ??= responseHeaderCache(this.codec);
  }

  /**
   * Calls back a caller that is not extended, in the same codec. It is made when a
   * call first needs it, as the other one is: most handlers call nothing back.
   */
  get plainCaller(): Caller {
    return this.#plainCaller ??= this.#callerIn(this.codec, false);
  }

  /** Calls back an extended caller. */
  get caller(): Caller {
    return this.#caller ??= this.#callerIn(this.codec, true);
  }
}

/** A decoded call header. */
export interface Request {
  /** The selector in its canonical form. */
  readonly selector: string;
  /** Whether the selector has an empty segment, and so names nothing. */
  readonly namesNothing: boolean;
  /** Whether a handler gets the call, whatever the time. */
  readonly usual: boolean;
  /** The codec of the call, and what belongs to it. */
  readonly context: CodecContext;
  /** Whether the caller is extended: its header has the field `Q`. */
  readonly extended: boolean;
  /** Whether a handler of the caller makes the call to this side, or it is a ping. */
  readonly nested: boolean;
  /** Whether the call asks for a sign of life. */
  readonly isPing: boolean;
  /** Where the caller says that the call comes from. */
  readonly from: string | undefined;
  /** Whether the caller asks not to be pinged. */
  readonly refusesPings: boolean;
  /** Whether the caller may make another call on the channel. */
  readonly again: boolean;
  /** Whether the argument is a stream of values; undefined if nothing says so. */
  readonly stream: boolean | undefined;
  /** What the IDs of the functions begin with that the caller lends. */
  readonly lends: string | undefined;
  /** Milliseconds that were left for the call; undefined if it has no deadline. */
  readonly deadline: number | undefined;
  /** The metadata of the call; undefined if there is none. */
  readonly meta: Metadata | undefined;
  /** Why the metadata is refused, and the call with it. */
  readonly metaRefusal: CodecError | undefined;
  /** The bytes of memory of the header, unless it is light. */
  readonly weight: number;
  /** The field `Q`, for forwarding. */
  readonly extension: CallHeader["extension"];
  /** The header of the forwarded call with its length, once it was encoded. */
  forwarded: Uint8Array | undefined;
}

/** A call in a codec that this side does not accept. */
export class UnreadableCall extends RpcError {
  /** Private, because to print the error would print it, too. */
  readonly #request: Request;

  /** Makes the error, which both ends get. */
  constructor(message: string, cause: unknown, request: Request) {
    super("codec-mismatch", message, cause === undefined ? {} : { cause });
    this.#request = request;
  }

  /** What is known of the call, so that it can be answered. */
  get request(): Request {
    return this.#request;
  }
}

/**
 * Decodes call headers in one of several codecs. Nothing on the wire names the
 * codec of a call, but a header is a map, and the first byte of a map identifies
 * the codec.
 */
export class RequestDecoder {
  readonly #codecs: readonly Codec[];
  readonly #callerIn: CallerIn;
  readonly #maxMetaSize: number;
  readonly #prefix: () => string;
  readonly #refusesPings: boolean;
  /** Answers calls in JSON if that is not one of the codecs. */
  #json: Codec | undefined;
  /** Made when a call first needs one; most sessions need one only. */
  readonly #contexts = new Map<Codec, CodecContext>();

  /**
   * Makes a decoder.
   *
   * @param callerIn makes the caller for calls back in a codec
   * @param prefix what the IDs of all functions of this side begin with
   * @param refusesPings whether responses ask not to ping this side
   * @param maxMetaSize the limit for metadata
   */
  constructor(
    codecs: readonly Codec[],
    callerIn: CallerIn,
    prefix: () => string,
    refusesPings = false,
    maxMetaSize = DEFAULT_MAX_META_SIZE,
  ) {
    this.#codecs = codecs;
    this.#callerIn = callerIn;
    this.#maxMetaSize = maxMetaSize;
    this.#prefix = prefix;
    this.#refusesPings = refusesPings;
  }

  /**
   * Decodes a call header.
   *
   * @throws {RpcError} `malformed-header`
   * @throws {CodecError} if the bytes are not a value
   */
  decode(header: Uint8Array): Request {
    const codec = this.#codecOf(header);
    try {
      const weight = header.length > LIGHT_HEADER ? { bytes: 0 } : undefined;
      const { selector, extension, from } = decodeCallHeader(
        codec,
        header,
        weight,
      );
      const clean = cleanSelector(selector);
      const stream = extension?.["stream"];
      const lends = extension?.["lends"];
      const namesNothing = hasEmptySegment(clean);
      const deadline = deadlineIn(extension);
      const meta = metaIn(extension);
      const metaRefusal = meta && refusalOfMeta(
        meta,
        codec,
        header.length,
        this.#maxMetaSize,
        `call "${printableText(clean)}"`,
      );
      const isPing = clean === PING_SELECTOR;
      return {
        selector: clean,
        namesNothing,
        usual: !namesNothing && deadline === undefined &&
          metaRefusal === undefined,
        context: this.#contextOf(codec),
        extended: extension !== undefined,
        // What says that this side is there must wait for nothing.
        nested: extension?.["nested"] === true || isPing,
        isPing,
        from,
        refusesPings: extension?.["ping"] === false,
        again: extension?.["again"] === true && stream !== true,
        stream: typeof stream === "boolean" ? stream : undefined,
        lends: typeof lends === "string" ? lends : undefined,
        deadline,
        meta,
        metaRefusal,
        weight: weight?.bytes ?? 0,
        extension,
        forwarded: undefined,
      };
    } catch (cause) {
      throw this.#unsupported(codec, header, cause) ?? cause;
    }
  }

  #codecOf(header: Uint8Array): Codec {
    const [only, ...others] = this.#codecs;
    const first = header[0];
    // A single codec decodes everything: its own error is the most precise.
    if (others.length === 0 || first === undefined) return only!;
    const codec = this.#codecs.find((codec) =>
      codec.beginsMap?.(first) ?? true
    );
    if (codec !== undefined) return codec;
    throw this.#unsupported(undefined, header) ??
      new RpcError(
        "malformed-header",
        `Cannot read call header: 0x${hex(first)} does not begin a map in ${
          list(this.#codecs, "or")
        }`,
      );
  }

  /** The error for a header that looks like another codec; undefined if none. */
  #unsupported(
    codec: Codec | undefined,
    header: Uint8Array,
    cause?: unknown,
  ): UnreadableCall | undefined {
    const name = foreignCodec(codec, header);
    if (name === undefined) return undefined;
    return new UnreadableCall(
      `Cannot read call header: it looks like ${name}, but this side accepts only ${
        list(this.#codecs, "and")
      }; ${SAME_CODEC}`,
      cause,
      this.#requestIn(name, header),
    );
  }

  /**
   * A request in a codec that is not accepted: it can be answered, at least in a
   * codec of this side, which the caller recognizes.
   */
  #requestIn(name: string, header: Uint8Array): Request {
    const request = {
      selector: "/",
      namesNothing: true,
      usual: false,
      context: this.#contextOf(this.#codecs[0]!),
      extended: false,
      nested: false,
      isPing: false,
      from: undefined,
      refusesPings: false,
      again: false,
      stream: undefined,
      lends: undefined,
      deadline: undefined,
      meta: undefined,
      metaRefusal: undefined,
      weight: 0,
      extension: undefined,
      forwarded: undefined,
    };
    if (name !== "JSON") return request;
    const codec = this.#json ??= json();
    request.context = this.#contextOf(codec);
    try {
      const { selector, extension } = decodeCallHeader(codec, header);
      return {
        ...request,
        selector: cleanSelector(selector),
        extended: extension !== undefined,
      };
    } catch {
      return request;
    }
  }

  #contextOf(codec: Codec): CodecContext {
    let context = this.#contexts.get(codec);
    if (context === undefined) {
      const writer = new ResponseWriter(
        codec,
        this.#prefix,
        this.#refusesPings,
        this.#maxMetaSize,
      );
      context = new CodecContext(codec, writer, this.#callerIn);
      this.#contexts.set(codec, context);
    }
    return context;
  }
}

/** What a call header says of a deadline. */
function deadlineIn(extension: CallHeader["extension"]): number | undefined {
  const left = extension?.["deadline"];
  return typeof left === "number" && left <= MAX_DELAY ? left : undefined;
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}

function list(codecs: readonly Codec[], conjunction: "and" | "or"): string {
  const names = codecs.map(({ name }) => name);
  const last = names.pop()!;
  return names.length === 0
    ? last
    : `${names.join(", ")} ${conjunction} ${last}`;
}

/**
 * Decodes a call header. A map that has one meaning only is valid: without a
 * selector it calls the empty one.
 *
 * @param weight where the memory that the header takes is written
 * @throws {RpcError} `malformed-header`
 * @throws {CodecError} if the bytes are not a value
 */
export function decodeCallHeader(
  codec: Codec,
  bytes: Uint8Array,
  weight?: ValueWeight,
): CallHeader {
  const header = decodeHeader(
    codec,
    bytes,
    CALL,
    weight && decodeWeighed(codec, bytes, weight),
  );
  const selector = fieldOf(header, "call", "Selector", "S", "");
  if (typeof selector !== "string") throw wrongType("call", "Selector");
  const { from }: { from?: unknown } = mapIn(header["Q"]) ?? {};
  return {
    selector,
    extension: extensionOf(header),
    from: typeof from === "string" ? from : undefined,
  };
}

/** The trace context in the field `Q`; undefined if there is none. */
export function traceIn(
  extension: Readonly<Record<string, unknown>> | undefined,
): string | undefined {
  const trace = extension?.["trace"];
  return isTrace(trace) ? trace : undefined;
}
