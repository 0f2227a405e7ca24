// A worker that answers calls on its own scope: how the name says.

import { handlerFrom, Peer, withCall } from "@qtalk/qtalk";
import { messagePortTransport, qmux } from "@qtalk/qtalk/mux";

const scope = self as unknown as MessagePort & { name: string };
// One that is late has lost the first message when its transport listens.
if (scope.name === "late") {
  await new Promise((resolve) =>
    scope.addEventListener("message", resolve, { once: true })
  );
}

/** A peer, and later another one over the same port. */
async function run(): Promise<void> {
  const peer = new Peer(
    qmux(messagePortTransport(scope)),
    {
      handler: handlerFrom({
        echo: (value: unknown) => value,
        back: withCall((call, value: unknown) =>
          call.caller.call("echo", [value])
        ),
        leave: () => scope.close(),
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
}

do await run(); while (scope.name === "again");
