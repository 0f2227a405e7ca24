// A whole application for Deno Deploy: a typed service over WebSocket, the page
// to try it on, and who is here, shared by all isolates. Give this file to Deno
// Deploy as the entry point; it needs no flag and no setting there. Here:
//
//   deno run --allow-net examples/deploy/main.ts
//
// and open http://localhost:8000/. Names are then those of this process. Two
// processes that share them, by Deno's key-value database:
//
//   deno run --allow-net --unstable-kv examples/deploy/main.ts
//   deno run --allow-net --unstable-kv examples/deploy/main.ts --port=8001
//
// Prints, and goes on until it is stopped:
//
//   serving on http://localhost:8000/
//
// On SIGINT, which Deno Deploy sends 5 seconds before it ends an isolate, it
// lets running calls finish, and refuses new ones with `unavailable: …`; the
// page connects again, to the next isolate. What it can be told:
//
//   --port=8000      where to serve
//   --host=0.0.0.0   on which interface
//   --kv=FILE        the database's file; needs --allow-read, --allow-write
//   --reread=1000    milliseconds until names are read again, 0 for never
//   --lease=60000    milliseconds until names are forgotten whose process was
//                    killed
//   --drain=2000     milliseconds that running calls have on SIGINT
//
// Tried by tests/deploy_test.ts.

import { startApp } from "./app.ts";

/** Of the 5 seconds that there are: some are left to say goodbye in. */
const DEFAULT_DRAIN = 2_000;

/** What follows `--name=`. */
function option(name: string): string | undefined {
  const start = `--${name}=`;
  return Deno.args.find((arg) => arg.startsWith(start))?.slice(start.length);
}

function milliseconds(name: string): number | undefined {
  const value = option(name);
  return value === undefined ? undefined : Number(value);
}

/** Asks without a prompt: there, all is permitted. */
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
  // `watch()` hears everything there, and reads are paid for.
  rereadEvery: milliseconds("reread") ?? (onDenoDeploy() ? 0 : undefined),
});
console.log(`serving on ${app.url}`);

Deno.addSignalListener("SIGINT", async () => {
  console.log("closing");
  await app.close(milliseconds("drain") ?? DEFAULT_DRAIN);
  Deno.exit();
});
