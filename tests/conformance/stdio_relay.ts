/**
 * A child that passes bytes on between its standard input and output and a
 * TCP address, so that both ends of a pair can be in the test.
 *
 * @module
 */
import { loadScheme } from "../../mux/transport/schemes.ts";
import { pass } from "./relay.ts";

const { signal } = new AbortController();
const tcp = (await loadScheme("tcp"))!;
const stdio = (await loadScheme("stdio"))!;
const far = await tcp.connect(Deno.args[0]!, signal);
const near = await stdio.connect("", signal);
void pass(near, far);
await pass(far, near);
// Only the end of this process ends its standard output.
Deno.exit(0);
