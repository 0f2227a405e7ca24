import { STDIO_ADVICE } from "../../errors.ts";
import type { Transport } from "../../types.ts";
import type { Scheme, TransportListener } from "../types.ts";
import { requiredModule } from "./builtin.ts";
import {
  type NodeReadable,
  NodeTransport,
  type NodeWritable,
} from "./streams.ts";

/** What is used of `node:process`. */
interface ProcessModule {
  readonly stdin: NodeReadable & { readonly destroyed: boolean };
  readonly stdout: NodeWritable & { readonly destroyed: boolean };
}

/** `stdio:` on Node and Bun, as in `../stdio.ts`. */
export const nodeStdio: Scheme = {
  // deno-lint-ignore require-await
  async connect(rest) {
    return open(rest);
  },
  listen(rest): TransportListener {
    let transport: Transport | undefined = open(rest);
    return {
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
  },
};

function open(rest: string): Transport {
  if (rest !== "" && rest !== "//") throw new SyntaxError("expected stdio:");
  const { stdin, stdout } = requiredModule<ProcessModule>("node:process");
  if (stdin.destroyed) {
    const error = new Error(
      "stdin and stdout are closed, and no process has them twice",
    );
    error.name = "BadResource";
    throw error;
  }
  return new NodeTransport(stdin, stdout, {
    advice: STDIO_ADVICE,
    // The other end reads the end of the pipe when the process exits.
    closeWrite: () =>
      Promise.reject(
        new TypeError("Cannot end stdout: the runtime keeps it open"),
      ),
  });
}
