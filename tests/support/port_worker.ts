// A worker that answers calls on its own scope: how the name says.

import { handlerFrom, Peer, withCall } from "@qtalk/qtalk";
import { messagePortTransport, qmux } from "@qtalk/qtalk/mux";

const scope = self as unknown as MessagePort & { name: string };
// Messages that come before anybody listens are lost.
if (scope.name === "late") {
  await new Promise((resolve) => setTimeout(resolve, 100));
}

const peer = new Peer(
  qmux(messagePortTransport(scope)),
  {
    handler: handlerFrom({
      echo: (value: unknown) => value,
      back: withCall((call, value: unknown) =>
        call.caller.call("echo", [value])
      ),
      crash: () => {
        queueMicrotask(() => {
          throw new Error("out of luck");
        });
      },
    }),
  },
);
peer.handle("bytes", async (call, respond) => {
  await call.receive();
  const { readable, writable } = await respond.continue();
  await readable.pipeTo(writable);
});
await peer.closed;
scope.postMessage("the peer is closed");
