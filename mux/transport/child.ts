import type { Transport } from "../types.ts";

/** Milliseconds that a child has to leave by itself, and then when told to. */
const LEAVE_TIMEOUT = 1_000;

/**
 * Drives a child process's stdin and stdout as a transport that owns the child:
 * `close()` closes its stdin, waits a second for it to leave, terminates it,
 * and kills it if that does not help within another second.
 *
 * @param child spawned with stdin and stdout `"piped"`
 */
export function childTransport(child: Deno.ChildProcess): Transport {
  const reader = child.stdout.getReader();
  const writer = child.stdin.getWriter();
  reader.closed.catch(() => {});
  writer.closed.catch(() => {});
  let closing: Promise<void> | undefined;

  async function close(): Promise<void> {
    // A child that does not read holds up the write before it, and this too.
    const inputClosed = Promise.allSettled([writer.close()]);
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      if (await happens(child.status)) break;
      try {
        child.kill(signal);
      } catch {
        break; // It has left in between.
      }
    }
    await child.status;
    // What it started in turn may hold its pipes still.
    await happens(Promise.allSettled([inputClosed, reader.cancel()]));
  }

  return {
    async read() {
      const { done, value } = await reader.read();
      return done ? null : value;
    },
    // The stream hands a chunk to the pipe before its write resolves.
    write: (bytes) => writer.write(bytes),
    closeWrite: () => writer.close(),
    close: () => closing ??= close(),
  };
}

/** Whether `event` comes in time. */
async function happens(event: Promise<unknown>): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const came = await Promise.race([
    event.then(() => true),
    new Promise<false>((resolve) => {
      timer = setTimeout(() => resolve(false), LEAVE_TIMEOUT);
    }),
  ]);
  clearTimeout(timer);
  return came;
}
