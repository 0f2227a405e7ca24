// Provisions a database, and uses it with an ordinary client library.
// Start server.ts first.
//
//   deno run --allow-net=127.0.0.1 --allow-env examples/database/client.ts
//
// Prints:
//
//   PONG
//   visits: 3
//
// Takes another address to dial as its argument.

import { dial } from "@qtalk/qtalk";
import { once } from "node:events";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { AbstractConnector, Redis } from "npm:ioredis@^5";
import type { Service } from "./server.ts";

await using peer = await dial(Deno.args[0] ?? "tcp://127.0.0.1:9999");
const database = await peer.remote<Service>().database();

// The library expects a socket: a Node stream with two more methods.
const socket = Object.assign(
  Duplex.fromWeb(database, { allowHalfOpen: false }),
  { setNoDelay() {}, setKeepAlive() {} },
);
class Connector extends AbstractConnector {
  constructor() {
    super(1_000);
  }
  connect() {
    return Promise.resolve(this.stream = socket as unknown as Socket);
  }
}

const redis = new Redis({ Connector });
console.log(await redis.ping());
await redis.set("visits", 2);
console.log("visits:", await redis.incr("visits"));

const end = once(redis, "end");
await redis.quit();
await end;
