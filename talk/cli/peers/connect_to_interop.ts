/**
 * The other side of `check` and `bench`: a child process, or an address.
 *
 * @module
 */
import { dial } from "../../dial.ts";
import { dialCommand } from "../../dial_command.ts";
import type { Peer } from "../../peer.ts";
import { loadCodec } from "../codec_option.ts";
import { interopCallbacks } from "./interop_service.ts";
import { isAddress } from "../target.ts";
import type { Terminal } from "../terminal.ts";

/** The words that both commands take, in their help. */
export const INTEROP_WORDS_HELP =
  `COMMAND is one word for the shell, or the words of a program behind --; it must
speak over its stdin and stdout. ADDRESS is where such a service listens.
Without either, this program's own interop is started.`;

/**
 * Connects to what the words say, and answers its callbacks. Closing the peer
 * ends a child.
 *
 * @throws {TalkError} if there is no such thing
 */
export async function connectToInterop(
  words: readonly string[],
  codec: string,
  terminal: Terminal,
): Promise<Peer> {
  const options = {
    codec: await loadCodec(codec),
    handler: interopCallbacks(),
  };
  const [first, ...others] = words;
  if (first !== undefined && others.length === 0 && isAddress(first)) {
    return await terminal.waiting(
      `Connecting to ${first}`,
      dial(first, options),
    );
  }
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

/** How this program is started once more. */
function ownInterop(codec: string): [string, ...string[]] {
  const args = ["interop", "--codec", codec];
  if (Deno.build.standalone) return [Deno.execPath(), ...args];
  const main = import.meta.resolve("../main.ts");
  return [Deno.execPath(), "run", "-A", main, ...args];
}
