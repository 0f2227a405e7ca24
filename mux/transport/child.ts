import { timeLimit } from "../../time_limit.ts";
import {
  CommandExitError,
  type CommandStatus,
  STDIO_ADVICE,
} from "../errors.ts";
import type { AdvisingTransport, KeptTransport } from "./types.ts";

/** Milliseconds for a child to exit by itself, and again after each signal. */
const EXIT_TIMEOUT = 1_000;

/** What is used of a `Deno.ChildProcess`. */
export interface ChildProcessLike {
  /** The ID of the process. */
  readonly pid: number;
  /** Its standard input; throws if it is not piped. */
  readonly stdin: WritableStream<Uint8Array>;
  /** Its standard output; throws if it is not piped. */
  readonly stdout: ReadableStream<Uint8Array>;
  /** Its standard error; throws if it is not piped. */
  readonly stderr: ReadableStream<Uint8Array>;
  /** Resolves when it has ended. */
  readonly status: Promise<CommandStatus>;
  /** Sends it a signal. */
  kill(signal: "SIGTERM" | "SIGKILL"): void;
}

/**
 * Uses stdin and stdout of a child process as a transport, which owns the child.
 * `close()` closes the child's stdin and waits one second for it to exit. Then it
 * sends SIGTERM and, after another second, SIGKILL.
 *
 * The output of a child that crashes ends as that of any other. Its end is
 * therefore not read before it is known how the child ended, for which it has one
 * second, and a child that failed makes `read()` reject with a
 * {@linkcode CommandExitError}.
 *
 * @param child a process spawned with stdin and stdout `"piped"`
 */
export function childTransport(
  child: Pick<ChildProcessLike, "stdin" | "stdout" | "status" | "kill">,
): AdvisingTransport & KeptTransport {
  const reader = child.stdout.getReader();
  const writer = child.stdin.getWriter();
  reader.closed.catch(() => {});
  writer.closed.catch(() => {});
  let closing: Promise<void> | undefined;
  let outputEnded = false;
  let status: CommandStatus | undefined;
  let cancelLimit: (() => void) | undefined;
  void child.status.then((ended) => {
    status = ended;
    if (ended.success || outputEnded || closing !== undefined) return;
    // A process that the child has started may still hold the pipe open.
    cancelLimit = timeLimit(EXIT_TIMEOUT, () => void reader.cancel());
  });

  async function readEnd(): Promise<null> {
    outputEnded = true;
    cancelLimit?.();
    // close() may end the child, and calls no such end a failure.
    if (closing !== undefined) return null;
    await settlesInTime(child.status);
    if (closing !== undefined || status === undefined || status.success) {
      return null;
    }
    throw new CommandExitError(status);
  }

  async function close(): Promise<void> {
    cancelLimit?.();
    // A child that does not read blocks the write before this, and this too.
    const inputClosed = Promise.allSettled([writer.close()]);
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      if (await settlesInTime(child.status)) break;
      try {
        child.kill(signal);
      } catch {
        break; // It has just exited.
      }
    }
    await child.status;
    // A process that the child has started may still hold the pipes open.
    await settlesInTime(Promise.allSettled([inputClosed, reader.cancel()]));
  }

  return {
    advice: STDIO_ADVICE,
    keepAlive: { signs: 0 },
    async read() {
      const { done, value } = await reader.read();
      return done ? await readEnd() : value;
    },
    // The stream passes a chunk to the pipe before its write resolves.
    write: (bytes) => writer.write(bytes),
    closeWrite: () => writer.close(),
    close: () => closing ??= close(),
  };
}

/** Whether `event` resolves within {@linkcode EXIT_TIMEOUT}. */
async function settlesInTime(event: Promise<unknown>): Promise<boolean> {
  const expired = Promise.withResolvers<false>();
  const cancelLimit = timeLimit(EXIT_TIMEOUT, () => expired.resolve(false));
  const inTime = await Promise.race([event.then(() => true), expired.promise]);
  cancelLimit();
  return inTime;
}
