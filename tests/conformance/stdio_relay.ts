/**
 * A child that passes bytes on between its standard input and output and a
 * TCP address, so that both ends of a pair can be in the test.
 *
 * @module
 */
import { stdioTransport } from "../../mux/transport/stdio.ts";
import { tcp } from "../../mux/transport/tcp.ts";
import { pass } from "./relay.ts";

const far = await tcp.connect(Deno.args[0]!, new AbortController().signal);
const near = stdioTransport();
void pass(near, far);
await pass(far, near);
// Only the end of this process ends its standard output.
Deno.exit(0);
