/**
 * How a command ends, in the number that scripts see.
 *
 * @module
 */
import { MuxError } from "../../mux/internal.ts";
import { RemoteError, RpcError } from "../../rpc/internal.ts";
import { TalkError } from "../errors.ts";

/** What the exit codes mean. */
export const EXIT = {
  /** It did what it was to do. */
  ok: 0,
  /** The other side answered with an error, or not as `check` wants it. */
  remote: 1,
  /** The command line makes no sense. */
  usage: 2,
  /** There was no connection, or it was lost, or no answer came. */
  connection: 3,
  /** Something failed on this side, such as a value that cannot be encoded. */
  failure: 4,
} as const;

/** The command line makes no sense. */
export class UsageError extends Error {
  /** Always `"UsageError"`. */
  override readonly name = "UsageError";
}

/** Who read standard output wants no more of it, as `head` does. */
export class OutputClosed extends Error {
  /** Always `"OutputClosed"`. */
  override readonly name = "OutputClosed";
}

/** Codes of `TalkError` that only another command line would mend. */
const ADDRESS_CODES: readonly string[] = ["bad-address", "unknown-scheme"];
/** Codes of `RpcError` that say that there was no answer. */
const ANSWER_CODES: readonly string[] = ["timeout", "no-response"];

/** The exit code for what a command threw. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof OutputClosed) return EXIT.ok;
  if (error instanceof RemoteError) return EXIT.remote;
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
