import { printableText } from "../../../printable_text.ts";
import { RpcError } from "../../../rpc/internal.ts";
import type { Peer } from "../../peer.ts";
import { type Check, CHECKS } from "../peers/interop_checks.ts";
import { codecName, INTEROP_CODEC_OPTION } from "../options/codec_option.ts";
import { defineCommand, positive } from "../command.ts";
import { DIAL_OPTIONS } from "../options/connection_options.ts";
import { EXIT, exitCodeOf } from "../exit_code.ts";
import {
  connectToInterop,
  INTEROP_WORDS_HELP,
} from "../peers/connect_to_interop.ts";
import type { Terminal } from "../terminal.ts";

/** How long one check may take by default, in seconds. */
const DEFAULT_TIMEOUT = 30;

/** `qtalk check`. */
export const check = defineCommand({
  name: "check",
  summary: "Checks that an interop service answers correctly",
  usage: ["check [COMMAND | ADDRESS]", "check -- PROGRAM [ARGS…]"],
  about: `${INTEROP_WORDS_HELP}

Prints a line for each check; the exit code is 1 if one of them failed. The
codec is CBOR unless --codec or the variable QTALK_CODEC names another one. A
service with another codec may not answer at all.

  qtalk check 'go run ./cmd/qtalk interop'`,
  options: {
    codec: INTEROP_CODEC_OPTION,
    timeout: {
      type: "string",
      value: "SECONDS",
      about: `for each check (default ${DEFAULT_TIMEOUT})`,
    },
    ...DIAL_OPTIONS,
  },
  async run({ words, options, terminal }) {
    const seconds = positive("timeout", options.timeout) ?? DEFAULT_TIMEOUT;
    const codec = codecName(options.codec, "cbor");
    await using peer = await connectToInterop(words, codec, options, terminal);
    let code: number = EXIT.ok, passed = 0, failed = 0;
    for (const item of CHECKS) {
      const failure = await runCheck(item, peer, seconds, terminal);
      if (failure === undefined) {
        passed++;
        continue;
      }
      failed++;
      const failureCode = exitCodeOf(failure.error);
      if (failureCode === EXIT.connection) {
        // The session is lost or stuck: the other checks would fail too.
        code = failureCode;
        break;
      }
      code = EXIT.remote;
    }
    const left = CHECKS.length - passed - failed;
    terminal.print(
      `${passed} passed, ${failed} failed${
        left > 0 ? `, ${left} not run` : ""
      }`,
    );
    return code;
  },
});

/** Runs a check and prints its line; resolves to the error, if it failed. */
async function runCheck(
  { name, run }: Check,
  peer: Peer,
  seconds: number,
  terminal: Terminal,
): Promise<{ error: unknown } | undefined> {
  try {
    const seen = await terminal.waiting(name, inTime(run(peer), seconds));
    const detail = seen ? `: ${printableText(seen)}` : "";
    terminal.print(`${terminal.onResult("green", "ok    ")} ${name}${detail}`);
    return undefined;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    const line = `${name}: ${printableText(text)}`;
    terminal.print(`${terminal.onResult("red", "FAILED")} ${line}`);
    return { error };
  }
}

/** Limits the time of a check, as a stream may never end. */
async function inTime<T>(checking: Promise<T>, seconds: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new RpcError("timeout", `Check did not end within ${seconds} s`));
    }, seconds * 1_000);
  });
  try {
    return await Promise.race([checking, late]);
  } finally {
    clearTimeout(timer);
  }
}
