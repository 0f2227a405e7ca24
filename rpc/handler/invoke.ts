/**
 * Where the server and handlers meet: how a handler is called, and how it knows
 * that a call comes straight from the server.
 *
 * @module
 */
import type { ServerCall, ServerResponder } from "../server/server_call.ts";
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
  return respond.return(new Error(`not found: ${escaped(call.selector)}`));
}

/**
 * Characters that could change how a terminal or a log shows a text: control
 * characters, and those that override the direction of writing.
 */
const UNPRINTABLE = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;

/** A selector for an error text, which may end up in a log. */
function escaped(selector: string): string {
  return selector.replace(
    UNPRINTABLE,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Whether a call is the server's own, and not a wrapper. */
export function isServerCall(call: Call): call is ServerCall {
  return "receiveNow" in call;
}

/** Whether a responder is the server's own, and not a wrapper. */
export function isServerResponder(
  respond: Responder,
): respond is ServerResponder {
  return "sendNow" in respond;
}
