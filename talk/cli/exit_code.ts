import { MuxError } from "../../mux/internal.ts";
import { RemoteError, RpcError } from "../../rpc/internal.ts";
import { TalkError } from "../errors.ts";

/** The exit codes of commands. */
export const EXIT = {
  /** Success. */
  ok: 0,
  /** The other end answered with an error, or failed a check. */
  remote: 1,
  /** Usage error. */
  usage: 2,
  /** No connection, or it was lost, or no answer came. */
  connection: 3,
  /** Something failed on this side, such as a value that cannot be encoded. */
  failure: 4,
} as const;

/** A usage error: the command line is not valid. */
export class UsageError extends Error {
  /** Always `"UsageError"`. */
  override readonly name = "UsageError";
}

/** The error of a server that does not say about itself what it was asked. */
export class NotDescribed extends Error {
  /** Always `"NotDescribed"`. */
  override readonly name = "NotDescribed";
}

/** Standard output was closed by its reader, such as `head`. */
export class OutputClosed extends Error {
  /** Always `"OutputClosed"`. */
  override readonly name = "OutputClosed";
}

/** Codes of `TalkError` that are usage errors. */
const ADDRESS_CODES: readonly string[] = ["bad-address", "unknown-scheme"];
/** Codes of `RpcError` that mean that no answer came. */
const ANSWER_CODES: readonly string[] = ["timeout", "no-response"];

/** The exit code for an error of a command. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof OutputClosed) return EXIT.ok;
  if (error instanceof RemoteError || error instanceof NotDescribed) {
    return EXIT.remote;
  }
  if (error instanceof UsageError) return EXIT.usage;
  if (error instanceof TalkError) {
    return ADDRESS_CODES.includes(error.code) ? EXIT.usage : EXIT.connection;
  }
  if (error instanceof MuxError) return EXIT.connection;
  if (error instanceof RpcError && ANSWER_CODES.includes(error.code)) {
    return EXIT.connection;
  }
  return EXIT.failure;
}
