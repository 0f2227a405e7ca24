import { printableText } from "../../printable_text.ts";
import type { Call, Handler, Responder } from "../types.ts";

/** Lets a handler of either form answer a call. */
export function invoke(
  handler: Handler,
  call: Call,
  respond: Responder,
): void | Promise<void> {
  return typeof handler === "function"
    ? handler(call, respond)
    : handler.respond(call, respond);
}

/** A handler that answers `not found: /the/selector`, as the reference does. */
export function notFound(call: Call, respond: Responder): Promise<void> {
  return respond.return(
    new Error(`not found: ${printableText(call.selector)}`),
  );
}
