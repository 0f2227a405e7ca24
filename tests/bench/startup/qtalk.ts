import { dial, listen } from "@qtalk/qtalk";

const listener = await listen("tcp://127.0.0.1:0", {
  handler: async (call, respond) => respond.return(await call.receive()),
});
const peer = await dial(listener.addr);
if (await peer.call("echo", 42) !== 42) throw new Error("No echo");
Deno.exit(0);
