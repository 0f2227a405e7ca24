import {
  childTransport,
  qmux,
  resolveOptions,
  type SessionOptions,
} from "../mux/internal.ts";
import { TalkError } from "./errors.ts";
import { Peer, type PeerOptions } from "./peer.ts";

/** Choices for {@linkcode dialCommand}. */
export interface DialCommandOptions extends PeerOptions {
  /** Limits of the session. */
  session?: SessionOptions;
}

/**
 * Starts a command and talks to it over its stdin and stdout. The peer owns the
 * child: `close()` closes the child's stdin, gives it a second to leave, then
 * terminates and at last kills it. Its stderr is as the command says, but may not
 * be `"piped"`: nobody would read it.
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
 * @param command with `stdin: "piped"` and `stdout: "piped"`
 * @param options how to talk
 * @throws {TalkError} `bad-command` if they are not piped, or its stderr is;
 * `dial-failed` if it cannot be started
 * @throws {RangeError} if a session option is out of range
 */
export function dialCommand(
  command: Deno.Command,
  options: DialCommandOptions = {},
): Peer {
  // Before there is a child that a mistake would have to end.
  resolveOptions(options.session);
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
        : "Cannot talk to command: its stderr is piped, and nobody would read it",
    );
  }
  return new Peer(
    qmux(childTransport(child), options.session),
    options,
  );
}

/** What `get` gets, unless that throws, as asking for a stream not piped does. */
function attempt<T>(get: () => T): T | undefined {
  try {
    return get();
  } catch {
    return undefined;
  }
}
