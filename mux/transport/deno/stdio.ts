import "../../internal.ts"; // Keeps bundles in few chunks.
import { STDIO_ADVICE } from "../../errors.ts";
import { singleListener } from "../single_listener.ts";
import type {
  AdvisingTransport,
  GatheringTransport,
  KeptTransport,
  Scheme,
} from "../types.ts";

/** Bytes read at once: the capacity of a pipe on Linux. */
const READ_SIZE = 64 * 1024;

/**
 * `stdio:`, this process's own stdin and stdout. It accepts one connection and
 * needs no permission. Other output on stdout would break the connection, so log
 * with `console.error()`.
 */
export const stdio: Scheme = {
  // deno-lint-ignore require-await
  async connect(rest) {
    check(rest);
    checkOpen();
    return stdioTransport();
  },
  listen(rest) {
    check(rest);
    return singleListener(stdioTransport(), "stdio:");
  },
};

/** A process has these streams once: a connection that ended has closed them. */
function checkOpen(): void {
  try {
    Deno.stdout.writeSync(new Uint8Array(0));
  } catch (cause) {
    if (!(cause instanceof Deno.errors.BadResource)) return;
    throw new Deno.errors.BadResource(
      "stdin and stdout have been used already and are closed",
    );
  }
}

function check(rest: string): void {
  if (rest !== "" && rest !== "//") throw new SyntaxError("expected stdio:");
}

/**
 * Makes a transport of stdin and stdout.
 *
 * Deno cannot end stdout: the peer reads the end of the pipe when the process
 * exits, whatever is closed before. A session thus cannot wait for the peer to
 * respond to that end, so `closeWrite()` rejects.
 */
export function stdioTransport():
  & AdvisingTransport
  & KeptTransport
  & GatheringTransport {
  const buffer = new Uint8Array(READ_SIZE);
  /** Ends the pending read. */
  let endRead: ((end: null) => void) | undefined;
  let closed = false;
  return {
    advice: STDIO_ADVICE,
    keepAlive: { signs: 0 },
    // As at the other end: see childTransport().
    earlyWrite: 4 * 1024,
    async read() {
      if (closed) return null;
      // A read of stdin cannot be cancelled, so close() ends this promise instead.
      // (Promise.race() with one promise for all reads would retain them all.)
      const read = await new Promise<number | null>((resolve, reject) => {
        endRead = resolve;
        Deno.stdin.read(buffer).then(resolve, reject);
      });
      return read === null ? null : buffer.subarray(0, read);
    },
    async write(bytes) {
      for (let at = 0; at < bytes.length;) {
        at += await Deno.stdout.write(bytes.subarray(at));
      }
    },
    closeWrite: () =>
      Promise.reject(new TypeError("Cannot end stdout: Deno has no means to")),
    close() {
      if (closed) return;
      closed = true;
      endRead?.(null);
      Deno.stdout.close();
      Deno.stdin.close();
    },
  };
}
