// What has standard input and output for a transport is the process itself. So
// a process of its own tries each behaviour out, and this one joins what comes
// out there with the other end of the pair, which is in that process too.

import { childTransport } from "../../mux/transport/child.ts";
import { loadScheme } from "../../mux/transport/schemes.ts";
import { registerSuite } from "./behaviour.ts";
import { relay } from "./relay.ts";
import { sessionBehaviours } from "./session_suite.ts";
import { transportBehaviours } from "./transport_suite.ts";

const tcp = (await loadScheme("tcp"))!;
const PROGRAM = new URL("stdio_behaviour.ts", import.meta.url);

/** Fails with what the process says, if a behaviour does not hold there. */
async function tryInProcess(
  suite: "session" | "transport",
  behaviour: string,
): Promise<void> {
  const listener = await tcp.listen("//127.0.0.1:0");
  const address = listener.addr.slice("tcp:".length);
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--allow-net=127.0.0.1",
      PROGRAM.href,
      suite,
      behaviour,
      address,
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const said = new Response(child.stderr).text();
  const accepted = await Promise.race([
    listener.accept(),
    child.status.then(() => null), // It could not even begin.
  ]);
  listener.close();
  const near = childTransport(child);
  if (accepted !== null) await relay(near, accepted.transport);
  const { code } = await child.status;
  await near.close();
  await accepted?.transport.close();
  if (code !== 0) throw new Error(await said);
  await said;
}

const ENDS_WITH_PROCESS =
  "standard output ends with the process, and not before";

registerSuite(
  "stdio transport",
  transportBehaviours(),
  ({ name }) => tryInProcess("transport", name),
  {
    "the end of one direction leaves the other open": ENDS_WITH_PROCESS,
    "close() ends the other end's reading": ENDS_WITH_PROCESS,
    "closing after the writing side was ended is no error":
      "standard output cannot be ended alone, and that is an error",
    "close() settles a write under way":
      "a write to standard output cannot be taken back",
  },
);

registerSuite(
  "session over stdio",
  sessionBehaviours(),
  ({ name }) => tryInProcess("session", name),
  {
    "closed resolves on both sides when either closes": ENDS_WITH_PROCESS,
    "transport ends | – | writable errors; readable of a channel with neither EOF nor CLOSE delivers, then errors with connection-lost; pending opens reject; session.closed resolves if the end came between frames":
      ENDS_WITH_PROCESS,
  },
);
