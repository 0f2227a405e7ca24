// A call that provisions a database and then becomes the connection to it. Each
// call starts a Redis server, which ends with the call.
//
//   deno run --allow-net --allow-read --allow-write --allow-run=redis-server examples/database/server.ts
//
// Prints, and runs until it is stopped:
//
//   listening on tcp://127.0.0.1:9999
//
// Takes another address to listen on as its argument. Needs the command
// redis-server, which Debian has in a package of that name.

import { type ByteStream, handlerFrom, listen, withCall } from "@qtalk/qtalk";
import { closeOnSignals } from "@qtalk/qtalk/signals";

const service = {
  database: withCall(async (call): Promise<ByteStream> => {
    call.signal.throwIfAborted();
    const directory = Deno.makeTempDirSync();
    const path = `${directory}/socket`;
    const redis = new Deno.Command("redis-server", {
      args: ["--port", "0", "--unixsocket", path, "--save", ""],
      stdout: "piped",
      signal: call.signal,
    }).spawn();
    redis.status.then(() => Deno.remove(directory, { recursive: true }));
    try {
      for await (
        const chunk of redis.stdout.pipeThrough(new TextDecoderStream())
      ) {
        if (chunk.includes("ready to accept connections")) break;
      }
      // From now on, the bytes of the call are those of this connection.
      return await Deno.connect({ transport: "unix", path });
    } catch (error) {
      await redis[Symbol.asyncDispose]();
      throw error;
    }
  }),
};
export type Service = typeof service;

const address = Deno.args[0] ?? "tcp://127.0.0.1:9999";
await using listener = await listen(address, { handler: handlerFrom(service) });
closeOnSignals(listener);
console.log(`listening on ${listener.addr}`);
await listener.closed;
