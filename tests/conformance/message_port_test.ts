import { qmux } from "../../mux/session.ts";
import { messagePortTransport } from "../../mux/transport/message/message_port.ts";
import { testSession } from "./session_suite.ts";

testSession("session over a MessagePort", ({ a, b }) => {
  const { port1, port2 } = new MessageChannel();
  return Promise.resolve({
    a: qmux(messagePortTransport(port1), a),
    b: qmux(messagePortTransport(port2), b),
    close() {
      port1.close();
      port2.close();
    },
  });
});
