import {
  childTransport,
  qmux,
  resolveOptions,
  type SessionOptions,
} from "../mux/internal.ts";
import { TalkError } from "./errors.ts";
import { checkPeerOptions, Peer, type PeerOptions } from "./peer.ts";

/** Options of {@linkcode dialCommand}. */
export interface DialCommandOptions extends PeerOptions {
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
export function dialCommand(
  command: Deno.Command,
  options: DialCommandOptions = {},
): Peer {
  // Checked first: a child that was started would have to be killed.
  resolveOptions(options.session);
  checkPeerOptions(options);
  let child: Deno.ChildProcess;
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
