import {
  dial,
  handlerFrom,
  type HandlerFunction,
  listen,
  Router,
} from "@qtalk/qtalk";
import type { DenoPeer } from "../peer.ts";

/** Counts the bytes that come and says how many there were. */
const discard: HandlerFunction = async (call, respond) => {
  await call.receive();
  const channel = await respond.continue();
  let bytes = 0;
  for await (const chunk of channel.readable) bytes += chunk.length;
  await respond.send(bytes);
  await channel.close();
};

/** This package, as its README says to use it. */
const peer: DenoPeer = {
  async serve() {
    const handler = new Router();
    handler.handle("echo", handlerFrom((value: number) => value));
    handler.handle("discard", discard);
    return (await listen("tcp://127.0.0.1:0", { handler })).addr;
  },
  async connect(address) {
    const client = await dial(address);
    return {
      call: (value) => client.call("echo", [value]),
      async send(bytes, chunk) {
        await using response = await client.request("discard");
        const writer = response.channel!.writable.getWriter();
        for (let left = bytes; left > 0; left -= chunk.length) {
          await writer.ready;
          // Its failure shows in the next `ready`, and in `close()`.
          writer.write(chunk.subarray(0, left)).catch(() => {});
        }
        await writer.close();
        return await response.receive() as number;
      },
      close: () => client.close(),
    };
  },
};
export default peer;
