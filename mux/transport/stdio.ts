import type { Transport } from "../types.ts";
import type { Scheme, TransportListener } from "./types.ts";

/** Bytes read at once: what a pipe holds on Linux. */
const READ_SIZE = 64 * 1024;

/**
 * `stdio:`, this process's own standard input and output. There is one; it
 * needs no permission. Whatever else prints to standard output breaks it:
 * log with `console.error()`.
 */
export const stdio: Scheme = {
  connect(rest) {
    check(rest);
    return Promise.resolve(stdioTransport());
  },
  listen(rest) {
    check(rest);
    let transport: Transport | undefined = stdioTransport();
    const listener: TransportListener = {
      addr: "stdio:",
      accept() {
        const accepted = transport;
        transport = undefined;
        return Promise.resolve(
          accepted ? { transport: accepted, remoteAddr: "stdio:" } : null,
        );
      },
      close() {
        transport = undefined;
      },
    };
    return listener;
  },
};

function check(rest: string): void {
  if (rest !== "" && rest !== "//") throw new SyntaxError("expected stdio:");
}

/**
 * Drives standard input and output as a transport.
 *
 * Deno cannot end standard output: the other end of the pipe hears that it has
 * ended when the process does, whatever is closed before. So a session does not
 * wait for an answer to that end, which would come too late.
 */
export function stdioTransport(): Transport {
  const buffer = new Uint8Array(READ_SIZE);
  /** Ends the read under way. */
  let giveUp: ((end: null) => void) | undefined;
  let closed = false;
  return {
    async read() {
      if (closed) return null;
      // A read of standard input cannot be taken back: close() goes past it.
      // (Promise.race() with one promise for all reads would keep them all.)
      const read = await new Promise<number | null>((resolve, reject) => {
        giveUp = resolve;
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
      Promise.reject(new TypeError("Cannot end standard output alone")),
    close() {
      if (closed) return;
      closed = true;
      giveUp?.(null);
      Deno.stdout.close();
      Deno.stdin.close();
    },
  };
}
