import { ValueWriter } from "../../codec/internal.ts";
import type { RoutedSession } from "../callback/callback_routes.ts";
import type { Request } from "../server/request_decoder.ts";
import type { ServerCall } from "../server/server_call.ts";
import { forwardedHeaderValue } from "../wire/headers/forwarded_headers.ts";
import { addCallHeader } from "../wire/headers/call_header.ts";

/**
 * The header of the forwarded call. Without a deadline, it is encoded once for all
 * calls with this header, unless this side has something to add.
 */
export function forwardedHeader(
  { request, deadline }: ServerCall,
  target: RoutedSession | undefined,
): Uint8Array {
  const refusesPings = target?.refusesPings ?? false;
  const mark = target?.nextMark;
  if (deadline === undefined && mark === undefined) {
    return refusesPings
      ? encodeHeader(request, true)
      : request.forwarded ??= encodeHeader(request, false);
  }
  const left = deadline &&
    Math.max(0, Math.ceil(deadline - performance.now()));
  const header = encodeHeader(request, refusesPings, left, mark);
  // The first call to what this side has dialed, which may be no peer.
  if (mark !== undefined) target!.nextMark = undefined;
  return header;
}

function encodeHeader(
  { selector, extension, context: { codec } }: Request,
  refusesPings: boolean,
  left?: number,
  mark?: string,
): Uint8Array {
  const writer = new ValueWriter();
  writer.begin();
  addCallHeader(
    writer,
    codec,
    forwardedHeaderValue(selector, extension, refusesPings, left, mark),
  );
  return writer.message().slice();
}
