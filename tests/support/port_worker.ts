// A worker that answers calls on its own scope: how the name says.

import { handlerFrom, Peer, withCall } from "@qtalk/qtalk";
import { messagePortTransport, Session } from "@qtalk/qtalk/mux";

const { name } = self as unknown as { name: string };
// Messages that come before anybody listens are lost.
if (name === "late") await new Promise((resolve) => setTimeout(resolve, 100));

const peer = new Peer(
  new Session(messagePortTransport(self as unknown as MessagePort)),
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
self.postMessage("the peer is closed");
