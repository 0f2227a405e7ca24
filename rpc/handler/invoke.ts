/**
 * Where the server and handlers meet: how a handler is called, and how it knows
 * that a call comes straight from the server.
 *
 * @module
 */
import { printableText } from "../../printable_text.ts";
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
  return respond.return(
    new Error(`not found: ${printableText(call.selector)}`),
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
