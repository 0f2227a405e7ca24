// Listens at the address that it gets, at which other workers may listen, too.
// Started by demo.ts.

import { handlerFrom, listen } from "@qtalk/qtalk";

const name = crypto.randomUUID();

const port = self as unknown as MessagePort;

port.onmessage = async ({ data: address }: MessageEvent<string>) => {
  const listener = await listen(address, {
    reusePort: true,
    handler: handlerFrom({ name: () => name }),
  });
  port.postMessage(listener.addr);
};
