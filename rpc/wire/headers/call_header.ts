import {
  type Codec,
  CodecError,
  PREFIX_SIZE,
  ValueWriter,
} from "../../../codec/internal.ts";
import { readUint32 } from "../../../uint32.ts";
import type { Metadata } from "../metadata.ts";
import { MAX_CALL_HEADER_SIZE, VERSION } from "./header.ts";

/** What the caller sends first. */
export interface CallHeader {
  /** What to call, as the caller wrote it. */
  selector: string;
  /** The field `Q`; undefined if the caller is not extended. */
  extension: Readonly<Record<string, unknown>> | undefined;
  /** What the IDs of the functions begin with of the end that has dialed. */
  from: string | undefined;
}

/** What the field `Q` of a call header says, besides the version. */
export interface CallExtension {
  /** Whether a handler makes the call to its caller. Default: no. */
  readonly nested?: true | undefined;
  /**
   * Whether the argument is a stream of values. Default: the argument says so
   * itself, as an array or null is none.
   */
  readonly stream?: boolean | undefined;
  /** What the IDs of the functions of this side begin with, if it lends some. */
  readonly lends?: string | undefined;
  /** Milliseconds that are left for the call: an integer. Default: no limit. */
  readonly deadline?: number | undefined;
  /** Metadata. Default: none. */
  readonly meta?: Metadata | undefined;
  /** A trace context. Default: none. */
  readonly trace?: string | undefined;
  /**
   * What the IDs of the functions of the caller begin with, in the first call: one
   * that comes back has met no peer. Default: absent.
   */
  readonly from?: string | undefined;
  /** `false` asks the responder not to ping this side. Default: absent. */
  readonly ping?: false | undefined;
  /** Whether the caller may make another call on the channel. Default: absent. */
  readonly again?: true | undefined;
}

/** The value to encode as a call header. */
export function callHeaderValue(
  selector: string,
  extension?: CallExtension,
): unknown {
  // Members that are undefined are left out.
  return { Selector: selector, S: selector, Q: { v: VERSION, ...extension } };
}

/**
 * Adds a call header to a message that is empty.
 *
 * @throws {CodecError} `too-large`: the responder would close the call, and the caller
 * would not learn why
 */
export function addCallHeader(
  message: ValueWriter,
  codec: Codec,
  header: unknown,
): void {
  message.add(codec, header);
  const size = message.length - PREFIX_SIZE;
  if (size <= MAX_CALL_HEADER_SIZE) return;
  throw new CodecError(
    "too-large",
    `Cannot send call header: it has ${size} bytes, more than ${MAX_CALL_HEADER_SIZE}`,
  );
}

/**
 * An encoded call header, with its length and what follows it, in which the
 * deadline is another one. The call has waited since it was encoded.
 */
export function withDeadline(
  request: Uint8Array,
  codec: Codec,
  deadline: number,
): Uint8Array {
  const end = PREFIX_SIZE + readUint32(request, 0);
  const header = codec.decode(request.subarray(PREFIX_SIZE, end)) as {
    Q: Record<string, unknown>;
  };
  const Q = { ...header.Q, deadline };
  const writer = new ValueWriter();
  writer.begin();
  writer.add(codec, { ...header, Q });
  writer.addRaw(request.subarray(end));
  return writer.message();
}
