/**
 * A program that closes what it has at a signal, on Deno, Node and Bun:
 *
 *     signal_server.ts [MODE]
 *
 * Prints "ready" once it listens to signals, and each thing that happens.
 *
 * @module
 */
import { closeOnSignals } from "@qtalk/qtalk/signals";

const { process } = globalThis as unknown as {
  process: { argv: string[]; pid: number };
};
const mode = process.argv[2] ?? "drains";
const closed = Promise.withResolvers<void>();
// Keeps the process running, as a server does.
const running = setInterval(() => {}, 1_000);
closed.promise.then(() => clearInterval(running));

const closable = {
  closed: closed.promise,
  close({ drainTimeout = 0 }: { drainTimeout?: number | undefined } = {}) {
    console.log(`close ${drainTimeout}`);
    if (mode === "throws") throw new Error("cannot close");
    if (mode === "stays" || drainTimeout > 0 && mode === "busy") {
      return closed.promise;
    }
    closed.resolve();
    return closed.promise;
  },
};
const closing = closeOnSignals(closable, {
  drainTimeout: 1_234,
  ...(mode === "other" && { signals: ["SIGHUP", "SIGHUP"] }),
  onSignal: (signal, count) => console.log(`${signal} ${count}`),
});
closed.promise.then(() => console.log(`closed by ${closing.received}`));
if (mode === "lingers") {
  closed.promise.then(() => {
    setInterval(() => {}, 1_000);
    // In a later turn, in which nothing listens to signals any more.
    setTimeout(() => console.log("lingers"));
  });
}
if (mode === "ends") {
  clearInterval(running);
  closed.resolve();
}
if (mode === "disposes") closing[Symbol.dispose]();
console.log("ready");
