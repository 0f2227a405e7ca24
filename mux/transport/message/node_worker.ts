/**
 * Workers of `node:worker_threads`, which emit events in place of dispatching them.
 *
 * @module
 */

/** What this module uses of a `Worker` of `node:worker_threads`. */
export interface NodeWorkerLike {
  /** Sends a message. */
  postMessage(message: unknown, transfer?: readonly object[]): void;
  /** Calls a function with what the worker emits. */
  on(event: string, listener: (value: unknown) => void): unknown;
  /** Ends the worker. */
  terminate?(): unknown;
}

/** The key of a worker's events, also for other copies of this module. */
const EVENTS: unique symbol = Symbol.for("qtalk.workerEvents");

/**
 * The messages of a worker, as events, and its end.
 *
 * It does not listen to `error`: a listener would keep the uncaught errors of the
 * worker from ending the process. An `exit` follows each of them.
 *
 * @param onExit called when the worker ends
 */
export function eventsOf(
  worker: NodeWorkerLike & { [EVENTS]?: EventTarget },
  onExit: () => void,
): EventTarget {
  const known = worker[EVENTS];
  if (known !== undefined) return known;
  const target = new EventTarget();
  Object.defineProperty(worker, EVENTS, { value: target });
  worker.on("message", (data) => {
    target.dispatchEvent(new MessageEvent("message", { data }));
  });
  worker.on("messageerror", () => {
    target.dispatchEvent(new Event("messageerror"));
  });
  worker.on("exit", onExit);
  return target;
}
