/**
 * The option `--resume`: sessions that survive their connection.
 *
 * @module
 */
import type { ListenResumeOptions } from "../../../mux/internal.ts";
import { redactedAddress } from "../../../printable_text.ts";
import type { ConnectOptions } from "../../dial/dial.ts";
import type { OptionSpec } from "../command.ts";
import { UsageError } from "../exit_code.ts";
import type { Terminal } from "../terminal.ts";

/** The option of commands that dial. */
export const DIAL_RESUME_OPTION = {
  type: "boolean",
  about: "go on after a lost connection (server: --resume, too)",
} as const satisfies OptionSpec;

/** The option of commands that listen. */
export const LISTEN_RESUME_OPTION = {
  type: "boolean",
  about: "let clients with --resume go on after a lost connection",
} as const satisfies OptionSpec;

/**
 * What `dial()` gets of it. What happens to the connection is printed.
 *
 * @throws {UsageError} if it is not for that address
 */
export function dialResume(
  address: string,
  given: boolean,
  terminal: Pick<Terminal, "error" | "note">,
  option = "resume",
): Pick<ConnectOptions, "resume"> {
  if (!given) return {};
  checkAddress(address, option);
  const shown = redactedAddress(address);
  return {
    resume: {
      onState(state) {
        if (state.name === "detached") {
          const { message } = state.error as Error;
          terminal.error(
            `connection to ${shown} lost: ${message}; connecting again`,
          );
        } else if (state.name === "connected" && state.resumed > 0) {
          terminal.note(`connected to ${shown} again`);
        }
      },
    },
  };
}

/**
 * What `listen()` gets of it.
 *
 * @throws {UsageError} if it is not for that address
 */
export function listenResume(
  address: string,
  given: boolean,
): { resume?: ListenResumeOptions } {
  if (!given) return {};
  checkAddress(address, "resume");
  return { resume: {} };
}

/** Refuses addresses at which the option would have no effect. */
function checkAddress(address: string, option: string): void {
  const reason = /^quic:/i.test(address)
    ? "it is for byte streams, and quic: has none"
    : /^stdio:/i.test(address)
    ? "standard streams cannot be connected again"
    : undefined;
  if (reason === undefined) return;
  throw new UsageError(
    `Cannot use --${option} for "${redactedAddress(address)}": ${reason}`,
  );
}
