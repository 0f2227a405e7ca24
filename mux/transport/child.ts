import { timeLimit } from "../../time_limit.ts";
import type { Transport } from "../types.ts";

/** Milliseconds for a child to exit by itself, and again after each signal. */
const EXIT_TIMEOUT = 1_000;

/** What this module uses of a child process. */
export interface ChildLike {
  /** Its standard input. */
  readonly stdin: WritableStream<Uint8Array>;
  /** Its standard output. */
  readonly stdout: ReadableStream<Uint8Array>;
  /** Resolves when it has ended. */
  readonly status: Promise<unknown>;
  /** Sends it a signal. */
  kill(signal: "SIGTERM" | "SIGKILL"): void;
}

/**
 * Uses stdin and stdout of a child process as a transport, which owns the child.
 * `close()` closes the child's stdin and waits one second for it to exit. Then it
 * sends SIGTERM and, after another second, SIGKILL.
 *
 * @param child a process spawned with stdin and stdout `"piped"`
 */
export function childTransport(child: ChildLike): Transport {
  const reader = child.stdout.getReader();
  const writer = child.stdin.getWriter();
  reader.closed.catch(() => {});
  writer.closed.catch(() => {});
  let closing: Promise<void> | undefined;

  async function close(): Promise<void> {
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
    async read() {
      const { done, value } = await reader.read();
      return done ? null : value;
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
