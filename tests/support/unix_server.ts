/**
 * A server on a Unix socket, whose process ends in several ways:
 *
 *     deno run -A tests/support/unix_server.ts PATH [MODE]
 *
 * Prints its lines to standard output: "listening" once it listens.
 *
 * @module
 */
import { handlerFrom, listen } from "@qtalk/qtalk";
import { closeOnSignals } from "@qtalk/qtalk/signals";

const [path, mode = "plain"] = Deno.args;
const address = `unix:${path}`;

/** What the program itself does about SIGTERM. */
function onTerm(): void {
  console.log("asked to stop");
  if (mode === "exits") Deno.exit(7);
  if (mode === "once-before") Deno.removeSignalListener("SIGTERM", onTerm);
}

if (mode === "once-before" || mode === "before") {
  Deno.addSignalListener("SIGTERM", onTerm);
}
const options = {
  handler: handlerFrom({
    ping: () => "pong",
    slow() {
      console.log("slow");
      return new Promise(() => {});
    },
  }),
};
try {
  const listener = await listen(address, options);
  if (mode === "two") await listen(`${address}-2`, options);
  if (mode === "exits" || mode === "goes-on") {
    Deno.addSignalListener("SIGTERM", onTerm);
  }
  if (mode === "closes") {
    Deno.addSignalListener("SIGTERM", () => listener.close());
  }
  if (mode === "drains") {
    closeOnSignals(listener, {
      drainTimeout: 60_000,
      onSignal: (signal, count) => console.log(`${signal} ${count}`),
    });
  }
  console.log("listening");
  await listener.closed;
  console.log("closed");
} catch (error) {
  console.log(`failed: ${(error as Error).message}`);
}
