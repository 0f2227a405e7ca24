/**
 * Tries one behaviour out on a pair of which one end is this process's own
 * standard input and output, and the other a TCP address:
 *
 *     stdio_behaviour.ts session|transport BEHAVIOUR ADDRESS
 *
 * @module
 */
import { qmux } from "../../mux/session.ts";
import { loadScheme } from "../../mux/transport/schemes.ts";
import { within } from "../support/within.ts";
import { Lab } from "./session_pair.ts";
import { sessionBehaviours } from "./session_suite.ts";
import { transportBehaviours } from "./transport_suite.ts";

const [suite, name, address] = Deno.args;

const { signal } = new AbortController();
const tcp = (await loadScheme("tcp"))!;
const stdio = (await loadScheme("stdio"))!;
const far = await tcp.connect(address!, signal);
const near = await stdio.connect("", signal);
const close = () => {};

if (suite === "session") {
  const { body, options } = sessionBehaviours()
    .find((behaviour) => behaviour.name === name)!;
  // Most tests close `a`, whose end the other hears of.
  const a = qmux(far, options.a);
  const b = qmux(near, options.b);
  await within(body(new Lab({ a, b, close })), name!);
} else {
  const { body } = transportBehaviours()
    .find((behaviour) => behaviour.name === name)!;
  await within(body({ a: near, b: far, close }), name!);
}
// Nothing is closed before: only the end of this process ends its standard
// output, and a close would wait for the other end to hear of it.
Deno.exit(0);
