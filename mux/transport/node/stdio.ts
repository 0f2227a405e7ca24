import "../../internal.ts"; // Keeps bundles in few chunks.
import { STDIO_ADVICE } from "../../errors.ts";
import type { Transport } from "../../types.ts";
import { singleListener } from "../single_listener.ts";
import type { Scheme } from "../types.ts";
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
  listen: (rest) => singleListener(open(rest), "stdio:"),
};

function open(rest: string): Transport {
  if (rest !== "" && rest !== "//") throw new SyntaxError("expected stdio:");
  const { stdin, stdout } = requiredModule<ProcessModule>("node:process");
  if (stdin.destroyed) {
    const error = new Error(
      "stdin and stdout have been used already and are closed",
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
