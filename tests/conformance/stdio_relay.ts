/**
 * A child that passes bytes on between its standard input and output and a
 * TCP address, so that both sessions of a pair can live in the test.
 *
 * @module
 */
import { stdioTransport } from "../../mux/transport/stdio.ts";
import { tcp } from "../../mux/transport/tcp.ts";
import type { Transport } from "../../mux/types.ts";

async function pass(from: Transport, to: Transport): Promise<void> {
  for (;;) {
    const chunk = await from.read();
    if (chunk === null) return;
    await to.write(chunk);
  }
}

const far = await tcp.connect(Deno.args[0]!, new AbortController().signal);
const near = stdioTransport();
pass(near, far).then(() => far.closeWrite()).catch(() => {});
await pass(far, near).catch(() => {});
// Only the end of this process ends its standard output.
Deno.exit(0);
