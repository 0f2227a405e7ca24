import { callHook } from "../call_hook.ts";
import { CodecError } from "../codec/internal.ts";
import { MuxError } from "../mux/internal.ts";
import { printableText } from "../printable_text.ts";
import { RpcError } from "../rpc/internal.ts";

/**
 * Why dialing or listening failed, or a listener refused a connection.
 *
 * | code | meaning |
 * | --- | --- |
 * | `bad-address` | the address does not have the form of its scheme |
 * | `unknown-scheme` | the address has a scheme that is not supported |
 * | `dial-failed` | no connection could be made; `cause` is the reason |
 * | `listen-failed` | the address cannot be listened on, a `peer:` listener has lost its name and goes on trying, or a listener cannot renew its TLS; `cause` is the reason |
 * | `limit-exceeded` | a listener has `maxSessions` sessions and refused a connection |
 * | `out-of-resources` | a listener has no file descriptor or system memory left for a connection; `cause` is the reason |
 * | `timeout` | no connection was made within the `timeout` of `dial()`, or a connection was not ready within the `handshakeTimeout` of a listener |
 * | `handshake-failed` | the TLS handshake of a connection to a listener failed; `cause` is the `TlsError` |
 * | `bad-command` | the stdin or stdout of a `Deno.Command` is not piped |
 */
export type TalkErrorCode =
  | "bad-address"
  | "unknown-scheme"
  | "dial-failed"
  | "listen-failed"
  | "limit-exceeded"
  | "out-of-resources"
  | "timeout"
  | "handshake-failed"
  | "bad-command";

/** Options of {@linkcode TalkError}. */
export interface TalkErrorInit extends ErrorOptions {
  /**
   * Whether another attempt would fail in the same way. Default: depends on the
   * code; false for `dial-failed` and `listen-failed`.
   */
  permanent?: boolean | undefined;
}

/** Codes of errors that stay until the program or its configuration changes. */
const PERMANENT: readonly TalkErrorCode[] = [
  "bad-address",
  "unknown-scheme",
  "bad-command",
];

/** The error of dialing and listening; branch on `code`. */
export class TalkError extends Error {
  /** Always `"TalkError"`. */
  override readonly name = "TalkError";
  /** The kind of failure. */
  readonly code: TalkErrorCode;
  /**
   * Whether another attempt would fail in the same way, for example because a
   * permission is missing, a certificate is not valid, or the server answers 401,
   * 403 or 404. A reconnecting peer gives up after such an error.
   */
  readonly permanent: boolean;

  /**
   * Makes an error of dialing or listening.
   *
   * @param code the kind of failure
   * @param message what was attempted and, after a colon, why it failed
   * @param options the underlying `cause`, if there is one, and whether the
   * failure is permanent
   */
  constructor(
    code: TalkErrorCode,
    message: string,
    options: TalkErrorInit = {},
  ) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.permanent = options.permanent ?? PERMANENT.includes(code);
  }
}

/** The most errors that are printed in {@linkcode INTERVAL}. */
const MAX_PRINTED = 20;
/** Milliseconds after which as many are printed again. */
const INTERVAL = 10_000;
/** The most characters of an error that are printed. */
const MAX_TEXT = 8_192;
/** The most causes, and errors of an `AggregateError`, that are printed. */
const MAX_INNER = 8;

/**
 * Makes what peers and listeners use without an `onError`: it prints the bugs of
 * handlers and hooks to standard error, as `Deno.serve()` does, so that none of
 * them goes unnoticed. Broken sessions and what peers do wrong are not printed:
 * they are no bugs of the program, and a peer could cause any number of them.
 *
 * A bug that every call runs into must not cost more than the calls. So at most
 * 20 errors are printed in ten seconds, and then how many were not.
 *
 * @param print prints a text of several lines
 * @param now the time in milliseconds
 */
export function errorPrinter(
  // deno-lint-ignore no-console
  print: (text: string) => void = (text) => console.error(text),
  now: () => number = () => performance.now(),
): (error: unknown, context: { selector: string | undefined }) => void {
  let since = -Infinity;
  let printed = 0;
  let left = 0;
  return (error, { selector }) => {
    if (selector === undefined && isOurs(error)) return;
    const time = now();
    if (time - since >= INTERVAL) {
      if (left > 0) print(`${left} more errors were not printed`);
      since = time;
      printed = left = 0;
    }
    if (++printed > MAX_PRINTED) {
      left++;
      return;
    }
    const where = selector === undefined
      ? "Error outside a call"
      : `Error in the handler of "${printableText(selector)}"`;
    const text = described(error, 0).slice(0, MAX_TEXT);
    print(`${where}: ${indented(text)}`);
  };
}

/**
 * Makes what reports errors outside calls. What `onError` throws is an uncaught
 * error, and the caller continues.
 */
export function reporter<P>(
  onError:
    | ((
      error: unknown,
      context: { peer: P | undefined; selector: undefined },
    ) => void)
    | undefined,
): (error: unknown, peer?: P) => void {
  return (error, peer) =>
    callHook(() => onError?.(error, { peer, selector: undefined }));
}

/** Whether an error is one of the library: no bug, unless a handler throws it. */
export function isOurs(error: unknown): boolean {
  return error instanceof MuxError || error instanceof RpcError ||
    error instanceof CodecError || error instanceof TalkError;
}

/** Lines after the first are indented: none looks like the line of another log. */
function indented(text: string): string {
  return text.split("\n").map(printableText).join("\n    ");
}

/** An error with its stack and its causes. */
function described(error: unknown, depth: number): string {
  try {
    if (!(error instanceof Error)) return plainText(error);
    const title = `${error.name}: ${error.message}`;
    const { stack = "", cause } = error;
    // Some engines leave the title out of the stack.
    const lines = [
      stack.includes(error.message) ? stack : `${title}\n${stack}`,
    ];
    if (depth >= MAX_INNER) return lines[0]!;
    const { errors } = error as { errors?: unknown };
    if (Array.isArray(errors)) {
      for (const inner of errors.slice(0, MAX_INNER)) {
        lines.push(`- ${described(inner, MAX_INNER)}`);
      }
    }
    if (cause !== undefined) {
      lines.push(`Caused by: ${described(cause, depth + 1)}`);
    }
    return lines.join("\n");
  } catch {
    return "an error whose members throw";
  }
}

/** What stands for a value that is no error but was thrown. */
function plainText(value: unknown): string {
  if (typeof value !== "object" || value === null) return String(value);
  const { message } = value as { message?: unknown };
  return typeof message === "string" ? message : JSON.stringify(value);
}
