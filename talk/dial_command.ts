import { Session } from "../mux/session.ts";
import type { SessionOptions } from "../mux/options.ts";
import { childTransport } from "../mux/transport/child.ts";
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
 * terminates and at last kills it. Its stderr is as the command says.
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
 * @throws {TalkError} `bad-command` if they are not piped, `dial-failed` if it
 * cannot be started
 */
export function dialCommand(
  command: Deno.Command,
  options: DialCommandOptions = {},
): Peer {
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
  try {
    const transport = childTransport(child);
    return new Peer(new Session(transport, options.session), options);
  } catch (cause) {
    child.kill("SIGKILL");
    throw new TalkError(
      "bad-command",
      "Cannot talk to command: its stdin and stdout are not both piped",
      { cause },
    );
  }
}
