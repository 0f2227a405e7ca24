import { Session } from "../../mux/session.ts";
import { childTransport } from "../../mux/transport/child.ts";
import { tcp } from "../../mux/transport/tcp.ts";
import { testSession } from "./session_suite.ts";

const RELAY = new URL("stdio_relay.ts", import.meta.url);

testSession("session over a child's stdio", async ({ a, b }) => {
  const listener = tcp.listen("//127.0.0.1:0");
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
    a: new Session(childTransport(child), a),
    b: new Session(accepted!.transport, b),
    close: () => listener.close(),
  };
});
