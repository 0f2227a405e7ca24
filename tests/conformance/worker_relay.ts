/**
 * A worker that passes bytes on between its own scope and the message port that
 * it is sent, so that both ends of a pair can be in the test.
 *
 * @module
 */
import { messagePortTransport } from "../../mux/transport/message/message_port.ts";
import { relay } from "./relay.ts";

const scope = self as unknown as MessagePort;

scope.addEventListener("message", async ({ data }) => {
  if (!(data instanceof MessagePort)) return;
  const [near, far] = [messagePortTransport(scope), messagePortTransport(data)];
  await relay(near, far);
  // What closes one end closes the other.
  await Promise.all([near.close(), far.close()]);
});
