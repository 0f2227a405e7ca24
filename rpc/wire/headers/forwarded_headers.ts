/**
 * Headers that a peer passes on. It is loaded with the first call that is forwarded.
 *
 * @module
 */
import type { Codec } from "../../../codec/internal.ts";
import type { CallHeader } from "./call_header.ts";
import { decodeHeader, extensionOf } from "./header.ts";
import { RESPONSE } from "./response_header.ts";

/**
 * The value to encode as the call header of a call that is forwarded.
 *
 * @param extension the field `Q` that was received
 * @param refusesPings whether this side asks the target not to ping it
 * @param deadline what is left of its deadline, if it has one
 * @param from what the call says about where it comes from: this side
 */
export function forwardedHeaderValue(
  selector: string,
  extension: CallHeader["extension"],
  refusesPings: boolean,
  deadline?: number,
  from?: string,
): unknown {
  const header = { Selector: selector, S: selector };
  if (extension === undefined) {
    // Without a version, it does not say that the caller is extended.
    return from === undefined ? header : { ...header, Q: { from } };
  }
  // That of the caller is left out: it may be forwarded to where it came from.
  const { from: _, ...others } = extension;
  const Q = forwardedExtension(others, refusesPings);
  if (deadline !== undefined) Q["deadline"] = deadline;
  if (from !== undefined) Q["from"] = from;
  return { ...header, Q };
}

/**
 * The field `Q` of a header that is forwarded. Its member `ping` is about this side
 * then, and not about the peer that sent the header. It has no `again`: the next call
 * on the caller's channel may go to another peer.
 */
function forwardedExtension(
  extension: Readonly<Record<string, unknown>>,
  refusesPings: boolean,
): Record<string, unknown> {
  const { ping: _, again: __, ...others } = extension;
  return refusesPings ? { ...others, ping: false } : others;
}

/**
 * The value to encode as a response header that is forwarded, if it says about its
 * responder what it is not to say about this side.
 *
 * @param bytes the header that was received from an extended responder
 * @param refusesPings whether this side asks the caller not to ping it
 */
export function forwardedResponseValue(
  codec: Codec,
  bytes: Uint8Array,
  refusesPings: boolean,
): unknown {
  const header = decodeHeader(codec, bytes, RESPONSE);
  const extension = extensionOf(header) ?? {};
  return { ...header, Q: forwardedExtension(extension, refusesPings) };
}
