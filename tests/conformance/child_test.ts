import { qmux } from "../../mux/session.ts";
import { childTransport } from "../../mux/transport/child.ts";
import { loadScheme } from "../../mux/transport/schemes.ts";
import { testSession } from "./session_suite.ts";
import { testTransport, type TransportPair } from "./transport_suite.ts";

const tcp = (await loadScheme("tcp"))!;
const RELAY = new URL("stdio_relay.ts", import.meta.url);

/** One end is a child's, and the other is where the child passes bytes on. */
async function childPair(): Promise<TransportPair> {
  const listener = await tcp.listen("//127.0.0.1:0");
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-config",
      "--allow-net=127.0.0.1",
      RELAY.href,
      listener.addr.slice("tcp:".length),
    ],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const accepted = await listener.accept();
  return {
    a: childTransport(child),
    b: accepted!.transport,
    close: () => listener.close(),
  };
}

testTransport("child process transport", childPair);

testSession("session over a child process", async (options) => {
  const { a, b, close } = await childPair();
  return {
    a: qmux(a, options.a),
    b: qmux(b, options.b),
    close,
  };
});
