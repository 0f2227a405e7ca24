import { stdioTransport } from "../../../mux/internal_deno.ts";
import type { Transport } from "../../../mux/internal.ts";
import type { RpcResponse } from "../../../rpc/internal.ts";
import type { DescribedMethod } from "../../../rpc/internal_cli.ts";
import { printableText } from "../../../printable_text.ts";
import type { Peer } from "../../peer.ts";
import { problemWith } from "../description/argument_check.ts";
import { askDescription, dotted } from "../description/ask_description.ts";
import { CODEC_OPTION, codecName } from "../options/codec_option.ts";
import { defineCommand, positive } from "../command.ts";
import { DIAL_OPTIONS } from "../options/connection_options.ts";
import { dialPeer } from "../dial_peer.ts";
import { EXIT, OutputClosed, UsageError } from "../exit_code.ts";
import { methodText } from "../description/method_text.ts";
import { DIAL_RESUME_OPTION, dialResume } from "../options/resume_option.ts";
import { spliceTransport } from "../splice_transport.ts";
import { targetFrom } from "../options/target.ts";
import type { Terminal } from "../terminal.ts";
import {
  formatValue,
  highlight,
  parseLines,
  parseValue,
} from "../value_text.ts";

/** `qtalk call`. */
export const call = defineCommand({
  name: "call",
  summary: "Calls a function and prints its response",
  usage: [
    "call ADDRESS/Selector [ARGS…]",
    "call ADDRESS SELECTOR [ARGS…]",
  ],
  about:
    `ADDRESS is tcp://host:port, tls:, quic:, unix:/path, ws://host:port/path, wss:
or wt:. The last four have paths of their own, so the selector is a separate
argument. quic: and wt: need deno --unstable-net. Peers behind NATs are
peer:NAME@ADDRESS#FINGERPRINT, and need --cert and --key of this peer.

ARGS are JSON or bare words; they are sent as an array, or as null if there are
none. Arguments after -- are never options. Each value of the response is
printed as a line of JSON, and the values of a stream as they arrive. The null
at the beginning of a stream is not printed.

If the server describes the method with schemas, the arguments are checked
before they are sent.

  qtalk call tcp://127.0.0.1:9999/Upper hello
  qtalk call unix:/run/math.sock math.add 1 -2
  qtalk call tcp://127.0.0.1:9999/gzip --bytes <file >file.gz
  seq 1 10 | qtalk call tcp://127.0.0.1:9999/sum --stream`,
  options: {
    value: {
      type: "string",
      value: "JSON",
      about: "send this value, in place of an array of ARGS",
    },
    stream: {
      type: "boolean",
      about: "stream the arguments from stdin, a line of JSON each",
    },
    bytes: {
      type: "boolean",
      about: "make the call a byte stream, from stdin and to stdout",
    },
    raw: {
      type: "boolean",
      short: "r",
      about: "print strings without quotes",
    },
    unchecked: {
      type: "boolean",
      about: "send the arguments without asking for a description",
    },
    codec: CODEC_OPTION,
    timeout: {
      type: "string",
      value: "SECONDS",
      about: "for connecting (default 30) and the response (no limit)",
    },
    resume: DIAL_RESUME_OPTION,
    ...DIAL_OPTIONS,
  },
  async run({ words, options, terminal }) {
    const { address, selector, rest } = targetFrom(words);
    const { stream: streamed = false } = options;
    if (streamed && (rest.length > 0 || options.value !== undefined)) {
      throw new UsageError(
        "Cannot send both --stream and arguments: --stream reads them from stdin",
      );
    }
    if (streamed && options.bytes) {
      throw new UsageError(
        "Cannot use both --stream and --bytes: each reads stdin",
      );
    }
    const args = streamed
      ? parseLines(Deno.stdin.readable)
      : argumentsFrom(rest, options.value);
    const seconds = positive("timeout", options.timeout);
    const limits = seconds === undefined ? {} : { timeout: seconds * 1_000 };
    const codec = codecName(options.codec, "json");
    await using peer = await dialPeer(
      address,
      codec,
      options,
      terminal,
      { ...limits, ...dialResume(address, options.resume, terminal) },
    );
    if (!streamed && !options.unchecked) {
      await checkArguments(peer, selector, args, limits.timeout);
    }
    await using response = await terminal.waiting(
      `Waiting for ${selector}`,
      peer.request(selector, args, limits),
    );
    if (options.bytes) await passBytes(response, selector, terminal);
    else await printValues(response, options.raw, streamed, terminal);
    return EXIT.ok;
  },
});

/** The value to send: the array of arguments, or that of --value. */
function argumentsFrom(
  words: readonly string[],
  value: string | undefined,
): unknown {
  if (value === undefined) {
    return words.length === 0 ? null : words.map(parseValue);
  }
  if (words.length === 0) return parseValue(value);
  throw new UsageError(
    "Cannot send both --value and arguments: --value replaces them",
  );
}

/** Milliseconds that the description of a method may take. */
const CHECK_TIMEOUT = 2_000;

/**
 * Checks arguments by what the server says about the method, if it says anything.
 *
 * @throws {UsageError} if they are certainly wrong
 */
async function checkArguments(
  peer: Peer,
  selector: string,
  args: unknown,
  timeout = CHECK_TIMEOUT,
): Promise<void> {
  const wanted = dotted(selector);
  if (wanted.startsWith("_qtalk.")) return;
  let methods: readonly DescribedMethod[];
  try {
    const limit = Math.min(timeout, CHECK_TIMEOUT);
    ({ methods } = await askDescription(peer, selector, limit));
  } catch {
    // Most servers have none. What else is wrong shows when the call is made.
    return;
  }
  const method = methods.find((one) => one.selector === wanted);
  const problem = method && problemWith(method, args);
  if (problem === undefined) return;
  const { name, signature } = methodText(method!);
  throw new UsageError(
    `Cannot call "${
      printableText(selector)
    }": ${problem} (${name}${signature})`,
  );
}

async function printValues(
  response: RpcResponse,
  raw: boolean,
  streamed: boolean,
  terminal: Terminal,
): Promise<void> {
  let printed = 0;
  const print = (value: unknown) => {
    const text = raw && typeof value === "string"
      ? terminal.showsResults ? printableText(value) : value
      : highlight(
        formatValue(value),
        (style, part) => terminal.onResult(style, part),
      );
    terminal.print(text);
    printed++;
    if (!terminal.showsResults) terminal.progress(`${printed} values`);
  };
  const { channel } = response;
  if (channel === undefined) return response.values.forEach(print);
  if (response.value !== null) print(response.value);
  // A responder may continue until this direction ends, as it does after streamed
  // arguments.
  if (!streamed) channel.writable.close().catch(() => {});
  for await (const value of response) print(value);
}

async function passBytes(
  response: RpcResponse,
  selector: string,
  terminal: Terminal,
): Promise<void> {
  const { channel } = response;
  if (channel === undefined) {
    throw new TypeError(
      `Cannot pass bytes to "${selector}": its response does not continue`,
    );
  }
  await spliceTransport(standardStreams(terminal), channel);
}

/** Standard input and output, with progress unless stdout is a terminal. */
function standardStreams(terminal: Terminal): Transport {
  const stdio = stdioTransport();
  const shows = !terminal.showsResults;
  let received = 0;
  return {
    read: () => stdio.read(),
    async write(bytes) {
      try {
        await stdio.write(bytes);
      } catch (cause) {
        if (!(cause instanceof Deno.errors.BrokenPipe)) throw cause;
        throw new OutputClosed("Cannot write: the output is closed", { cause });
      }
      received += bytes.length;
      const mib = (received / 2 ** 20).toFixed(1);
      if (shows) terminal.progress(`${mib} MiB received`);
    },
    closeWrite() {
      // Deno cannot end standard output before the process does.
      terminal.clearProgress();
      return Promise.resolve();
    },
    close: () => stdio.close(),
  };
}
