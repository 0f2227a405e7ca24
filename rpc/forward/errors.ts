import { printableText } from "../../printable_text.ts";
import { CallError, RpcError } from "../errors.ts";
import type { ServerCall } from "../server/server_call.ts";
import { errorCode, errorText } from "../wire/headers/error_header.ts";

export function noTarget(): TypeError {
  return new TypeError("Cannot forward: the target has no session");
}

export function replaced(): TypeError {
  return new TypeError(
    "Cannot forward call: its call or responder object was replaced",
  );
}

export function cancelled(selector: string): RpcError {
  return new RpcError(
    "cancelled",
    `Call was closed by the caller, in call "${printableText(selector)}"`,
  );
}

export function busy(selector: string): CallError {
  return new CallError(
    `busy: the target has no room for calls of this client; cannot call "${
      printableText(selector)
    }"`,
    { code: "busy" },
  );
}

export function tooManyLent({ selector }: ServerCall): CallError {
  return new CallError(
    `Cannot forward call "${
      printableText(selector)
    }": the client holds too many functions of the target (option "maxCallbacks" of forward())`,
    { code: "limit-exceeded" },
  );
}

/**
 * The error for a caller whose call did not get a response from the target: no
 * bug of this side, which learns of the end of the target's session in any case.
 */
export function passedOn(
  error: unknown,
  { selector, channel }: ServerCall,
): unknown {
  if (channel.peerClosed) return error;
  return new CallError(
    `Cannot forward call "${printableText(selector)}": ${errorText(error)}`,
    { code: errorCode(error), cause: error },
  );
}

export function tooLate({ selector }: ServerCall): CallError {
  return new CallError(
    `Cannot forward call "${
      printableText(selector)
    }": its deadline had passed before the target could get it`,
    { code: "deadline-exceeded" },
  );
}
