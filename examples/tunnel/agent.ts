// A web server that is not reachable from outside, and the inner end of the
// tunnel that publishes it. Started by demo.ts, or by hand when server.ts runs:
//
//   deno run --allow-net=127.0.0.1 examples/tunnel/agent.ts

import { dial } from "@qtalk/qtalk";
import type { Service } from "./server.ts";

const hostname = "127.0.0.1";

const site = Deno.serve(
  { hostname, port: 0, onListen() {} },
  ({ url }) => new Response(`${new URL(url).pathname} of a hidden site\n`),
);

await using peer = await dial(Deno.args[0] ?? `tcp://${hostname}:9999`);
const api = peer.remote<Service>();
const connect = () => Deno.connect({ hostname, port: site.addr.port });
for await (const url of api.publish(connect)) {
  console.log(`published at ${url}`);
}
