// Watches the connections of a proxy and closes those that give a password
// away. Started by demo.ts, or by hand, with the address of the proxy's API:
//
//   deno run --allow-net=127.0.0.1 examples/tee_proxy/watcher.ts tcp://127.0.0.1:9999

import { dial } from "@qtalk/qtalk";
import type { Service } from "./proxy.ts";

await using peer = await dial(Deno.args[0] ?? "tcp://127.0.0.1:9999");
await peer.remote<Service>().watch((client) => {
  console.log(`${client} is here`);
  const decoder = new TextDecoder();
  let heard = "";
  return new TransformStream<Uint8Array, Uint8Array>({
    transform(bytes, controller) {
      heard = heard.slice(-100) + decoder.decode(bytes, { stream: true });
      if (!heard.includes("password")) return;
      console.log(`${client} has to go`);
      controller.terminate();
    },
  });
});
console.log("watching");
await peer.closed;
