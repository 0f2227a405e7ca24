import { checkList, checkMethods } from "../../check_option.ts";
import {
  type ChildProcessLike,
  childTransport,
  type CommandStatus,
  qmux,
  resolveOptions,
  type SessionOptions,
  spawnOnNode,
} from "../../mux/internal.ts";
import { isPermanent } from "../address.ts";
import { reporter, TalkError } from "../errors.ts";
import type { Carried } from "../../codec/internal.ts";
import { observed, type ObserverOption } from "../observe/option.ts";
import { checkPeerOptions, Peer, type PeerOptions } from "../peer.ts";
import { dialed } from "../peer_keys.ts";

export type { ChildProcessLike };

/** The part of a `Deno.Command` that {@linkcode dialCommand} uses. */
export interface CommandLike {
  /** Starts the process. */
  spawn(): ChildProcessLike;
}

/** Options of {@linkcode dialCommand}. */
export interface DialCommandOptions<C extends Carried = Carried>
  extends PeerOptions<C>, ObserverOption {
  /** Limits of the session. Default: those of `qmux()`. */
  session?: SessionOptions | undefined;
  /** The arguments of the command. Default: none. */
  args?: readonly string[] | undefined;
  /** The working directory of the child. Default: that of this process. */
  cwd?: string | URL | undefined;
  /**
   * Environment variables of the child, besides those of this process. Default:
   * none.
   */
  env?: Readonly<Record<string, string>> | undefined;
  /**
   * Whether the child starts without the environment variables of this process.
   * Default: false.
   */
  clearEnv?: boolean | undefined;
  /**
   * What happens to the child's stderr: `"inherit"` sends it to the stderr of
   * this process, `"null"` drops it, a stream gets it (and is not closed), and
   * `"piped"` makes it `peer.stderr`, which the program then has to read or
   * cancel: a child whose output is not read stops when the pipe is full.
   * Default: `"inherit"`.
   */
  stderr?:
    | "inherit"
    | "null"
    | "piped"
    | WritableStream<Uint8Array>
    | undefined;
}

/** The options that a command object has itself. */
const COMMAND_OPTIONS = ["args", "cwd", "env", "clearEnv"] as const;

/**
 * A peer at the other end of a child's stdin and stdout.
 *
 * @typeParam C what its codec carries besides JSON's values
 */
export class CommandPeer<C extends Carried = Carried> extends Peer<C> {
  /** The ID of the child process. */
  readonly pid: number;
  /**
   * Resolves, when the child has ended, to how it ended. The error of {@linkcode
   * Peer.closed} says the same if the child failed.
   */
  readonly status: Promise<CommandStatus>;
  /** The child's stderr, if that is `"piped"`; read it to the end or cancel it. */
  readonly stderr: ReadableStream<Uint8Array> | undefined;

  /**
   * Made by {@linkcode dialCommand}.
   *
   * @param child the process, with stdin and stdout piped
   * @param stderr its stderr, if the program reads that
   * @param options codec, handler and limits
   */
  constructor(
    child: ChildProcessLike,
    stderr: ReadableStream<Uint8Array> | undefined,
    options: DialCommandOptions<C>,
  ) {
    const transport = observed(childTransport(child), "stdio:", options);
    super(qmux(transport, options.session), options);
    this.pid = child.pid;
    this.status = child.status;
    this.stderr = stderr;
  }
}

/**
 * Starts a command and makes a peer that talks to it over its stdin and stdout.
 * The peer owns the child process: `close()` closes the child's stdin, gives it
 * `session.closeTimeout` to end its output and a second to exit, then terminates it,
 * and finally kills it.
 *
 * If the child exits with a code other than 0, or a signal ends it, calls in
 * progress and `closed` reject with a `CommandExitError`, which has `exitCode` and
 * `signal`. `peer.status` resolves in any case.
 *
 * Needs `--allow-run` for the command.
 *
 * @example
 * ```ts
 * import { CommandExitError, dialCommand } from "@qtalk/qtalk";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * await using peer = dialCommand(Deno.execPath(), {
 *   args: ["eval", "console.error('out of disk'); Deno.exit(7)"],
 *   stderr: "piped",
 * });
 * const error = await assertRejects(() => peer.closed, CommandExitError);
 * assertEquals([error.exitCode, error.signal], [7, null]);
 * assertEquals(await new Response(peer.stderr).text(), "out of disk\n");
 * ```
 *
 * @param command the program to run, or a `Deno.Command` with `stdin: "piped"`
 * and `stdout: "piped"`
 * @param options the command's arguments, codec, handler and limits
 * @throws {TalkError} `bad-command` if stdin or stdout of a `Deno.Command` is not
 * piped; `dial-failed` if the command cannot be started
 * @throws {TypeError} if `command` is a `Deno.Command` and `args`, `cwd`, `env`,
 * `clearEnv` or `stderr` is given as well, or if `handler`, `codec`, `codecs` or
 * `observer` is of the wrong type
 * @throws {RangeError} if an option is out of range
 */
export function dialCommand<C extends Carried = Carried>(
  command: string | URL | CommandLike,
  options: DialCommandOptions<C> = {},
): CommandPeer<C> {
  // Checked first: a child that was started would have to be killed.
  checkPeerOptions(options);
  resolveOptions(options.session);
  checkList("args", options.args);
  const child = start(command, options);
  const stdin = attempt(() => child.stdin);
  const stdout = attempt(() => child.stdout);
  const stderr = attempt(() => child.stderr);
  if (stdin === undefined || stdout === undefined) {
    child.kill("SIGKILL");
    for (
      const released of [stdin?.close(), stdout?.cancel(), stderr?.cancel()]
    ) {
      released?.catch(() => {});
    }
    throw new TalkError(
      "bad-command",
      "Cannot talk to command: its stdin and stdout are not both piped; " +
        "pass dialCommand() the program and its args, which pipes them",
    );
  }
  const sink = options.stderr;
  const passedOn = typeof sink === "object" && stderr !== undefined;
  const peer = new CommandPeer(child, passedOn ? undefined : stderr, options);
  peer[dialed]("");
  if (passedOn) {
    const report = reporter(options.onError);
    stderr.pipeTo(sink, { preventClose: true })
      .catch((error) => report(error, peer));
  }
  return peer;
}

function start(
  command: string | URL | CommandLike,
  options: DialCommandOptions,
): ChildProcessLike {
  if (typeof command !== "string" && !(command instanceof URL)) {
    const expected = "a program, or a command object such as Deno.Command";
    checkMethods("command", command, expected, "spawn");
    // A stream, though, can get what the command pipes.
    const given = typeof options.stderr === "string"
      ? "stderr"
      : COMMAND_OPTIONS.find((name) => options[name] !== undefined);
    if (given !== undefined) {
      throw new TypeError(
        `Cannot use option "${given}" with a command object: it is an option of the command`,
      );
    }
    return spawn(() => command.spawn());
  }
  const { args = [], cwd, env, clearEnv = false } = options;
  const stderr = typeof options.stderr === "object"
    ? "piped"
    : options.stderr ?? "inherit";
  if (!("Deno" in globalThis)) {
    return spawn(() =>
      spawnOnNode(command, { args, cwd, env, clearEnv, stderr })
    );
  }
  return spawn(() =>
    new Deno.Command(command, {
      args: [...args],
      ...(cwd !== undefined && { cwd }),
      ...(env !== undefined && { env: { ...env } }),
      clearEnv,
      stdin: "piped",
      stdout: "piped",
      stderr,
    }).spawn()
  );
}

function spawn(start: () => ChildProcessLike | undefined): ChildProcessLike {
  try {
    const child = start();
    if (child !== undefined) return child;
    throw new TypeError("this runtime has no processes");
  } catch (cause) {
    throw new TalkError(
      "dial-failed",
      `Cannot start command: ${(cause as Error).message}`,
      { cause, permanent: isPermanent(cause) },
    );
  }
}

/** The result of `get`; undefined if it throws, as the getters of streams do. */
function attempt<T>(get: () => T): T | undefined {
  try {
    return get();
  } catch {
    return undefined;
  }
}
