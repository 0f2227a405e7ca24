import {
  childTransport,
  qmux,
  resolveOptions,
  type SessionOptions,
} from "../mux/internal.ts";
import { TalkError } from "./errors.ts";
import type { Carried } from "../codec/internal.ts";
import { Peer, type PeerOptions, resolveLimits } from "./peer.ts";

/** What {@linkcode dialCommand} uses of a `Deno.ChildProcess`. */
export interface ChildProcessLike {
  /** Its standard input; throws if it is not piped. */
  readonly stdin: WritableStream<Uint8Array>;
  /** Its standard output; throws if it is not piped. */
  readonly stdout: ReadableStream<Uint8Array>;
  /** Its standard error; throws if it is not piped. */
  readonly stderr: ReadableStream<Uint8Array>;
  /** Resolves when it has ended. */
  readonly status: Promise<unknown>;
  /** Sends it a signal. */
  kill(signal: "SIGTERM" | "SIGKILL"): void;
}

/** What {@linkcode dialCommand} uses of a `Deno.Command`. */
export interface CommandLike {
  /** Starts the process. */
  spawn(): ChildProcessLike;
}

/** Options of {@linkcode dialCommand}. */
export interface DialCommandOptions<C extends Carried = Carried>
  extends PeerOptions<C> {
  /** Limits of the session. Default: those of `qmux()`. */
  session?: SessionOptions | undefined;
}

/**
 * Starts a command and makes a peer that talks to it over its stdin and stdout.
 * The peer owns the child process: `close()` closes the child's stdin, gives it
 * a second to exit, then terminates it, and finally kills it. The command's
 * stderr must not be `"piped"`, as nothing would read it; `"inherit"` and
 * `"null"` are fine.
 *
 * Needs `--allow-run` for the command.
 *
 * @example
 * ```ts ignore
 * import { dialCommand } from "@qtalk/qtalk";
 *
 * await using peer = dialCommand(
 *   new Deno.Command("./worker", { stdin: "piped", stdout: "piped" }),
 * );
 * console.log(await peer.call("version"));
 * ```
 *
 * @param command a command with `stdin: "piped"` and `stdout: "piped"`
 * @param options codec, handler and limits
 * @throws {TalkError} `bad-command` if stdin or stdout is not piped, or stderr
 * is; `dial-failed` if the command cannot be started
 * @throws {RangeError} if an option is out of range
 */
export function dialCommand<C extends Carried = Carried>(
  command: CommandLike,
  options: DialCommandOptions<C> = {},
): Peer<C> {
  // Checked first: a child that was started would have to be killed.
  resolveOptions(options.session);
  resolveLimits(options);
  let child: ChildProcessLike;
  try {
    child = command.spawn();
  } catch (cause) {
    throw new TalkError(
      "dial-failed",
      `Cannot start command: ${(cause as Error).message}`,
      { cause },
    );
  }
  const stdin = attempt(() => child.stdin);
  const stdout = attempt(() => child.stdout);
  const stderr = attempt(() => child.stderr);
  if (stdin === undefined || stdout === undefined || stderr !== undefined) {
    child.kill("SIGKILL");
    for (
      const released of [stdin?.close(), stdout?.cancel(), stderr?.cancel()]
    ) {
      released?.catch(() => {});
    }
    throw new TalkError(
      "bad-command",
      stderr === undefined
        ? "Cannot talk to command: its stdin and stdout are not both piped"
        : "Cannot talk to command: its stderr is piped, and nothing would read it",
    );
  }
  return new Peer(
    qmux(childTransport(child), options.session),
    options,
  );
}

/** The result of `get`; undefined if it throws, as the getters of streams do. */
function attempt<T>(get: () => T): T | undefined {
  try {
    return get();
  } catch {
    return undefined;
  }
}
