import { qmux } from "../../mux/session.ts";
import { messagePortTransport } from "../../mux/transport/message/message_port.ts";
import { testSession } from "./session_suite.ts";
import { testTransport, type TransportPair } from "./transport_suite.ts";

/**
 * The worker's module is type-checked before it starts, which can take a busy machine
 * longer than the default.
 */
const PATIENT = { greetingTimeout: Infinity };

/** One end is a worker's, and the other is where the worker passes bytes on. */
function workerPair(): Promise<TransportPair> {
  const worker = new Worker(import.meta.resolve("./worker_relay.ts"), {
    type: "module",
  });
  const { port1, port2 } = new MessageChannel();
  worker.postMessage(port2, [port2]);
  return Promise.resolve({
    a: messagePortTransport(worker, PATIENT),
    b: messagePortTransport(port1, PATIENT),
    close() {
      worker.terminate();
      port1.close();
    },
  });
}

testTransport("Worker transport", workerPair);

testSession("session over a Worker", async (options) => {
  const { a, b, close } = await workerPair();
  return {
    a: qmux(a, options.a),
    b: qmux(b, options.b),
    close,
  };
});
