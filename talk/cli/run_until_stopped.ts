/**
 * Programs that run until somebody stops them.
 *
 * @module
 */
import type { Codec } from "../../codec/internal.ts";
import type { Handler } from "../../rpc/internal.ts";
import { listen } from "../listen.ts";
import type { Closable } from "../listener.ts";
import { EXIT } from "./exit_code.ts";
import type { Terminal } from "./terminal.ts";

/** What ends a server, where the system has it. */
const SIGNALS: readonly Deno.Signal[] = Deno.build.os === "windows"
  ? ["SIGINT"]
  : ["SIGINT", "SIGTERM"];

/**
 * Waits for the end of something that serves; SIGINT or SIGTERM closes it, and
 * a second one ends the process at once.
 *
 * @param running what serves
 * @param begin called when a signal would be heard: who reads what it prints may
 * send one at once
 * @returns whether there was a signal
 * @throws {unknown} why it failed
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
 * Says where something listens, on standard output. On stdio there is nothing
 * to say, and nowhere if `other` is there.
 */
export function announceAddress(
  terminal: Terminal,
  address: string,
  other?: string,
): void {
  if (isStdio(address)) return;
  const line = `listening on ${address}`;
  if (other !== undefined && isStdio(other)) terminal.note(line);
  else terminal.print(line);
}

function isStdio(address: string): boolean {
  return /^stdio:/i.test(address);
}

/** Serves a handler at an address until it is stopped; gives the exit code. */
export async function serveUntilStopped(
  address: string,
  handler: Handler,
  codecs: readonly Codec[],
  terminal: Terminal,
): Promise<number> {
  let broken = false;
  const listener = await listen(address, {
    handler,
    codecs,
    onError(error, { selector }) {
      broken ||= selector === undefined;
      const text = error instanceof Error ? error.message : error;
      terminal.error(selector === undefined ? text : `${selector}: ${text}`);
    },
  });
  await runUntilStopped(
    listener,
    () => announceAddress(terminal, listener.addr),
  );
  // There is one conversation on stdio, and how it ended is how this ends.
  return broken && listener.addr === "stdio:" ? EXIT.connection : EXIT.ok;
}
