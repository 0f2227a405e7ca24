// Calls of a handler that computes, which `qtalk serve` serves with workers:
// `parallel.ts WORKERS OPTIONS`.

import { dial } from "@qtalk/qtalk";
import type { MeasureOptions } from "./measures.ts";
import type { Connection } from "./peer.ts";
import { rate, timeCalls } from "./timing.ts";
import { firstLine } from "../support/first_line.ts";

/**
 * Connections, of each of which one call is in flight. The system divides them
 * among the workers by chance: with so many, none is without work. Were each call
 * made over the next connection, a worker with 38 of the 64 would get 0.59 of the
 * calls, and the other one would wait for it.
 */
const CONNECTIONS = 64;

const [workers, json] = Deno.args as [string, string];
const file = (path: string) => new URL(path, import.meta.url).pathname;
const server = new Deno.Command(Deno.execPath(), {
  args: [
    ...["run", "--quiet", "--allow-all", "--unstable-net"],
    ...[file("../../talk/cli/main.ts"), "serve", file("parallel/service.ts")],
    ...["--address", "tcp://127.0.0.1:0", "--parallel", workers],
  ],
  stdout: "piped",
}).spawn();
try {
  const line = await firstLine(server.stdout);
  const address = /tcp:\S+/.exec(line)?.[0];
  if (address === undefined) throw new Error(`The server said "${line}"`);
  const peers = await Promise.all(
    Array.from({ length: CONNECTIONS }, () => dial(address)),
  );
  /** Calls over one that has no call in flight. */
  const connection: Connection = {
    async call(value) {
      const peer = peers.pop()!;
      await peer.call("compute", [value]);
      peers.push(peer);
      return value;
    },
    close: () => {},
  };
  const options = JSON.parse(json) as MeasureOptions;
  const calls = await timeCalls([connection], CONNECTIONS, {
    ...options,
    serverId: server.pid,
  });
  console.log(JSON.stringify(rate(calls)));
} finally {
  server.kill("SIGKILL");
  await server.status;
}
Deno.exit(0);
