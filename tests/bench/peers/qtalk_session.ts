import {
  dialSession,
  listenSession,
  memoryPool,
  type Session,
} from "@qtalk/qtalk";
import type { DenoPeer } from "../peer.ts";

/** As many channels as are measured, and room for their windows. */
const options = {
  session: {
    maxChannels: 200_000,
    maxHeldSize: 16 * 1024 ** 3,
    memoryPool: memoryPool({ size: 64 * 1024 ** 3 }),
  },
};

/** This package without calls: sessions, whose first channel is echoed. */
const peer: DenoPeer = {
  async serve() {
    const listener = await listenSession("tcp://127.0.0.1:0", options);
    (async () => {
      for await (const session of listener) serve(session);
    })();
    return listener.addr;
  },
  async connect(address) {
    const session = await dialSession(address, options);
    return { open: () => session.open(), close: () => session.close() };
  },
};
export default peer;

/** The others are idle, and have no streams: nobody asks for them. */
function serve(session: Session): void {
  let first = true;
  session.accept((channel) => {
    if (first) channel.readable.pipeTo(channel.writable).catch(() => {});
    first = false;
  });
}
