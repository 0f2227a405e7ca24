// A complete application for Deno Deploy: a typed service over WebSocket, a
// page to try it, and a list of names that all isolates share. Use this file as
// the entry point on Deno Deploy, where it needs no flags and no settings. To
// run it locally:
//
//   deno run --allow-net examples/deploy/main.ts
//
// and open http://localhost:8000/. The names are then those of this process.
// Two processes share them through Deno's key-value database:
//
//   deno run --allow-net --unstable-kv examples/deploy/main.ts
//   deno run --allow-net --unstable-kv examples/deploy/main.ts --port=8001
//
// Prints, and runs until it is stopped:
//
//   serving on http://localhost:8000/
//
// On SIGINT, which Deno Deploy sends 5 seconds before it ends an isolate, it
// lets running calls finish and refuses new ones with `unavailable: …`; the
// page reconnects to another isolate. Options:
//
//   --port=8000           the port to serve on
//   --host=0.0.0.0        the interface to serve on
//   --kv=FILE             the database file; needs --allow-read, --allow-write
//   --reread=1000         milliseconds between reads of the names; 0 for never
//   --lease=60000         milliseconds until names of a killed process expire
//   --drain-timeout=2000  milliseconds that running calls have after SIGINT
//
// Tried by tests/deploy_test.ts.

import { closeOnSignals } from "@qtalk/qtalk/signals";
import { startApp } from "./app.ts";

/** Leaves some of the 5 seconds for closing the connections. */
const DEFAULT_DRAIN_TIMEOUT = 2_000;

/** The value of the option `--name=`. */
function option(name: string): string | undefined {
  const start = `--${name}=`;
  return Deno.args.find((arg) => arg.startsWith(start))?.slice(start.length);
}

function milliseconds(name: string): number | undefined {
  const value = option(name);
  return value === undefined ? undefined : Number(value);
}

/** Does not prompt: on Deno Deploy, everything is permitted. */
function onDenoDeploy(): boolean {
  const variable = "DENO_DEPLOYMENT_ID";
  const { state } = Deno.permissions.querySync({ name: "env", variable });
  return state === "granted" && Deno.env.has(variable);
}

const app = await startApp({
  port: milliseconds("port"),
  hostname: option("host"),
  path: option("kv"),
  lease: milliseconds("lease"),
  // On Deno Deploy `watch()` sees all changes, and reads cost money.
  rereadEvery: milliseconds("reread") ?? (onDenoDeploy() ? 0 : undefined),
});
console.log(`serving on ${app.url}`);

closeOnSignals(app, {
  drainTimeout: milliseconds("drain-timeout") ?? DEFAULT_DRAIN_TIMEOUT,
  onSignal: () => console.log("closing"),
});
await app.closed;
Deno.exit();
