import type { Codec } from "../../codec/internal.ts";
import { redactedAddress } from "../../printable_text.ts";
import type { Handler } from "../../rpc/internal.ts";
import { listen } from "../listen.ts";
import type { Closable } from "../listener.ts";
import { errorPrinter } from "../error_printer.ts";
import { EXIT } from "./exit_code.ts";
import type { Terminal } from "./terminal.ts";

/** The signals that stop a server, where the system has them. */
const SIGNALS: readonly Deno.Signal[] = Deno.build.os === "windows"
  ? ["SIGINT"]
  : ["SIGINT", "SIGTERM"];

/**
 * Waits until a server has ended. SIGINT and SIGTERM close it; a second signal
 * ends the process at once.
 *
 * @param running the server
 * @param begin is called once signals are handled, such as to announce the
 * address: a program that reads it may send a signal at once
 * @returns whether a signal closed the server
 * @throws {unknown} the error of the server
 */
export async function runUntilStopped(
  running: Closable,
  begin: () => void,
): Promise<boolean> {
  let stopped = false;
  const stop = () => {
    stopped = true;
    forget();
    void running.close();
  };
  const forget = () => {
    for (const signal of SIGNALS) Deno.removeSignalListener(signal, stop);
  };
  for (const signal of SIGNALS) Deno.addSignalListener(signal, stop);
  try {
    begin();
    await running.closed;
  } finally {
    forget();
  }
  return stopped;
}

/**
 * Prints the address of a listener to standard output; to standard error if
 * standard output carries the frames of `other`. Nothing is printed for stdio.
 */
export function announceAddress(
  terminal: Terminal,
  address: string,
  other?: string,
): void {
  if (isStdio(address)) return;
  const line = `listening on ${redactedAddress(address)}`;
  if (other !== undefined && isStdio(other)) terminal.note(line);
  else terminal.print(line);
}

function isStdio(address: string): boolean {
  return /^stdio:/i.test(address);
}

/** Serves a handler at an address until a signal; resolves to the exit code. */
export async function serveUntilStopped(
  address: string,
  handler: Handler,
  codecs: readonly Codec[],
  terminal: Terminal,
): Promise<number> {
  let broken = false;
  const printError = errorPrinter((text) => terminal.note(text));
  const listener = await listen(address, {
    handler,
    codecs,
    onError(error, context) {
      if (context.selector !== undefined) return printError(error, context);
      broken = true;
      terminal.error(error);
    },
  });
  await runUntilStopped(
    listener,
    () => announceAddress(terminal, listener.addr),
  );
  // Over stdio there is one session, which decides the exit code.
  return broken && listener.addr === "stdio:" ? EXIT.connection : EXIT.ok;
}
