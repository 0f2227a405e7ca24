import { copyOf } from "../../mux/internal.ts";
import { RemoteError } from "../../rpc/internal.ts";
import { TalkError } from "../errors.ts";

/**
 * Why two peers did not meet, or a name was not registered.
 *
 * | code | meaning |
 * | --- | --- |
 * | `unknown-peer` | no peer is registered under the name now |
 * | `other-key` | the peer that is registered under the name has another key |
 * | `name-taken` | another key has registered the name |
 * | `taken-over` | another listener with the same key has registered the name |
 * | `bad-proof` | a peer did not prove that it has its key |
 * | `limit-exceeded` | the rendezvous has as many names, meetings or relays as it allows |
 * | `no-direct-way` | no direct connection was made, and the option `relay` is `false` |
 * | `not-reached` | the peer is registered, but did not answer |
 */
export type RendezvousErrorCode =
  | "unknown-peer"
  | "other-key"
  | "name-taken"
  | "taken-over"
  | "bad-proof"
  | "limit-exceeded"
  | "no-direct-way"
  | "not-reached";

const CODES: readonly string[] = [
  "unknown-peer",
  "other-key",
  "name-taken",
  "bad-proof",
  "limit-exceeded",
  "not-reached",
];

/**
 * An error of a rendezvous: the `cause` of the error that `dial()` or `listen()`
 * rejects with.
 */
export class RendezvousError extends Error {
  /** Always `"RendezvousError"`. */
  override readonly name = "RendezvousError";
  /** What is wrong. Programs should branch on it. */
  readonly code: RendezvousErrorCode;
  /** Whether another attempt would fail in the same way. */
  readonly permanent: boolean;

  /**
   * Makes an error of a meeting.
   *
   * @param code what is wrong
   * @param message a description for people
   * @param options the underlying `cause`, if there is one
   */
  constructor(
    code: RendezvousErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.code = code;
    this.permanent = code === "name-taken" || code === "bad-proof";
  }
}

/**
 * Fails with the error of a rendezvous that could not be dialed. It and its causes
 * name the options for this: `tls` is that of the peer.
 *
 * @throws {unknown} always
 */
export function throwOfRendezvous(error: unknown): never {
  throw error instanceof TalkError ? ofRendezvous(error) : error;
}

function ofRendezvous(error: TalkError): TalkError {
  const text = error.message.replaceAll('"tls.', '"rendezvous.tls.');
  if (text === error.message) return error;
  const copy = copyOf(error, text);
  // The text of an error has that of its cause.
  if (copy.cause instanceof Error) {
    copy.cause = ofRendezvous(copy.cause as TalkError);
  }
  return copy;
}

/** Makes an error from the code with which a rendezvous has answered a call. */
export function meetingError(cause: unknown): unknown {
  if (!(cause instanceof RemoteError)) return cause;
  const { code, text } = cause;
  if (code === "not-found") {
    return new TypeError(
      "the service at the address is not a rendezvous",
      {
        cause,
      },
    );
  }
  return code !== undefined && CODES.includes(code)
    ? new RendezvousError(code as RendezvousErrorCode, text, { cause })
    : cause;
}
