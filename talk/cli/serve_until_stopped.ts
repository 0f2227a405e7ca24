import type { Codec } from "../../codec/internal.ts";
import { redactedAddress } from "../../printable_text.ts";
import type { ListenResumeOptions } from "../../mux/internal.ts";
import type { Handler } from "../../rpc/internal.ts";
import {
  closeOnSignals,
  DEFAULT_SIGNAL_DRAIN_TIMEOUT,
} from "../close_on_signals.ts";
import { errorPrinter } from "../errors.ts";
import { listen } from "../listener/listen.ts";
import type { Closable, Listener } from "../listener/types.ts";
import type { Peer } from "../peer.ts";
import { type OptionSpec, seconds } from "./command.ts";
import { changingFiles } from "./options/changing_files.ts";
import type { ListenSecurity } from "./options/connection_security.ts";
import { EXIT } from "./exit_code.ts";
import type { Terminal } from "./terminal.ts";

/** The option of commands that run until a signal stops them. */
export const DRAIN_OPTION = {
  type: "string",
  value: "SECONDS",
  about: "for what is in progress at a signal (default 5)",
} as const satisfies OptionSpec;

/** The option of commands that can say more about connections. */
export const VERBOSE_OPTION = {
  type: "boolean",
  short: "v",
  about: "print every connection and its end to stderr",
} as const satisfies OptionSpec;

/** Milliseconds that draining may take without a word about it. */
const SILENCE = 2_000;

/** The value of {@linkcode DRAIN_OPTION}, in milliseconds. */
export function drainTimeoutFrom(text: string | undefined): number {
  return seconds("drain", text) ?? DEFAULT_SIGNAL_DRAIN_TIMEOUT;
}

/**
 * Waits until something has ended; signals close it, see `closeOnSignals()`.
 *
 * @param running what runs
 * @param terminal where it is printed that draining takes a while
 * @param drainTimeout how long draining may take, in milliseconds
 * @param begin is called once signals are handled, such as to announce the
 * address: a program that reads it may send a signal at once
 * @throws {unknown} its error
 */
export async function runUntilStopped(
  running: Closable,
  terminal: Terminal,
  drainTimeout: number,
  begin: () => void = () => {},
): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  using _ = closeOnSignals(running, {
    drainTimeout,
    onSignal(signal, count) {
      clearTimeout(timer);
      if (count > 1 || drainTimeout <= SILENCE) return;
      timer = setTimeout(() => {
        terminal.note(
          `${signal}: what is in progress has ${
            drainTimeout / 1_000
          } s to end; another signal ends it at once`,
        );
      }, SILENCE);
    },
  });
  try {
    begin();
    await running.closed;
  } finally {
    clearTimeout(timer);
  }
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

/** Options of {@linkcode startServing}. */
export interface StartOptions extends ListenSecurity {
  /** Answers the calls. */
  handler: Handler;
  /** The codecs that calls may be in. */
  codecs: readonly Codec[];
  /** Where connections and errors are printed. */
  terminal: Terminal;
  /** Whether every connection is printed. Default: false. */
  verbose?: boolean | undefined;
  /** Whether others listen at the same port. Default: false. */
  reusePort?: boolean | undefined;
  /** How sessions survive their connections. Default: they do not. */
  resume?: ListenResumeOptions | undefined;
}

/** A handler that is served. */
export interface Serving {
  /** What accepts its connections. */
  readonly listener: Listener<Peer>;
  /** Whether a connection has ended with an error. */
  readonly broken: boolean;
}

/** Serves a handler at an address, and prints what happens to connections. */
export async function startServing(
  address: string,
  options: StartOptions,
): Promise<Serving> {
  const { handler, codecs, terminal, verbose, reusePort, resume } = options;
  let broken = false;
  const printError = errorPrinter((text) => terminal.note(text));
  const listener = await listen(address, {
    handler,
    codecs,
    reusePort,
    resume,
    ...changingFiles({ tls: options.tls, rendezvous: options.rendezvous }),
    onPeer(peer, { remoteAddr, tls, way }) {
      if (!verbose) return;
      const from = way === undefined
        ? remoteAddr
        : `${tls?.peerCertificate?.fingerprint}, ${way}`;
      noteConnection(terminal, from, peer.closed);
    },
    onError(error, context) {
      if (context.selector !== undefined) return printError(error, context);
      broken = true;
      const from = context.peer?.remoteAddr ?? "";
      terminal.error(
        from === "" || isStdio(from)
          ? error
          : `${(error as Error).message} (connection from ${from})`,
      );
    },
  });
  return {
    listener,
    get broken() {
      return broken;
    },
  };
}

/** Options of {@linkcode serveUntilStopped}. */
export interface ServeOptions extends StartOptions {
  /** How long calls may take to end, in milliseconds. */
  drainTimeout: number;
  /** Called before the listener closes. */
  onClose?: () => void;
}

/** Serves a handler at an address until a signal; resolves to the exit code. */
export async function serveUntilStopped(
  address: string,
  options: ServeOptions,
): Promise<number> {
  const { terminal, drainTimeout, onClose } = options;
  const serving = await startServing(address, options);
  const { listener } = serving;
  const running: Closable = {
    closed: listener.closed,
    close(options) {
      onClose?.();
      return listener.close(options);
    },
  };
  await runUntilStopped(
    running,
    terminal,
    drainTimeout,
    () => announceAddress(terminal, listener.addr),
  );
  // Over stdio there is one session, which decides the exit code.
  return serving.broken && listener.addr === "stdio:"
    ? EXIT.connection
    : EXIT.ok;
}

/** Prints a connection, and its end. */
export function noteConnection(
  terminal: Terminal,
  remoteAddr: string,
  closed: Promise<void>,
): void {
  const from = redactedAddress(remoteAddr || "unknown address");
  terminal.note(`connected: ${from}`);
  closed.then(
    () => terminal.note(`disconnected: ${from}`),
    () => terminal.note(`lost: ${from}`),
  );
}
