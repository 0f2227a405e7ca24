import type { Codec } from "../../codec/internal.ts";
import { RpcError } from "../errors.ts";
import { decodeCallHeader } from "../wire/headers.ts";
import { ResponseWriter } from "./responder.ts";
import { cleanSelector } from "../wire/selector.ts";
import type { Caller } from "../types.ts";

/** What calls in one codec are answered with. */
export interface CodecContext {
  /** How their values travel. */
  readonly codec: Codec;
  /** Encodes and sends the responses. */
  readonly writer: ResponseWriter;
  /** Calls back to the caller, in its own codec. */
  readonly caller: Caller;
}

/** What a call header says. */
export interface Request {
  /** What is called, cleaned. */
  readonly selector: string;
  /** What the caller speaks. */
  readonly context: CodecContext;
  /** Whether the caller is one of ours. */
  readonly extended: boolean;
  /** The header itself, to be sent on as it is. */
  readonly header: Uint8Array;
}

/**
 * The codecs that a responder speaks. Nothing on the wire names a call's: the
 * first byte of its header tells, which is a map.
 */
export class RequestDecoder {
  readonly #codecs: readonly Codec[];
  readonly #callerIn: (codec: Codec) => Caller;
  /** Made when a call first needs them: most sessions need one. */
  readonly #known = new Map<Codec, CodecContext>();

  /** Speaks these codecs; calls back by what `callerIn` makes. */
  constructor(codecs: readonly Codec[], callerIn: (codec: Codec) => Caller) {
    this.#codecs = codecs;
    this.#callerIn = callerIn;
  }

  /**
   * Reads a call header, which must not change any more, in the codec that it
   * is in.
   *
   * @throws {RpcError} `malformed-header`
   * @throws {CodecError} if the bytes are no value
   */
  read(header: Uint8Array): Request {
    const codec = this.#codecOf(header);
    try {
      const { selector, extended } = decodeCallHeader(codec, header);
      return {
        selector: cleanSelector(selector),
        context: this.#in(codec),
        extended,
        header,
      };
    } catch (cause) {
      throw this.#foreign(codec, header, cause) ?? cause;
    }
  }

  #codecOf(header: Uint8Array): Codec {
    const [only, ...others] = this.#codecs;
    const first = header[0];
    // One alone gets everything to read: it says best what is wrong.
    if (others.length === 0 || first === undefined) return only!;
    const codec = this.#codecs.find((codec) => mayBegin(codec, first) ?? true);
    if (codec !== undefined) return codec;
    throw this.#foreign(undefined, header) ??
      new RpcError(
        "malformed-header",
        `Cannot read call header: 0x${hex(first)} begins no map in ${
          list(this.#codecs, "or")
        }`,
      );
  }

  /** Says what a header looks like that is in none of the codecs. */
  #foreign(
    codec: Codec | undefined,
    [first]: Uint8Array,
    cause?: unknown,
  ): RpcError | undefined {
    const name = first === undefined || codec && mayBegin(codec, first)
      ? undefined
      : codecName(first);
    if (name === undefined) return undefined;
    return new RpcError(
      "malformed-header",
      `Cannot read call header: it looks like ${name}, and only ${
        list(this.#codecs, "and")
      } ${this.#codecs.length === 1 ? "is" : "are"} spoken here`,
      cause === undefined ? undefined : { cause },
    );
  }

  #in(codec: Codec): CodecContext {
    let language = this.#known.get(codec);
    if (language === undefined) {
      const caller = this.#callerIn(codec);
      language = { codec, writer: new ResponseWriter(codec), caller };
      this.#known.set(codec, language);
    }
    return language;
  }
}

/** Undefined if the codec does not say. */
function mayBegin(codec: Codec, firstByte: number): boolean | undefined {
  return codec.beginsMap?.(firstByte);
}

/** The codec whose maps begin so (rpc/SPEC.md, "Codecs"). */
function codecName(firstByte: number): string | undefined {
  if (firstByte === 0x7b) return "JSON";
  if (firstByte >= 0xa0 && firstByte <= 0xbf) return "CBOR";
  const short = firstByte >= 0x80 && firstByte <= 0x8f;
  if (short || firstByte === 0xde || firstByte === 0xdf) return "MessagePack";
  return undefined;
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
