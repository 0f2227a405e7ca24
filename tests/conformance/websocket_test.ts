import { qmux } from "../../mux/session.ts";
import { webSocketTransport } from "../../mux/transport/websocket/transport.ts";
import { listenSession } from "../../talk/listener/listen.ts";
import { listeningPair } from "./listening_pair.ts";
import { testSession } from "./session_suite.ts";

testSession("session over WebSocket", listeningPair("ws://127.0.0.1:0/path"));

testSession("session over the runtime's own WebSocket", async ({ a, b }) => {
  const listener = await listenSession("ws://127.0.0.1:0", {
    session: b ?? {},
  });
  const accepting = listener[Symbol.asyncIterator]().next();
  const socket = new WebSocket(listener.addr);
  const near = qmux(webSocketTransport(socket), a);
  const { value: far } = await accepting;
  return { a: near, b: far!, close: () => listener.close() };
});
