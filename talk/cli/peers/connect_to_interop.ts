import { dialCommand } from "../../dial/dial_command.ts";
import type { Peer } from "../../peer.ts";
import { loadCodec } from "../options/codec_option.ts";
import type { GivenDialOptions } from "../options/connection_options.ts";
import { dialSecurity } from "../options/connection_security.ts";
import { dialPeer } from "../dial_peer.ts";
import { moduleUrl } from "../../../module_url.ts";
import { interopCallbacks } from "./interop_service.ts";
import { isAddress } from "../options/target.ts";
import type { Terminal } from "../terminal.ts";

/** The help on the arguments of `check` and `bench`. */
export const INTEROP_WORDS_HELP =
  `COMMAND is one argument, which the shell runs. PROGRAM [ARGS…] after -- is run
without a shell. Either must serve its stdin and stdout. ADDRESS is where such a
service listens. Without any of these, this program's own interop is started.`;

/**
 * Connects to the interop service that the arguments name, a child process or
 * an address, and answers its callbacks. Closing the peer ends the child.
 *
 * @throws {UsageError} if an option is not valid, or not for such a service
 * @throws {TalkError} if the child or the connection cannot be made
 */
export async function connectToInterop(
  words: readonly string[],
  codec: string,
  given: GivenDialOptions,
  terminal: Terminal,
): Promise<Peer> {
  const [first, ...others] = words;
  const isDialed = first !== undefined && others.length === 0 &&
    isAddress(first);
  const handler = interopCallbacks();
  if (isDialed) {
    return await dialPeer(first, codec, given, terminal, { handler });
  }
  // None of the options is for a command.
  await dialSecurity(undefined, given, terminal);
  const options = { codec: await loadCodec(codec), handler };
  const [program, ...args] = commandLine(words, codec);
  const command = new Deno.Command(program, {
    args,
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  });
  return dialCommand(command, options);
}

function commandLine(
  words: readonly string[],
  codec: string,
): [string, ...string[]] {
  const [first, ...others] = words;
  if (first === undefined) return ownInterop(codec);
  if (others.length > 0) return [first, ...others];
  return Deno.build.os === "windows"
    ? ["cmd", "/d", "/s", "/c", first]
    : ["sh", "-c", first];
}

/** The command that starts `interop` of this program. */
function ownInterop(codec: string): [string, ...string[]] {
  const args = ["interop", "--codec", codec];
  if (Deno.build.standalone) return [Deno.execPath(), ...args];
  const main = moduleUrl("talk/cli/main");
  return [Deno.execPath(), "run", "-A", main, ...args];
}
